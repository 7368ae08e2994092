use super::*;
use crate::os::kid::Kid;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_child_leads_its_own_session_with_a_clean_slate() {
    let mut kid = Kid::new(
        "ulimit -Sn; grep -E '^Sig(Blk|Ign)' /proc/self/status 2>&1; ls -l /proc/self/fd | grep -c socket: ; env | grep -c HOME; readlink /proc/self/fd/0; sleep 1000",
    );
    let p = kid.process();
    assert_eq!((p.session, p.group), (kid.pid(), kid.pid()));
    assert!(kid.number() > 0);
    if cfg!(target_os = "linux") {
        for _blocked_and_ignored in 0..2 {
            let line = kid.line();
            let set = u64::from_str_radix(&line[8..], 16).unwrap();
            // 32 and above are the C library's own.
            assert_eq!(set & 0x7fff_ffff, 0, "{line}");
        }
        assert_eq!(kid.line(), "0", "no socket leaks");
        assert_eq!(kid.line(), "0", "no variable leaks");
        assert_eq!(kid.line(), "/dev/null");
    }
}

#[test]
fn children_get_the_file_limit_that_we_found() {
    let before = getrlimit(Resource::Nofile);
    raise_file_limit();
    let mut kid = Kid::new("ulimit -Sn");
    let found = FILES.get().unwrap().current.map(|n| n.to_string());
    assert_eq!(kid.line(), found.unwrap_or("unlimited".into()));
    assert!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) >= before.current.unwrap_or(0));
}

#[test]
fn what_cannot_be_run_is_an_error_here() {
    let plan = Plan {
        program: "/no/such/program".into(),
        argv: vec!["x".into()],
        cwd: None,
        env: Vec::new(),
    };
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    let error = spawn(&plan, Output::Both(null()), true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let plan = Plan {
        program: "/bin/sh".into(),
        cwd: Some("/no/such/folder".into()),
        ..plan
    };
    let apart = Output::Apart {
        out: null(),
        err: null(),
    };
    assert_eq!(
        spawn(&plan, apart, true).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

#[cfg(target_os = "linux")]
#[test]
fn it_dies_with_the_thread_that_asked_for_it() {
    use crate::os::kid::{eventually, lives};
    let null = std::fs::File::open("/dev/null").unwrap().into();
    let plan = Plan {
        program: "/bin/sh".into(),
        argv: vec![
            "sh".into(),
            "-c".into(),
            "while :; do sleep 1000; done".into(),
        ],
        cwd: None,
        env: Vec::new(),
    };
    let thread = std::thread::spawn(move || {
        let child = spawn(&plan, Output::Both(null), true).unwrap();
        assert!(lives(child.id()));
        child
    });
    let mut child = thread.join().unwrap();
    eventually("it died", || !lives(child.id()));
    child.wait().unwrap();
    // Its own `sleep` is not of this process, and ends here.
    let left = crate::os::process::Snapshot::take().unwrap();
    for p in left.processes.iter().filter(|p| p.session == child.id()) {
        let _ = crate::os::process::signal(p, rustix::process::Signal::KILL);
    }
}

#[test]
fn programs_are_found_as_the_system_does() {
    let dir = tempfile::tempdir().unwrap();
    let make = |path: &str, mode| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let plain = make("one/tool", 0o644);
    let real = make("two/tool", 0o755);
    let only = make("one/plain", 0o644);
    std::fs::create_dir_all(dir.path().join("one/folder")).unwrap();
    let path = std::env::join_paths([dir.path().join("one"), dir.path().join("two")]).unwrap();
    assert_eq!(find("tool", None, &path), Found::Executable(real.clone()));
    assert_eq!(find("plain", None, &path), Found::NotExecutable(only));
    assert_eq!(find("folder", None, &path), Found::Missing);
    assert_eq!(find("none", None, &path), Found::Missing);
    assert_eq!(find("", None, &path), Found::Missing);
    let cwd = Some(dir.path());
    assert_eq!(
        find("two/tool", cwd, &path),
        Found::Executable(real.clone())
    );
    assert!(
        matches!(find("./one/tool", cwd, &path), Found::NotExecutable(p) if p.ends_with("one/tool"))
    );
    assert_eq!(
        find(plain.to_str().unwrap(), cwd, &path),
        Found::NotExecutable(plain)
    );
    let two = dir.path().join("two");
    assert_eq!(
        find("tool", Some(&two), OsStr::new("")),
        Found::Executable(real)
    );
}

#[test]
fn what_is_behind_a_closed_folder_is_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let make = |path: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        mode(&path, 0o755);
        path
    };
    let (hidden, open) = (make("closed/tool"), make("open/other"));
    let (closed, folder) = (dir.path().join("closed"), dir.path().join("open"));
    mode(dir.path(), 0o755);
    mode(&closed, 0o700);
    let path = std::env::join_paths([&closed, &folder]).unwrap();
    crate::os::kid::as_nobody(|| {
        let named = find(hidden.to_str().unwrap(), None, OsStr::new(""));
        assert_eq!(named, Found::OutOfReach(hidden.clone()));
        assert_eq!(find("tool", None, &path), Found::OutOfReach(hidden.clone()));
        assert_eq!(find("other", None, &path), Found::Executable(open.clone()));
        assert_eq!(find("none", None, folder.as_os_str()), Found::Missing);
        assert!(may_execute(&folder) && !may_execute(&closed));
    });
}
