//! `--dry-run` on a box with a hub, or on the way to one: what it says is what would happen.

use super::{detached, recorded};
use crate::{
    fakes::rogue::{Rogue, Way},
    hub::Hub,
    sandbox::{Ran, Sandbox, alive, free_port, until_true},
};
use serde_json::Value;

/// Each step: the target, and what would be done or the code of why not.
#[track_caller]
fn steps(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let steps = document["steps"].as_array();
    let steps = steps.unwrap_or_else(|| panic!("{document}"));
    let step = |step: &Value| {
        let what = match &step["error"] {
            Value::Null => &step["would"],
            error => &error["code"],
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{}: {}", text(&step["name"]), text(what))
    };
    steps.iter().map(step).collect()
}

#[test]
fn a_hub_kept_elsewhere_would_not_be_stopped() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let hub = Hub::serve(&sandbox);
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    let plan = |line: &str, exit| {
        steps(
            &sandbox
                .say(&format!("{line} --dry-run --json"))
                .expect(exit),
        )
    };
    for line in ["stop", "stop hub", "restart", "restart hub"] {
        assert_eq!(plan(line, 1), ["hub: refused"], "{line}");
    }
    assert_eq!(
        plan("stop web hub", 1),
        ["hub: refused", "web: ask the hub to stop web"]
    );
    assert_eq!(
        plan("restart web nope hub", 1),
        [
            "hub: refused",
            "web: ask the hub to restart web",
            "nope: not_installed"
        ]
    );
    assert_eq!(plan("start", 0), ["hub: leave the hub running"]);
    assert!(alive(hub.pid()), "it was touched");
}

#[test]
fn a_hub_kept_by_its_pidfile_is_planned_for_with_what_is_named_beside_it() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    let plan = |line: &str, exit| {
        steps(
            &sandbox
                .say(&format!("{line} --dry-run --json"))
                .expect(exit),
        )
    };
    assert_eq!(
        plan("stop", 0),
        ["hub: have pidfile stop the hub, and with it web"]
    );
    assert_eq!(
        plan("stop web nope hub", 3),
        [
            "hub: have pidfile stop the hub",
            "web: have web end with the hub",
            "nope: not_installed"
        ]
    );
    assert_eq!(
        plan("restart hub web", 0),
        [
            "hub: have pidfile restart the hub",
            "web: have web start with the hub"
        ]
    );
    assert_eq!(plan("start web web", 0), ["web: ask the hub to start web"]);
    sandbox.say("stop").expect(0);
}

#[test]
fn a_hub_beside_detached_modules_would_be_refused_or_adopt_them() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let start = ["hub: start a detached hub"];
    let plan = |line: &str| steps(&sandbox.say(&format!("{line} --dry-run --json")).expect(0));
    assert_eq!(plan("start hub"), start);
    sandbox.say("start web").expect(0);
    let pid = sandbox.pid("web");
    for verb in ["start", "restart"] {
        let refused = sandbox
            .say(&format!("{verb} hub --dry-run --json"))
            .expect(1);
        assert_eq!(refused.json()["error"]["code"], "refused", "{verb}");
        assert_eq!(
            plan(&format!("{verb} hub web --adopt")),
            [
                "hub: stop web, to start again under the hub",
                start[0],
                "web: ask the hub to start web"
            ]
        );
    }
    assert!(alive(pid), "it was touched");
    sandbox.say("stop").expect(0);
}

#[test]
fn a_hub_that_runs_and_does_not_answer_would_not_be_started() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    {
        let rogue = Rogue::start(Way::Silent);
        let _kept = recorded(&sandbox, rogue.port());
        let ran = sandbox.say("start web --dry-run --json").expect(5);
        assert_eq!(steps(&ran), ["hub: hub_wedged", "web: hub_wedged"]);
    }
    {
        let rogue = Rogue::start(Way::Hub("another"));
        sandbox.file("hub-instance.json", r#"{"instance":"mine"}"#);
        let _kept = recorded(&sandbox, rogue.port());
        let ran = sandbox.say("start --dry-run --json").expect(5);
        assert_eq!(steps(&ran), ["hub: wrong_hub"]);
    }
    let _kept = recorded(&sandbox, free_port());
    let ran = sandbox.say("start web --dry-run --json").expect(0);
    assert_eq!(
        steps(&ran),
        [
            "hub: wait for the hub, which runs and does not answer yet",
            "web: ask the hub to start web"
        ]
    );
    // Nobody of that name: the hub would not be touched for it.
    let ran = sandbox.say("start nope --dry-run --json").expect(3);
    assert_eq!(steps(&ran), ["nope: not_installed"]);
}
