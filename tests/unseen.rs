//! Modules that may not be looked into: who holds their port cannot be told, their health path can.

use crate::{
    needs_root,
    sandbox::{EXE, Ran, Sandbox},
};
use serde_json::Value;
use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{PermissionsExt, chown},
            process::CommandExt,
        },
    },
    process::{Command, Stdio},
};

/// `nobody`, on every machine.
const NOBODY: u32 = 65534;

/// A box of `nobody` with a module that is root's program with this mode.
fn theirs(mode: u32, habits: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.home()).unwrap();
    for path in [sandbox.user_dir().to_owned(), sandbox.home()] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let exe = sandbox.user_dir().join("server");
    fs::copy(EXE, &exe).unwrap();
    fs::set_permissions(&exe, fs::Permissions::from_mode(mode)).unwrap();
    let mut command = vec![exe.to_str().unwrap(), "__module"];
    command.extend(habits);
    sandbox.add("x", &command);
    sandbox
}

/// Runs the program as `nobody`.
fn as_nobody(sandbox: &Sandbox, line: &str) -> Ran {
    let exe = fs::File::open(EXE).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none")
        .env("PATH", "/usr/bin:/bin")
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .stdin(Stdio::null());
    command.output().unwrap().into()
}

fn row(sandbox: &Sandbox) -> Value {
    as_nobody(sandbox, "status --json").json()["modules"][0].clone()
}

/// The effective uid of a process.
fn runs_as(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("Uid:")).unwrap();
    line.split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn a_set_uid_module_is_ready_by_its_health_path_and_said_to_be() {
    needs_root!();
    let sandbox = theirs(0o4755, &[]);
    let ran = as_nobody(&sandbox, "start x");
    let pid = sandbox.pid("x");
    if runs_as(pid) != "0" {
        eprintln!("skipped: programs do not change their uid here");
        return;
    }
    let ran = ran.expect(0);
    assert!(
        ran.out.contains(&format!("started (pid {pid})"))
            && ran.err.contains("cannot be looked up"),
        "{ran:?}"
    );
    let row = row(&sandbox);
    assert_eq!(
        (&row["state"], &row["pid"]),
        (&"active".into(), &pid.into()),
        "{row}"
    );
    assert!(
        row["notes"].to_string().contains("cannot be looked up"),
        "{row}"
    );
    let ran = as_nobody(&sandbox, "start x").expect(0);
    assert!(
        ran.out.contains(&format!("already running (pid {pid})")),
        "{ran:?}"
    );
    // Nobody else's process is signalled.
    let ran = as_nobody(&sandbox, "stop x").expect(0);
    assert!(ran.err.contains("left alone"), "{ran:?}");
    assert!(crate::sandbox::alive(pid));
}

#[test]
fn a_health_path_that_fails_is_no_success_the_second_time_either() {
    needs_root!();
    // What may not be read may not be looked into while it runs.
    let sandbox = theirs(0o711, &["--health-status", "503"]);
    for verb in ["the first", "the second"] {
        let ran = as_nobody(&sandbox, "start x").expect(6);
        assert!(
            ran.err.contains("answers 503") && !ran.err.contains("nothing listens"),
            "{verb}: {ran:?}"
        );
        let error = &sandbox.registry_json()["services"][0]["lastStartError"];
        assert_eq!(error["error_type"], "started_but_unbound", "{verb}");
        assert_eq!(row(&sandbox)["state"], "failing", "{verb}");
    }
}

#[test]
fn a_live_health_path_is_one_the_second_time_too() {
    needs_root!();
    let sandbox = theirs(0o711, &[]);
    for word in ["started", "already running"] {
        let ran = as_nobody(&sandbox, "start x").expect(0);
        assert!(
            ran.out.contains(word) && ran.err.contains("cannot be looked up"),
            "{ran:?}"
        );
    }
}
