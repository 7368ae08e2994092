//! Root serves somebody else's home: as its owner, in the very process that was started.

use super::{NOBODY, theirs, tree};
use crate::{
    needs_root,
    sandbox::{Guarded, PATIENCE, Sandbox, free_port, listens, until, until_true},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixDatagram,
        process::CommandExt,
    },
    process::Command,
};

/// A hub of root's on `nobody`'s home, in a process group of its own.
fn serve(sandbox: &Sandbox, port: u16, more: &[(&str, &str)]) -> Guarded {
    let stream = |name| fs::File::create(sandbox.user_dir().join(name)).unwrap();
    let mut command = sandbox.command(["serve"]);
    command
        .env("PARACHUTE_HOME", sandbox.home())
        .env("PORT", port.to_string())
        .env("SECRET", "hunter2")
        .envs(more.iter().copied())
        .stdout(stream("hub.out"))
        .stderr(stream("hub.err"))
        .process_group(0);
    Guarded(command.spawn().unwrap())
}

#[test]
fn the_process_that_root_started_is_the_hub_and_has_its_place_and_its_keepers_word() {
    needs_root!();
    let (sandbox, module) = theirs();
    let manager = sandbox.user_dir().join("manager.sock");
    let socket = UnixDatagram::bind(&manager).unwrap();
    fs::set_permissions(&manager, fs::Permissions::from_mode(0o777)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |wanted: &str| {
        until_true(wanted, || {
            let mut said = [0; 1024];
            let n = socket.recv(&mut said).unwrap();
            let text = String::from_utf8_lossy(&said[..n]).into_owned();
            text.lines().any(|line| line.starts_with(wanted))
        });
    };
    let port = free_port();
    let keeper = [
        ("NOTIFY_SOCKET", manager.to_str().unwrap()),
        ("WATCHDOG_USEC", "300000"),
    ];
    let mut hub = serve(&sandbox, port, &keeper);
    let pid = hub.0.id();
    hear("READY=1");
    hear("WATCHDOG=1");
    let instance: Value = serde_json::from_str(&sandbox.text("hub-instance.json")).unwrap();
    assert_eq!(instance["pid"], pid);
    assert_eq!(instance["port"], port);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["Uid", "Gid"] {
        let wanted = format!("{line}:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n");
        assert!(status.contains(&wanted), "{status}");
    }
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environ).contains("hunter2"));
    until_true("its module", || listens(module));
    // What a terminal does for Ctrl-C: the whole group, once.
    let sent = Command::new("kill")
        .args(["-INT", "--", &format!("-{pid}")])
        .status();
    assert!(sent.unwrap().success());
    let end = until("the hub to end", || hub.0.try_wait().unwrap());
    let said = fs::read_to_string(sandbox.user_dir().join("hub.err")).unwrap();
    assert_eq!(end.code(), Some(0), "{said}");
    assert!(!said.contains("told twice"), "{said}");
    assert!(!listens(module));
    for path in tree(&sandbox.home()) {
        let uid = fs::symlink_metadata(&path).unwrap().uid();
        assert_eq!(uid, NOBODY, "{}", path.display());
    }
}

/// Note 12.
#[test]
fn killing_what_root_started_leaves_no_hub_and_no_module() {
    needs_root!();
    let (sandbox, module) = theirs();
    let port = free_port();
    let mut hub = serve(&sandbox, port, &[]);
    until_true("its module", || listens(port) && listens(module));
    hub.0.kill().unwrap();
    hub.0.wait().unwrap();
    until_true("all of it to be gone", || {
        !listens(port) && !listens(module)
    });
}
