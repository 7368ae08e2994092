use super::*;
use crate::os::{group::group_of, kid::Kid};
use rustix::process::geteuid;

#[test]
fn what_counts_as_the_same_command() {
    let same = |running: &[&str], command: &[&str]| {
        let running: Vec<OsString> = running.iter().map(OsString::from).collect();
        let command: Vec<String> = command.iter().map(|&w| w.to_owned()).collect();
        same_command(&running, &command, None, || None)
    };
    let vault = &["parachute-vault", "serve"];
    assert!(same(&["parachute-vault", "serve"], vault));
    assert!(same(&["/usr/bin/parachute-vault", "serve"], vault));
    assert!(same(&["node", "/opt/bin/parachute-vault", "serve"], vault));
    assert!(same(
        &["env", "node", "/opt/parachute-vault", "serve"],
        vault
    ));
    assert!(!same(
        &["a", "b", "c", "/opt/parachute-vault", "serve"],
        vault
    ));
    assert!(!same(&["parachute-vault", "serve", "--now"], vault));
    assert!(!same(&["parachute-vault"], vault));
    assert!(!same(&["parachute-vaults", "serve"], vault));
    assert!(!same(&[], vault));
    assert!(!same(&["x"], &[]));
    let path = &["/x/bin/server", "--a"];
    assert!(same(path, path));
    assert!(same(&["sh", "/x/bin/server", "--a"], path));
    assert!(!same(&["/x/other/server", "--a"], path));
    assert!(!same(&["server", "--a"], path));
    let beside = &["./server"];
    assert!(same(beside, beside));
    assert!(!same(&["../x/server"], beside));
}

#[test]
fn the_same_program_is_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for folder in ["bin", "other"] {
        std::fs::create_dir(root.join(folder)).unwrap();
        std::fs::write(root.join(folder).join("server"), "").unwrap();
    }
    std::os::unix::fs::symlink("bin", root.join("link")).unwrap();
    let at = |path: &str| root.join(path).to_str().unwrap().to_owned();
    let same = |running: &str, said: &str, folder: &str| {
        let program = root.join("bin/server");
        let folder = root.join(folder);
        let cwd = || Some(folder.clone());
        same_command(&[running.into()], &[said.to_owned()], Some(&program), cwd)
    };
    for said in ["server", "./server", &at("bin/server")] {
        assert!(same(&at("bin/server"), said, "/"), "{said}");
        assert!(same(&at("link/server"), said, "/"), "{said}");
        assert!(same(&at("bin/./server"), said, "/"), "{said}");
        assert!(!same(&at("other/server"), said, "/"), "{said}");
        assert!(same("./server", said, "bin"), "{said}");
        assert!(!same("./server", said, "other"), "{said}");
    }
    // One that was found on the PATH may keep its bare name; one that has gone elsewhere its word.
    assert!(same("server", "server", "/"));
    assert!(!same("server", &at("bin/server"), "/"));
    assert!(same("./server", "./server", "/"));
}

#[test]
fn orphans_of_a_home_and_port_are_found_in_any_session() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let script = "echo ready; while :; do sleep 1000; done";
    let mut kid = Kid::with(script, &[("PARACHUTE_HOME", place), ("PORT", "1944")]);
    kid.line();
    let now = Snapshot::take().unwrap();
    let owner = geteuid().as_raw();
    let claim = |home: &Path, port| Claim {
        owner,
        home: Some(home.into()),
        port: Some(port),
        ..Claim::default()
    };
    let found = |home: &Path, port| {
        let orphans = orphans_of(&claim(home, port), &now);
        orphans.iter().any(|p| p.pid == kid.pid())
    };
    assert!(found(dir.path(), 1944));
    assert!(!found(dir.path(), 1945));
    assert!(!found(Path::new("/tmp"), 1944));
    let ours = |claim| is_ours(&kid.process(), &claim);
    assert!(ours(claim(dir.path(), 1944)));
    assert!(!ours(claim(dir.path(), 1945)));
    assert!(!ours(claim(Path::new("/tmp"), 1944)));
    let any = Claim {
        port: None,
        ..claim(dir.path(), 0)
    };
    assert!(ours(any), "any module of this home");
    let whole = group_of(&kid.process(), &now);
    assert_eq!(whole.leader, kid.pid());
    assert_eq!(whole.spawn.as_deref(), Some(&*kid.spawn));
}

#[test]
fn a_holder_in_the_modules_folder_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("modules").join("vault");
    std::fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "cd '{}'; echo ready; exec env -i sleep 1000",
        folder.display()
    );
    let mut kid = Kid::new(&script);
    kid.line();
    let mut claim = Claim {
        owner: geteuid().as_raw(),
        ..Claim::default()
    };
    assert!(!is_ours(&kid.process(), &claim));
    claim.cwd = Some(folder);
    assert!(is_ours(&kid.process(), &claim));
    claim.cwd = Some("/".into());
    assert!(!is_ours(&kid.process(), &claim));
}

/// A daemon that was started from a login stands in its user's folder.
#[test]
fn a_shallow_folder_says_nothing_even_of_who_stands_in_it() {
    let mut kid = Kid::new("cd /usr/bin; echo ready; exec env -i sleep 1000");
    kid.line();
    let claim = Claim {
        owner: geteuid().as_raw(),
        cwd: Some("/usr/bin".into()),
        ..Claim::default()
    };
    assert!(!is_ours(&kid.process(), &claim));
}
