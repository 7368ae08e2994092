//! Two boxes that think of one port, and hubs that listen where nobody asks: a box has its own hub or
//! none, and what runs of it is never driven side by side or lost.

use super::{change, recorded, row_notes};
use crate::{
    fakes::rogue::{Rogue, Way},
    hub::{self, Hub},
    sandbox::{Ran, Sandbox, alive, free_port, listens, until_true},
};

/// A box whose port is another's hub's, with a module that runs without a hub; its pid.
fn beside(hub: &Hub, line: &str) -> (Sandbox, u32, Ran) {
    let other = Sandbox::new();
    other.module("web", &[]);
    other.say("start web").expect(0);
    let pid = other.pid("web");
    let ran = with_port(&other, hub.port, line);
    (other, pid, ran)
}

fn with_port(sandbox: &Sandbox, port: u16, line: &str) -> Ran {
    let mut command = sandbox.command(line.split(' '));
    let command = command.env("PORT", port.to_string());
    command.output().unwrap().into()
}

#[test]
fn another_homes_hub_is_not_the_hub_that_is_started() {
    let (one, other) = (Sandbox::new(), Sandbox::new());
    one.module("web", &[]);
    other.module("web", &[]);
    let hub = Hub::serve(&one);
    for line in [
        "start hub --json",
        "restart hub --json",
        "start hub web --json",
    ] {
        let ran = with_port(&other, hub.port, line).expect(5);
        assert_eq!(change(&ran, "hub")["error"]["code"], "wrong_hub", "{ran:?}");
    }
    assert!(!other.at("hub/run/hub.pid").exists());
    assert_eq!(other.status()["way"], "detached");
    assert!(alive(hub.pid()));
}

/// The box has no record of a boot, as after every orderly stop; what it keeps runs, and so does the
/// other hub.
#[test]
fn another_homes_hub_is_asked_for_nothing_without_a_record_of_a_boot() {
    let (one, other) = (Sandbox::new(), Sandbox::new());
    one.module("web", &[]);
    other.module("web", &[]);
    let hub = Hub::serve(&one);
    until_true("web to be up", || one.row("web")["state"] == "active");
    let _kept = recorded(&other, hub.port);
    let status = other.say("status --json").expect(1).json();
    assert_eq!(status["hub"]["state"], "failing", "{status}");
    let note = row_notes(&status["hub"]);
    assert!(note.contains("another home's hub"), "{note}");
    assert!(note.contains(&hub.pid().to_string()), "{note}");
    for verb in ["start", "stop", "restart"] {
        let ran = other.run([verb, "web", "--json"]).expect(5);
        let changes = ran.json()["changes"].clone();
        assert_eq!(changes[0]["error"]["code"], "wrong_hub", "{verb}: {ran:?}");
    }
    assert_eq!(one.row("web")["state"], "active");
}

#[test]
fn nothing_is_stopped_for_a_hub_that_has_no_port() {
    let one = Sandbox::new();
    let hub = Hub::serve(&one);
    let (_other, pid, ran) = beside(&hub, "start hub web --adopt --json");
    assert_eq!(
        ran.expect(5).json()["error"]["code"],
        "wrong_hub",
        "another home's"
    );
    assert!(alive(pid));
    // A program that is no hub, and one that never says a word.
    for way in [Way::Says("200 OK", String::new(), "It works!"), Way::Silent] {
        let rogue = Rogue::start(way);
        let sandbox = Sandbox::new();
        let port = sandbox.module("web", &[]);
        sandbox.say("start web").expect(0);
        let pid = sandbox.pid("web");
        with_port(&sandbox, rogue.port(), "start hub --adopt").expect(5);
        assert!(alive(pid) && listens(port), "it was stopped");
        assert_eq!(sandbox.pid("web"), pid);
    }
}

#[test]
fn what_was_stopped_for_a_hub_that_does_not_come_runs_again() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    sandbox.module("idle", &[]);
    sandbox.say("start web").expect(0);
    let before = sandbox.pid("web");
    // No place for its keys.
    sandbox.file("hub/keys", "");
    let failed = with_port(&sandbox, free_port(), "start hub --adopt --json");
    assert_ne!(failed.code, 0, "{failed:?}");
    assert_eq!(change(&failed, "hub")["did"], "failed");
    assert!(failed.err.contains("starting web again"), "{}", failed.err);
    let status = sandbox.status();
    assert_eq!(status["way"], "detached", "{status}");
    assert_eq!(sandbox.row("web")["state"], "active");
    assert_eq!(sandbox.row("idle")["state"], "inactive");
    assert!(listens(port) && !alive(before));
    sandbox.say("stop").expect(0);
}

#[test]
fn a_hub_that_listens_where_nobody_asks_is_its_boxs_hub_still() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    let mut command = hub::command(&sandbox);
    let hub = Hub::of(&sandbox, command.env("PARACHUTE_BIND_HOST", "127.0.0.2"));
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    let status = sandbox.say("status --json").expect(1).json();
    assert_eq!(status["manager"], "external", "{status}");
    assert_eq!(status["hub"]["pid"], hub.pid());
    assert_eq!(status["hub"]["state"], "failing", "{status}");
    let note = row_notes(&status["hub"]);
    assert!(note.contains("it listens on 127.0.0.2"), "{note}");
    assert!(note.contains("PARACHUTE_BIND_HOST"), "{note}");
    for line in ["restart web", "start web", "stop web", "start"] {
        let ran = sandbox.say(line).expect(5);
        assert!(
            !ran.err.contains("`parachute start`"),
            "{line}: {}",
            ran.err
        );
    }
    assert!(listens(port) && alive(hub.pid()));
    assert!(
        !sandbox.at("web/run/web.pid").exists(),
        "a second one was started beside it"
    );
    // Its home by another name is its home.
    let link = sandbox.user_dir().join("link");
    std::os::unix::fs::symlink(sandbox.home(), &link).unwrap();
    let status = sandbox.run(["--home", link.to_str().unwrap(), "status", "--json"]);
    assert_eq!(status.expect(1).json()["manager"], "external");
}
