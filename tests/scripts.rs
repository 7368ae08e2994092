//! The verbs for scripts: quiet, exact in their exit codes, one document with `--json`.

use crate::sandbox::{Sandbox, alive, until_true};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Runs a line that must say nothing at all.
#[track_caller]
fn quiet(sandbox: &Sandbox, line: &str, exit: i32) {
    let ran = sandbox.say(line).expect(exit);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{line}");
}

/// A box with one module that is up and one that is not.
fn mixed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.module("up", &[]);
    sandbox.module("down", &[]);
    sandbox.say("start up").expect(0);
    sandbox
}

#[test]
fn is_active() {
    let sandbox = mixed();
    quiet(&sandbox, "is-active up", 0);
    quiet(&sandbox, "is-active down", 1);
    quiet(&sandbox, "is-active", 1);
    assert!(
        sandbox
            .say("is-active nobody")
            .expect(3)
            .err
            .contains("no module `nobody`")
    );
    assert_eq!(
        sandbox.say("is-active up --json").expect(0).json()["active"],
        true
    );
    assert_eq!(
        sandbox.say("is-active down --json").expect(1).json()["active"],
        false
    );
    assert_eq!(
        sandbox.say("is-active nobody --json").expect(3).json()["error"]["code"],
        "not_installed"
    );
    sandbox.say("start").expect(0);
    quiet(&sandbox, "is-active", 0);
    quiet(&Sandbox::new(), "is-active", 1);
}

#[test]
fn is_installed() {
    let sandbox = mixed();
    quiet(&sandbox, "is-installed", 0);
    quiet(&sandbox, "is-installed down", 0);
    quiet(&sandbox, "is-installed nobody", 3);
    assert_eq!(
        sandbox.say("is-installed nobody --json").expect(3).json()["installed"],
        false
    );
    quiet(&Sandbox::new(), "is-installed", 3);
    let broken = Sandbox::new();
    broken.registry("{");
    assert!(
        broken
            .say("is-installed x")
            .expect(1)
            .err
            .contains("services.json")
    );
}

#[test]
fn health_is_one_word() {
    let sandbox = mixed();
    let word = |sandbox: &Sandbox, exit| sandbox.say("health").expect(exit).out;
    assert_eq!(word(&sandbox, 0), "healthy\n");
    assert_eq!(
        sandbox.say("health --json").expect(0).json()["health"],
        "healthy"
    );
    sandbox.say("stop").expect(0);
    assert_eq!(word(&sandbox, 1), "stopped\n");
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("down");
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    until_true("the crash", || !alive(pid));
    assert_eq!(word(&sandbox, 1), "failing\n");
    assert_eq!(word(&Sandbox::new(), 0), "empty\n");
    let broken = Sandbox::new();
    broken.registry("{");
    let ran = broken.say("health").expect(1);
    assert_eq!(ran.out, "failing\n");
    assert!(ran.err.contains("services.json"), "{}", ran.err);
}

#[test]
fn wait_returns_when_it_is_so() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &["--bind-after", "600"]);
    let start = sandbox
        .command(["start"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    quiet(&sandbox, "wait x --for active --timeout 25", 0);
    assert_eq!(sandbox.row("x")["state"], "active");
    assert!(start.wait_with_output().unwrap().status.success());
    quiet(&sandbox, "wait", 0);
    let stop = sandbox
        .command(["stop"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    quiet(&sandbox, "wait --for inactive --timeout 25", 0);
    assert!(stop.wait_with_output().unwrap().status.success());
    assert_eq!(
        sandbox.say("wait --for inactive --json").expect(0).json()["met"],
        true
    );
}

#[test]
fn wait_has_an_end() {
    let sandbox = mixed();
    let begun = Instant::now();
    let ran = sandbox.say("wait up down --timeout 1").expect(6);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(
        ran.err.contains("not active after 1 s: down"),
        "{}",
        ran.err
    );
    assert_eq!(ran.out, "");
    sandbox.say("wait up --for inactive --timeout 0").expect(6);
    assert_eq!(
        sandbox.say("wait down --timeout 0 --json").expect(6).json()["error"]["code"],
        "timed_out"
    );
    sandbox.say("wait nobody --timeout 0").expect(3);
    sandbox.say("wait --for perfect").expect(2);
    sandbox.say("wait --timeout -1").expect(2);
}

#[test]
fn wait_does_not_take_nothing_for_something() {
    let sandbox = Sandbox::new();
    sandbox.say("wait --timeout 0").expect(3);
    quiet(&sandbox, "wait --for inactive --timeout 0", 0);
    sandbox.registry("{");
    let ran = sandbox.say("wait --timeout 0").expect(1);
    assert!(ran.err.contains("services.json"), "{}", ran.err);
    for line in ["is-active x", "status x", "wait x --timeout 0"] {
        let ran = sandbox.say(line).expect(1);
        assert!(ran.err.contains("services.json"), "{line}: {}", ran.err);
    }
}
