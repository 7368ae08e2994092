use super::*;
use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    time::Duration,
};

const LIMIT: u64 = 1 << 20;

struct Box {
    _dir: tempfile::TempDir,
    home: Home,
    outside: PathBuf,
}

fn home() -> Box {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("home");
    let outside = dir.path().join("outside");
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "theirs").unwrap();
    Box {
        home: Home::new(root),
        outside,
        _dir: dir,
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn whole_files_with_their_modes_and_folders() {
    let b = home();
    replace(&b.home, "hub/keys/a.pem", 0o600, b"one").unwrap();
    assert_eq!(
        read(&b.home, "hub/keys/a.pem", LIMIT).unwrap().unwrap(),
        b"one"
    );
    assert_eq!(mode(&b.home.at("hub/keys/a.pem")), 0o600);
    assert_eq!(mode(&b.home.at("hub/keys")), 0o700);
    replace(&b.home, "hub/keys/a.pem", 0o644, b"two").unwrap();
    assert_eq!(mode(&b.home.at("hub/keys/a.pem")), 0o600, "stays narrow");
    assert_eq!(
        list(&b.home, "hub/keys").unwrap(),
        ["a.pem"],
        "no temp file left"
    );
    let mut log = append(&b.home, "vault/logs/vault.log", 0o644).unwrap();
    log.write_all(b"a\n").unwrap();
    let mut log = append(&b.home, "vault/logs/vault.log", 0o644).unwrap();
    log.write_all(b"b\n").unwrap();
    let log = read(&b.home, "vault/logs/vault.log", LIMIT).unwrap();
    assert_eq!(log.unwrap(), b"a\nb\n");
    rename(&b.home, "hub/keys/a.pem", "hub/keys/b.pem").unwrap();
    assert!(open(&b.home, "hub/keys/a.pem").unwrap().is_none());
    remove(&b.home, "hub/keys/b.pem").unwrap();
    remove(&b.home, "hub/keys/b.pem").unwrap();
}

#[test]
fn what_is_not_there_is_none_even_without_a_home() {
    let b = home();
    let gone = Home::new(b.home.root().join("nowhere"));
    assert!(read(&gone, "a", LIMIT).unwrap().is_none());
    assert!(open(&b.home, "no/such/file").unwrap().is_none());
    remove(&gone, "a").unwrap();
    assert!(list(&gone, "a").unwrap().is_empty());
    assert!(list(&b.home, "a").unwrap().is_empty());
    replace(&gone, "a", 0o644, b"made").unwrap();
    assert_eq!(read(&gone, "a", LIMIT).unwrap().unwrap(), b"made");
}

#[test]
fn a_limit_is_a_limit() {
    let b = home();
    replace(&b.home, "a", 0o644, b"12345").unwrap();
    assert!(read(&b.home, "a", 5).unwrap().is_some());
    assert!(read(&b.home, "a", 4).is_err());
    assert_eq!(read_start(&b.home, "a", 4).unwrap().unwrap(), b"1234");
}

#[test]
fn no_function_follows_a_link_out_of_the_home() {
    let b = home();
    symlink(b.outside.join("secret"), b.home.at("file")).unwrap();
    symlink("../outside/secret", b.home.at("relative")).unwrap();
    symlink(&b.outside, b.home.at("folder")).unwrap();
    for path in ["file", "relative", "folder/secret"] {
        for error in [
            read(&b.home, path, LIMIT).unwrap_err(),
            read_start(&b.home, path, 10).unwrap_err(),
            open(&b.home, path).unwrap_err(),
            append(&b.home, path, 0o644).unwrap_err(),
            lock(&b.home, path, Duration::ZERO).unwrap_err(),
        ] {
            assert_eq!(error.code, Code::HomeUnusable, "{path}: {error}");
            assert!(error.message.contains("leads out of the home"), "{error}");
        }
    }
    assert!(replace(&b.home, "folder/secret", 0o644, b"ours").is_err());
    assert!(replace(&b.home, "folder/new", 0o644, b"ours").is_err());
    assert!(replace(&b.home, "folder/deep/new", 0o644, b"ours").is_err());
    assert!(remove(&b.home, "folder/secret").is_err());
    replace(&b.home, "mine", 0o644, b"mine").unwrap();
    assert!(rename(&b.home, "mine", "folder/secret").is_err());
    assert!(rename(&b.home, "folder/secret", "mine").is_err());
    assert!(list(&b.home, "folder").is_err());
    // A link in the place of a file is itself what is replaced or removed.
    replace(&b.home, "file", 0o644, b"ours").unwrap();
    remove(&b.home, "relative").unwrap();
    let theirs = std::fs::read(b.outside.join("secret")).unwrap();
    assert_eq!(theirs, b"theirs");
    assert_eq!(std::fs::read_dir(&b.outside).unwrap().count(), 1);
}

#[test]
fn links_within_the_home_and_the_home_as_a_link_will_do() {
    let b = home();
    replace(&b.home, "real/a", 0o644, b"a").unwrap();
    symlink("real", b.home.at("folder")).unwrap();
    assert_eq!(read(&b.home, "folder/a", LIMIT).unwrap().unwrap(), b"a");
    let linked = b.outside.join("link");
    symlink(b.home.root(), &linked).unwrap();
    let linked = Home::new(linked);
    assert_eq!(read(&linked, "real/a", LIMIT).unwrap().unwrap(), b"a");
}

#[test]
fn paths_that_climb_are_refused() {
    let b = home();
    for path in [
        "../outside/secret",
        "a/../../outside/secret",
        "/etc/passwd",
        "",
    ] {
        assert!(read(&b.home, path, LIMIT).is_err(), "{path:?}");
        assert!(replace(&b.home, path, 0o644, b"").is_err(), "{path:?}");
    }
}

#[test]
fn an_absolute_path_beneath_the_home_will_do() {
    let b = home();
    replace(&b.home, b.home.registry(), 0o644, b"{}").unwrap();
    assert!(read(&b.home, "services.json", LIMIT).unwrap().is_some());
}

#[test]
fn what_is_no_regular_file_neither_hangs_nor_fills_memory() {
    let b = home();
    let made = std::process::Command::new("mkfifo")
        .arg(b.home.at("fifo"))
        .status();
    assert!(made.unwrap().success());
    std::fs::create_dir(b.home.at("dir")).unwrap();
    for path in ["fifo", "dir"] {
        let error = read(&b.home, path, LIMIT).unwrap_err();
        assert!(error.message.contains(path), "{error}");
        assert!(append(&b.home, path, 0o644).is_err());
        assert!(open(&b.home, path).is_err());
        assert!(lock(&b.home, path, Duration::ZERO).is_err());
    }
    let error = replace(&b.home, "dir", 0o644, b"x").unwrap_err();
    assert!(error.message.contains("dir"), "{error}");
}

#[test]
fn a_home_that_is_a_file_is_said() {
    let b = home();
    let odd = Home::new(b.outside.join("secret"));
    for error in [
        read(&odd, "a", LIMIT).unwrap_err(),
        replace(&odd, "a", 0o644, b"").unwrap_err(),
    ] {
        assert_eq!(error.code, Code::HomeUnusable);
        assert!(error.message.contains("is not a directory"), "{error}");
    }
}

#[test]
fn a_full_disk_is_said() {
    let b = home();
    let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
    let error = fault("write", &b.home, Path::new("a"), &full);
    assert!(
        error.message.ends_with("home/a: the disk is full"),
        "{error}"
    );
}

#[test]
fn a_lock_is_bounded_and_goes_with_its_holder() {
    let b = home();
    let held = lock(&b.home, "l", Duration::ZERO).unwrap();
    let error = lock(&b.home, "l", Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.code, Code::TimedOut);
    assert!(locked(&b.home, "l"));
    drop(held);
    assert!(!locked(&b.home, "l"));
    assert!(!locked(&b.home, "none"));
    lock(&b.home, "l", Duration::from_secs(10)).unwrap();
}

#[test]
fn folders_that_are_not_there_are_told_and_empty_ones_removed() {
    let b = home();
    std::fs::create_dir(b.home.at("a")).unwrap();
    let missing = |path: &str| missing_folders(&b.home, path).unwrap();
    assert_eq!(
        missing("a/b/c/file"),
        [Path::new("a/b/c"), Path::new("a/b")]
    );
    assert!(missing("file").is_empty() && missing("a/file").is_empty());
    let nowhere = Home::new(b.home.at("nowhere"));
    assert_eq!(missing_folders(&nowhere, "a/file").unwrap().len(), 1);

    replace(&b.home, "a/b/file", 0o644, b"").unwrap();
    remove_folder(&b.home, "a/b").unwrap();
    assert!(b.home.at("a/b/file").exists());
    remove(&b.home, "a/b/file").unwrap();
    for _ in 0..2 {
        remove_folder(&b.home, "a/b").unwrap();
        assert!(!b.home.at("a/b").exists());
    }
    symlink(&b.outside, b.home.at("folder")).unwrap();
    assert!(remove_folder(&b.home, "folder/deep").is_err());
}
