//! The file on disk, good and bad, and whose program it runs.

use super::super::{
    domain::Place,
    file::{OnDisk, look},
    plist,
    program::is_ours,
};
use crate::{
    home::Home,
    manager::{Scope, Unit},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

fn place() -> (tempfile::TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let uid = dir.path().metadata().unwrap().uid();
    let place = Place::user(uid, dir.path());
    fs::create_dir_all(place.folder()).unwrap();
    let unit = Unit {
        binary: "/opt/parachute".into(),
        home: Home::new("/home"),
        port: 1939,
        bind: [127, 0, 0, 1].into(),
        path: "/bin".into(),
        user: None,
    };
    fs::write(
        place.plist(),
        plist::render(&unit, Scope::User, None).unwrap(),
    )
    .unwrap();
    fs::set_permissions(place.plist(), fs::Permissions::from_mode(0o644)).unwrap();
    (dir, place)
}

fn why(place: &Place) -> String {
    match look(place) {
        OnDisk::Unusable(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_file_is_usable_and_none_is_absent() {
    let (_dir, place) = place();
    assert!(matches!(look(&place), OnDisk::Usable(_)));
    fs::remove_file(place.plist()).unwrap();
    assert!(matches!(look(&place), OnDisk::Absent));
}

#[test]
fn a_link_is_followed_and_a_dangling_one_is_unusable() {
    let (dir, place) = place();
    let target = dir.path().join("elsewhere.plist");
    fs::rename(place.plist(), &target).unwrap();
    symlink(&target, place.plist()).unwrap();
    assert!(matches!(look(&place), OnDisk::Usable(_)));
    fs::remove_file(&target).unwrap();
    assert!(why(&place).contains("no such file"));
}

#[test]
fn others_must_not_be_able_to_write_it() {
    let (_dir, place) = place();
    for mode in [0o666, 0o664, 0o646] {
        fs::set_permissions(place.plist(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(why(&place).contains("lets others write"));
    }
}

#[test]
fn another_users_file_is_refused() {
    let (dir, place) = place();
    let uid = place.plist().metadata().unwrap().uid();
    if uid == 0 {
        // launchd takes root's files for everybody.
        assert!(matches!(
            look(&Place::user(501, dir.path())),
            OnDisk::Usable(_)
        ));
        if rustix::fs::chown(place.plist(), Some(rustix::fs::Uid::from_raw(502)), None).is_err() {
            return;
        }
        assert!(why(&Place::user(501, dir.path())).contains("uid 502, not 501"));
    } else {
        assert!(why(&Place::user(uid + 1, dir.path())).contains("belongs to uid"));
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let (_dir, place) = place();
    fs::remove_file(place.plist()).unwrap();
    fs::create_dir(place.plist()).unwrap();
    assert!(why(&place).contains("not a regular file"));
    fs::remove_dir(place.plist()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.plist(),
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    assert!(why(&place).contains("not a regular file"));
}

#[test]
fn ours_is_this_program_or_a_native_one_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    };
    let exe = make("build/thing", b"\x7fELF");
    let native = make("native/parachute", b"\xcf\xfa\xed\xfe");
    let script = make("script/parachute", b"#!/usr/bin/env node\n");
    let ours = |argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|&a| a.to_owned()).collect();
        is_ours(&argv, Path::new(&exe))
    };
    assert!(ours(&[&exe, "serve"]));
    assert!(ours(&[&native, "serve"]));
    assert!(
        ours(&["/gone/parachute", "serve"]),
        "a binary that was removed"
    );
    assert!(!ours(&[&script, "serve"]));
    assert!(!ours(&[&native, "hub"]) && !ours(&[&native]) && !ours(&[]));
    assert!(!ours(&["/usr/local/bin/bun", "/x/cli.ts", "serve"]));
    assert!(!ours(&["parachute", "serve"]));
}
