//! The hub as a container runs it: the first process of a pid namespace, ended by SIGTERM.

use crate::sandbox::{
    EXE, Guarded, PATIENCE, Sandbox, free_port, listens, root, until, until_true,
};
use std::{fs, process::Command, time::Instant};

/// The first process of the namespace that `unshare` made.
fn first(unshare: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[test]
fn ended_as_a_container_is_it_ends_its_modules_within_the_grace_and_says_zero() {
    if !root() {
        println!("skipped: needs root");
        return;
    }
    let sandbox = Sandbox::new();
    let port = sandbox.module("one", &[]);
    // One that has to be killed.
    let stubborn = sandbox.script(
        "stubborn",
        &format!("#!/bin/sh\ntrap '' TERM\n{EXE} __module & while :; do wait; done\n"),
    );
    let second = sandbox.add("two", &[&stubborn]);
    let hub_port = free_port();
    let mut command = Command::new("unshare");
    command
        .args([
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            EXE,
            "serve",
        ])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_HOME", sandbox.home())
        .env("PORT", hub_port.to_string())
        .env("PARACHUTE_BIND_HOST", "127.0.0.1")
        .env("container", "docker");
    let mut runtime = Guarded(command.spawn().unwrap());
    until_true("the hub to answer", || listens(hub_port));
    until_true("its modules to serve", || listens(port) && listens(second));

    // A look from within, as a health check or a person does it.
    let pid = until("the first process", || first(runtime.0.id()));
    let inside = |words: &[&str]| {
        Command::new("nsenter")
            .args(["-t", &pid.to_string(), "-p", "-m", EXE])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", sandbox.user_dir())
            .env("PARACHUTE_HOME", sandbox.home())
            .env("PARACHUTE_MANAGER", "none")
            .env("PORT", hub_port.to_string())
            .output()
            .unwrap()
    };
    let said = until("a healthy box", || {
        let done = inside(&["health"]);
        done.status.success().then_some(done)
    });
    assert_eq!(said.stdout, b"healthy\n");
    let status = String::from_utf8(inside(&["status"]).stdout).unwrap();
    assert!(status.contains("a container runtime"), "{status}");
    // From outside its number is another: the one it says of itself is this machine's first process.
    let outside = sandbox.status();
    assert_eq!(outside["manager"], "external", "{outside}");
    assert_eq!(outside["hub"]["pid"], pid, "{outside}");

    let begun = Instant::now();
    let ended = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .unwrap();
    assert!(ended.success());
    let code = until("the hub to end", || runtime.0.try_wait().unwrap());
    assert_eq!(code.code(), Some(0), "{code:?}");
    // The grace that the examples of compose and Kubernetes give.
    assert!(begun.elapsed().as_secs() < 20 && begun.elapsed() < PATIENCE);
    assert!(!listens(port) && !listens(second) && !listens(hub_port));
}
