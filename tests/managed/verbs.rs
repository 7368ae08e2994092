//! Verbs are judged by the state they reach, never by the 200 that brought it.

use super::{change, detached, other_make, recorded};
use crate::{
    fakes::{
        hub::{Make, Throw, crashed},
        rogue::{Rogue, Way},
    },
    sandbox::{Sandbox, free_port, listens},
};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_start_that_fails_is_a_failure_with_its_cause_and_its_lines() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("dies", "#!/bin/sh\necho cannot open the database\nexit 3\n");
    sandbox.add("dies", &[&script]);
    sandbox.module("late", &["--never-bind"]);
    sandbox.add("gone", &["/nowhere/at/all"]);
    let plain = sandbox.script("plain", "#!/bin/sh\n");
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.add("plain", &[&plain]);
    detached(&sandbox);
    let dies = sandbox.say("start dies --json").expect(1);
    let change_of = |name: &str, exit: i32| {
        change(
            &sandbox.say(&format!("start {name} --json")).expect(exit),
            name,
        )
    };
    assert_eq!(change(&dies, "dies")["did"], "failed");
    assert_eq!(change(&dies, "dies")["error"]["code"], "exited_early");
    assert_eq!(change_of("late", 6)["error"]["code"], "started_but_unbound");
    assert_eq!(change_of("gone", 1)["error"]["code"], "missing_dependency");
    assert_eq!(change_of("plain", 1)["error"]["code"], "non_executable");
    let said = sandbox.say("start dies").expect(1).err;
    assert!(said.contains("exit code 3"), "{said}");
    assert!(said.contains("| cannot open the database"), "{said}");
    let said = sandbox.say("restart late").expect(6).err;
    assert!(said.contains("warning: late: "), "{said}");
    // Targets that fail differently are a plain failure.
    sandbox.say("start late dies").expect(1);
    sandbox.say("stop").expect(0);
}

#[test]
fn an_install_folder_that_is_gone_is_named() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let mut registry = sandbox.registry_json();
    registry["services"][0]["installDir"] = json!("/nowhere/installed");
    sandbox.registry(registry.to_string());
    detached(&sandbox);
    let said = sandbox.say("start web").expect(1).err;
    assert!(said.contains("/nowhere/installed"), "{said}");
    sandbox.say("stop").expect(0);
}

#[test]
fn every_make_is_judged_by_the_state_it_reached() {
    for make in Make::ALL {
        let sandbox = Sandbox::new();
        let (hub, _kept, _) = other_make(&sandbox, make);
        let missing = json!({"error_type": "missing_dependency", "binary": "parachute-vault",
            "error_description": "parachute-vault is not on PATH", "why": null, "docs_url": null,
            "install": {"generic": "npm install it"}, "sysadmin_hint": null});
        hub.module("vault", |m| m.becomes = crashed(127, missing));
        let failed = change(&sandbox.say("start vault --json").expect(1), "vault");
        assert_eq!(
            failed["error"]["code"], "missing_dependency",
            "{make:?}: {failed}"
        );
        assert_eq!(
            failed["error"]["hint"], "npm install it",
            "{make:?}: {failed}"
        );
        let unbound = json!({"status": "running", "pid": 4711, "restartsInWindow": 0,
            "startError": {"error_type": "started_but_unbound", "error_description": "silent"}});
        hub.module("scribe", |m| m.becomes = unbound);
        let failed = change(&sandbox.say("start scribe --json").expect(6), "scribe");
        assert_eq!(failed["error"]["code"], "started_but_unbound", "{make:?}");
        let done = change(&sandbox.say("restart scribe --json").expect(6), "scribe");
        assert_eq!(done["did"], "failed");
    }
}

#[test]
fn a_restart_of_what_is_not_supervised_is_a_start() {
    for make in Make::ALL {
        let sandbox = Sandbox::new();
        let (hub, _kept, _) = other_make(&sandbox, make);
        let done = change(&sandbox.say("restart vault --json").expect(0), "vault");
        assert_eq!(done["did"], "restarted", "{make:?}");
        let posts: Vec<String> = hub
            .seen()
            .into_iter()
            .filter(|l| l.starts_with("POST"))
            .collect();
        assert_eq!(
            posts,
            [
                "POST /api/modules/vault/restart",
                "POST /api/modules/vault/start"
            ],
            "{make:?}"
        );
        let done = change(&sandbox.say("stop vault --json").expect(0), "vault");
        assert_eq!(done["did"], "stopped", "{make:?}");
        let done = change(&sandbox.say("stop scribe --json").expect(0), "scribe");
        assert_eq!(done["did"], "already_stopped", "{make:?}");
    }
}

#[test]
fn a_module_the_hub_cannot_drive_an_unknown_name_and_a_broken_hub_have_words_of_their_own() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_6_3);
    let code = |line: &str, exit: i32, name: &str| {
        let ran = sandbox.say(&format!("{line} --json")).expect(exit);
        change(&ran, name)["error"]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(code("start notes", 1, "notes"), "not_drivable");
    assert_eq!(code("start nosuch", 3, "nosuch"), "not_installed");
    hub.module("vault", |m| m.throws = Some(Throw::Reason("no folder")));
    assert_eq!(code("start vault", 1, "vault"), "module_op_failed");
    hub.module("vault", |m| m.throws = Some(Throw::Html));
    assert_eq!(code("start vault", 1, "vault"), "odd_hub");
    hub.with(|play| play.narrow = true);
    assert_eq!(code("start vault", 4, "vault"), "unauthorized");
    hub.with(|play| play.setup = true);
    assert_eq!(code("start vault", 1, "vault"), "setup_required");
}

#[test]
fn without_a_token_a_verb_says_what_to_run() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    std::fs::remove_file(sandbox.at("operator.token")).unwrap();
    let ran = sandbox.say("stop web --json").expect(4);
    let error = change(&ran, "web")["error"].clone();
    assert_eq!(error["code"], "unauthorized");
    assert!(
        error["hint"].as_str().unwrap().contains("`parachute"),
        "{error}"
    );
    // Stopping all of it needs no token.
    sandbox.say("stop").expect(0);
}

#[test]
fn stopping_a_module_of_a_hub_that_is_down_starts_nothing() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    detached(&sandbox);
    sandbox.say("stop").expect(0);
    let done = change(&sandbox.say("stop web --json").expect(0), "web");
    assert_eq!(done["did"], "already_stopped");
    assert!(!listens(port) && !sandbox.at("hub/run/hub.pid").exists());
}

#[test]
fn a_hub_that_runs_and_refuses_is_not_already_stopped() {
    // Its process is there, its port is not: nobody knows how its modules are.
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let _kept = recorded(&sandbox, free_port());
    let failed = change(&sandbox.say("stop web --json").expect(5), "web");
    assert_eq!(failed["error"]["code"], "hub_unreachable");
}

#[test]
fn another_program_on_the_hubs_port_is_neither_started_nor_stopped() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let rogue = Rogue::start(Way::Says("200 OK", String::new(), "It works!"));
    let _kept = recorded(&sandbox, rogue.port());
    let failed = change(&sandbox.say("start --json").expect(5), "hub");
    assert_eq!(failed["error"]["code"], "wrong_hub");
    let who = failed["error"]["message"].as_str().unwrap();
    assert!(
        who.contains(&format!("pid {}", std::process::id())),
        "{who}"
    );
}
