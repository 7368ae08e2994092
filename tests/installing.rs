//! `install`, `upgrade` and `uninstall`: the hub does it, we watch.

use crate::{
    fakes::hub::Make,
    managed::{detached, other_make},
    sandbox::{Ran, Sandbox, until_true},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

fn operation(status: &str, log: &[&str], error: Value) -> Value {
    json!({"id": "op-1", "kind": "install", "short": "vault", "status": status, "log": log,
        "error": error, "startedAt": "2026-06-01T12:00:00.000Z", "finishedAt": null})
}

#[test]
fn an_operation_is_watched_and_each_line_of_its_log_shown_once() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    hub.with(|play| {
        play.operation = vec![
            operation("pending", &[], Value::Null),
            operation("running", &["fetching"], Value::Null),
            operation("running", &["fetching", "unpacking"], Value::Null),
            operation("succeeded", &["fetching", "unpacking", "done"], Value::Null),
        ];
    });
    let ran = sandbox.say("install parachute-vault").expect(0);
    assert_eq!(ran.err, "fetching\nunpacking\ndone\n");
    assert_eq!(ran.out, "✓ vault  installed\n");
    assert!(
        hub.seen()
            .contains(&"POST /api/modules/vault/install".to_owned())
    );
    let ran = sandbox.say("upgrade vault --json").expect(0);
    let document = ran.json();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["verb"], "upgrade");
    assert_eq!(document["name"], "vault");
    assert_eq!(document["operation"]["status"], "succeeded");
    assert_eq!(document["operation"]["log"].as_array().unwrap().len(), 3);
}

#[test]
fn an_operation_that_fails_is_a_failure_with_its_reason() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    let failed = operation("failed", &["fetching"], json!("no such package."));
    hub.with(|play| play.operation = vec![failed]);
    let ran = sandbox.say("install vault").expect(1);
    assert_eq!(ran.out, "");
    assert!(
        ran.err
            .starts_with("fetching\nerror: install vault failed: no such package\n"),
        "{}",
        ran.err
    );
    let document = sandbox.say("install vault --json").expect(1).json();
    assert_eq!(document["error"]["code"], "module_op_failed");
}

#[test]
fn a_hub_that_has_forgotten_the_operation_is_said() {
    let sandbox = Sandbox::new();
    let (_hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    let ran = sandbox.say("upgrade vault").expect(1);
    assert!(ran.err.contains("started again meanwhile"), "{}", ran.err);
}

#[test]
fn what_takes_longer_than_asked_for_goes_on_by_itself() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    hub.with(|play| play.operation = vec![operation("running", &[], Value::Null)]);
    let ran = sandbox.say("install vault --timeout 1").expect(6);
    assert!(
        ran.err.contains("still installing vault after 1 s"),
        "{}",
        ran.err
    );
}

#[test]
fn ctrl_c_leaves_the_operation_running_and_says_so() {
    for json in [false, true] {
        let sandbox = Sandbox::new();
        let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
        hub.with(|play| play.operation = vec![operation("running", &["fetching"], Value::Null)]);
        let mut command = sandbox.command(["install", "vault"]);
        if json {
            command.arg("--json");
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "fetching");
        let sent = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let ran: Ran = child.wait_with_output().unwrap().into();
        let ran = ran.expect(130);
        if json {
            assert_eq!(ran.json()["error"]["code"], "interrupted");
        } else {
            assert!(
                rest[0].contains("the hub goes on installing vault"),
                "{rest:?}"
            );
        }
    }
}

#[test]
fn a_module_is_uninstalled_by_the_hub() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_5);
    let ran = sandbox.say("uninstall vault").expect(0);
    assert_eq!(ran.out, "✓ vault  uninstalled\n");
    assert!(hub.with(|play| !play.modules.contains_key("vault")));
    let ran = sandbox.say("uninstall notes --json").expect(0);
    assert_eq!(ran.json()["verb"], "uninstall");
}

#[test]
fn a_hub_that_installs_nothing_says_so_in_a_sentence() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    for verb in ["install vault", "upgrade web", "uninstall web"] {
        let ran = sandbox.say(verb).expect(1);
        assert_eq!(ran.out, "");
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert!(ran.err.contains("does not install modules"), "{}", ran.err);
        let document = sandbox.say(&format!("{verb} --json")).expect(1).json();
        assert_eq!(document["error"]["code"], "not_implemented");
    }
    assert_eq!(sandbox.row("web")["state"], "active");
    sandbox.say("stop").expect(0);
}

#[test]
fn without_a_hub_there_is_nobody_to_install() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let ran = sandbox.say("install vault").expect(5);
    assert!(ran.err.contains("no hub runs on this box"), "{}", ran.err);
    assert!(ran.err.contains("hint: "), "{}", ran.err);
}
