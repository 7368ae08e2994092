//! What a hub is started with is its own: a file that its starter left open (a lock, a pipe) is
//! handed on to nobody.

use super::{Hub, module, one};
use crate::sandbox::{Sandbox, pids, until_true};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Who has a file open.
fn holders(path: &Path) -> Vec<u32> {
    let holds = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut files = files.into_iter().flatten().flatten();
        files.any(|file| fs::read_link(file.path()).is_ok_and(|to| to == path))
    };
    pids().into_iter().filter(holds).collect()
}

/// A command that is started with a file open, as under `flock`.
fn holding(sandbox: &Sandbox, command: &Command) -> (Command, PathBuf) {
    let path = sandbox.user_dir().join("held");
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "exec 7>\"$0\"; exec \"$@\""])
        .arg(&path)
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .current_dir(sandbox.user_dir())
        .stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    (shell, path)
}

#[test]
fn a_hub_hands_no_open_file_on() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let (mut command, path) = holding(&sandbox, &super::command(&sandbox));
    let out = fs::File::create(sandbox.user_dir().join("hub.out")).unwrap();
    let err = fs::File::create(sandbox.user_dir().join("hub.err")).unwrap();
    let hub = Hub::of(&sandbox, command.stdout(out).stderr(err));
    hub.until_ready("good");
    let child_of_hub = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("PPid:\t{}\n", hub.pid()))
    };
    // The module and the guardian.
    until_true("both", || {
        pids().iter().filter(|p| child_of_hub(p)).count() == 2
    });
    until_true("the guardian to be itself", || {
        holders(&path) == [hub.pid()]
    });
}

#[test]
fn a_detached_start_hands_no_open_file_on() {
    let sandbox = Sandbox::new();
    sandbox.module("good", &[]);
    let (mut command, path) = holding(&sandbox, &sandbox.command(["start", "good"]));
    assert!(command.output().unwrap().status.success());
    assert!(crate::sandbox::alive(sandbox.pid("good")));
    assert!(holders(&path).is_empty());
}
