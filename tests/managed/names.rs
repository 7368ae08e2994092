//! Every name of a verb is answered for: beside the hub, twice, unknown, with a hub that does not
//! come up, and where services.json cannot be read.

use super::{change, detached, other_make, recorded, row_notes};
use crate::{
    fakes::hub::{Make, running},
    hub::Hub,
    sandbox::{Ran, Sandbox, alive, free_port, listens, until_true},
};
use serde_json::Value;

/// Names and what was done, in the document's order.
#[track_caller]
fn done(ran: &Ran) -> Vec<(String, String)> {
    let document = ran.json();
    let changes = document["changes"].as_array();
    let changes = changes.unwrap_or_else(|| panic!("{document}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |change: &Value| (text(&change["name"]), text(&change["did"]));
    changes.iter().map(one).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, did): &(&str, &str)| ((*name).to_owned(), (*did).to_owned());
    of.iter().map(own).collect()
}

#[test]
fn names_beside_the_hub_have_a_change_of_their_own() {
    let sandbox = Sandbox::new();
    sandbox.module("a", &[]);
    sandbox.module("b", &[]);
    detached(&sandbox);
    sandbox.say("stop a").expect(0);
    let again = sandbox.say("restart a nope hub --json").expect(3);
    let want = [("hub", "restarted"), ("a", "restarted"), ("nope", "failed")];
    assert_eq!(done(&again), pairs(&want));
    assert_eq!(change(&again, "nope")["error"]["code"], "not_installed");
    let pid = change(&again, "a")["pid"].as_u64().unwrap();
    assert_eq!(sandbox.row("a")["pid"], pid);
    let gone = sandbox.say("stop a nope hub --json").expect(3);
    let want = [("hub", "stopped"), ("a", "stopped"), ("nope", "failed")];
    assert_eq!(done(&gone), pairs(&want));
    assert!(!alive(u32::try_from(pid).unwrap()));
}

#[test]
fn what_is_named_beside_a_hub_kept_elsewhere_is_driven_by_itself() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("a", &[]);
    let hub = Hub::serve(&sandbox);
    until_true("a to be up", || sandbox.row("a")["state"] == "active");
    let again = sandbox.say("restart a hub --json").expect(1);
    let want = [("hub", "failed"), ("a", "restarted")];
    assert_eq!(done(&again), pairs(&want));
    let gone = sandbox.say("stop a nope hub --json").expect(1);
    let want = [("hub", "failed"), ("a", "stopped"), ("nope", "failed")];
    assert_eq!(done(&gone), pairs(&want));
    assert!(alive(hub.pid()) && !listens(port));
}

#[test]
fn a_name_that_is_given_twice_is_one_target() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    hub.module("vault", |m| {
        m.state = Some(running(4711));
        m.lines = vec!["one".into()];
    });
    let again = sandbox.say("restart vault parachute-vault vault --json");
    assert_eq!(done(&again.expect(0)), pairs(&[("vault", "restarted")]));
    let restarts = hub.seen().into_iter().filter(|l| l.ends_with("/restart"));
    assert_eq!(restarts.count(), 1);
    let failed = sandbox.say("stop nope nope --json").expect(3);
    assert_eq!(done(&failed), pairs(&[("nope", "failed")]));
    let lines = sandbox.say("logs vault parachute-vault vault").expect(0);
    assert_eq!(lines.out, "one\n");
}

#[test]
fn a_hub_that_does_not_come_up_fails_what_was_named_too() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    // Its process runs, its port stays silent.
    let _kept = recorded(&sandbox, free_port());
    for verb in ["start", "restart"] {
        let line = format!("{verb} web nope --timeout 1 --json");
        let failed = sandbox.say(&line).expect(1);
        let want = [("hub", "failed"), ("web", "failed"), ("nope", "failed")];
        assert_eq!(done(&failed), pairs(&want), "{verb}");
        let web = change(&failed, "web")["error"].clone();
        assert_eq!(web["code"], "timed_out", "{verb}: {web}");
        let said = web["message"].as_str().unwrap();
        assert_eq!(
            said,
            format!("it was not {verb}ed, for the hub is not up"),
            "{verb}"
        );
    }
    sandbox.say("start web --timeout 1").expect(6);
}

/// A box whose registry has become unreadable under its hub.
fn unreadable() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.module("a", &["--say", "a line of it"]);
    detached(&sandbox);
    until_true("a to be up", || sandbox.row("a")["state"] == "active");
    until_true("its line", || {
        sandbox.say("logs a").out.contains("a line of it")
    });
    sandbox.registry("{ broken");
    sandbox
}

#[test]
fn a_registry_that_cannot_be_read_hides_no_module_that_the_hub_runs() {
    let sandbox = unreadable();
    let lines = sandbox.say("logs a").expect(0).out;
    assert!(lines.contains("a line of it\n"), "{lines}");
    let did = |verb: &str| {
        let ran = sandbox.say(&format!("{verb} a --json")).expect(0);
        change(&ran, "a")["did"].as_str().unwrap().to_owned()
    };
    assert_eq!(did("start"), "already_running");
    assert_eq!(did("stop"), "stopped");
    sandbox.say("is-active a").expect(1);
    sandbox.say("wait a --for inactive --timeout 0").expect(0);
    sandbox.say("stop hub").expect(0);
}

#[test]
fn a_registry_that_cannot_be_read_is_the_reason_for_every_other_name() {
    let sandbox = unreadable();
    let code = |ran: &Ran, name: &str| {
        let error = change(ran, name)["error"].clone();
        assert!(error["hint"].is_string(), "{error}");
        error["code"].as_str().unwrap().to_owned()
    };
    for verb in ["start", "stop", "restart"] {
        let ran = sandbox.say(&format!("{verb} nope --json")).expect(1);
        assert_eq!(code(&ran, "nope"), "registry_broken", "{verb}");
    }
    for line in ["logs nope", "wait nope", "is-active nope", "status nope"] {
        let error = sandbox.say(&format!("{line} --json")).expect(1).json();
        assert_eq!(error["error"]["code"], "registry_broken", "{line}");
    }
    // Nobody can say what all of it is.
    for line in ["wait --timeout 0", "is-active"] {
        let error = sandbox.say(&format!("{line} --json")).expect(1).json();
        assert_eq!(error["error"]["code"], "registry_broken", "{line}");
    }
    assert_eq!(sandbox.say("health").expect(1).out, "failing\n");
    let row = sandbox.row("a");
    assert_eq!(row["state"], "active");
    assert_eq!(row_notes(&row), "", "{row}");
    sandbox.say("is-active hub").expect(0);
    sandbox.say("stop").expect(0);
}

#[test]
fn a_registry_that_cannot_be_read_starts_no_hub_for_a_name() {
    let sandbox = Sandbox::new();
    sandbox.registry("{ broken");
    let _kept = recorded(&sandbox, free_port());
    for verb in ["start", "stop", "restart"] {
        let ran = sandbox.say(&format!("{verb} a --json")).expect(1);
        assert_eq!(done(&ran), pairs(&[("a", "failed")]), "{verb}");
        let error = change(&ran, "a")["error"].clone();
        assert_eq!(error["code"], "registry_broken", "{verb}");
    }
}
