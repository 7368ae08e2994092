//! Which way a verb goes, and that a hub and detached modules are never driven side by side.

use super::{change, detached};
use crate::{
    hub::{self, Hub},
    sandbox::{EXE, Ran, Sandbox, alive, free_port, listens, root, until, until_true},
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

#[test]
fn a_hub_beside_detached_modules_is_refused_and_adopts_them_when_told() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    sandbox.say("start web").expect(0);
    let before = sandbox.pid("web");
    let hub_port = free_port().to_string();
    let start = |line: &str| -> Ran {
        let mut command = sandbox.command(line.split(' '));
        command.env("PORT", &hub_port).output().unwrap().into()
    };
    let refused = start("start hub").expect(1);
    assert!(
        refused.err.contains("without a hub: web"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("--adopt"), "{}", refused.err);
    assert!(alive(before) && listens(port), "it was touched");
    assert_eq!(sandbox.status()["way"], "detached");
    let done = start("start hub --adopt --json").expect(0);
    assert_eq!(change(&done, "hub")["did"], "started");
    assert!(done.err.contains("stopping web"), "{}", done.err);
    assert!(!alive(before), "two of them run");
    until_true("web under the hub", || {
        sandbox.row("web")["state"] == "active"
    });
    assert_eq!(sandbox.status()["manager"], "pidfile");
    sandbox.say("stop").expect(0);
}

#[test]
fn the_hub_is_started_stopped_and_restarted_by_name() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.say("stop hub").expect(0);
    detached(&sandbox);
    let first = sandbox.pid("hub");
    let again = sandbox.say("start hub --json").expect(0);
    assert_eq!(change(&again, "hub")["did"], "already_running");
    assert_eq!(change(&again, "hub")["pid"], first);
    let anew = sandbox.say("restart hub --json").expect(0);
    assert_eq!(change(&anew, "hub")["did"], "restarted");
    let second = sandbox.pid("hub");
    assert_ne!(first, second);
    assert!(!alive(first));
    // A restart returns when the hub answers: the next look finds it well.
    assert_eq!(sandbox.status()["hub"]["state"], "active");
    let gone = sandbox.say("stop hub --json").expect(0);
    assert_eq!(change(&gone, "hub")["did"], "stopped");
    assert!(!alive(second));
    assert!(!sandbox.at("hub/run/hub.pid").exists());
    assert_eq!(sandbox.status()["way"], "detached");
    let gone = sandbox.say("stop hub --json").expect(0);
    assert_eq!(change(&gone, "hub")["did"], "already_stopped");
}

#[test]
fn a_verb_without_a_name_says_what_it_acts_on() {
    let sandbox = Sandbox::new();
    sandbox.module("alpha", &[]);
    sandbox.module("beta", &[]);
    detached(&sandbox);
    for (verb, doing) in [
        ("start", "the hub runs already"),
        ("restart", "restarting the hub"),
        ("stop", "stopping the hub"),
    ] {
        let said = sandbox.say(verb).expect(0).err;
        let want = format!("{doing}, and with it alpha, beta\n");
        assert!(said.contains(&want), "{verb}: {said}");
    }
}

#[test]
fn a_start_of_everything_names_the_modules_that_a_running_hub_leaves_stopped() {
    let sandbox = Sandbox::new();
    sandbox.module("alpha", &[]);
    sandbox.module("beta", &[]);
    sandbox.module("gamma", &[]);
    detached(&sandbox);
    sandbox.say("stop alpha").expect(0);
    let said = sandbox.say("start").expect(0).err;
    let want = "the hub runs already, and with it beta, gamma\n\
                alpha is not running and left so: `parachute start alpha` starts it\n";
    assert_eq!(said, want);
    sandbox.say("stop gamma").expect(0);
    let said = sandbox.say("start").expect(0).err;
    assert!(
        said.contains(
            "alpha, gamma are not running and left so: \
             `parachute start alpha gamma` starts them\n"
        ),
        "{said}"
    );
    // Without a word of the hub's on its modules, nothing is said of them.
    fs::remove_file(sandbox.at("operator.token")).unwrap();
    assert_eq!(sandbox.say("start").expect(0).err, "the hub runs already\n");
    sandbox.say("stop").expect(0);
}

#[test]
fn names_that_are_nobodys_leave_the_hub_alone() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    let pid = sandbox.pid("hub");
    for verb in ["start", "stop", "restart"] {
        let failed = sandbox.say(&format!("{verb} nosuch --json")).expect(3);
        assert_eq!(change(&failed, "nosuch")["error"]["code"], "not_installed");
    }
    let some = sandbox.say("restart nosuch web --json").expect(3);
    assert_eq!(change(&some, "web")["did"], "restarted");
    assert_eq!(sandbox.pid("hub"), pid);
    sandbox.say("stop").expect(0);
}

#[test]
fn a_hub_kept_elsewhere_is_looked_at_and_not_touched() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    let hub = Hub::serve(&sandbox);
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    let status = sandbox.status();
    assert_eq!(status["manager"], "external");
    assert_eq!(status["hub"]["pid"], hub.pid());
    assert_eq!(status["hub"]["unit"], serde_json::Value::Null);
    let notes = super::row_notes(&status["hub"]);
    assert!(notes.contains("kept by a "), "{notes}");
    for verb in ["stop", "stop hub", "restart", "restart hub"] {
        let refused = sandbox.say(&format!("{verb} --json")).expect(1);
        let change = change(&refused, "hub");
        assert_eq!(change["error"]["code"], "refused", "{verb}: {change}");
        assert!(change["error"]["hint"].is_string(), "{verb}: {change}");
    }
    assert!(alive(hub.pid()) && listens(port), "it was touched");
    // Its modules are driven all the same.
    let done = sandbox.say("stop web --json").expect(0);
    assert_eq!(change(&done, "web")["did"], "stopped");
    let up = sandbox.say("start --json").expect(0);
    assert_eq!(change(&up, "hub")["did"], "already_running");
    sandbox.say("start web").expect(0);
    assert!(listens(port));
}

#[test]
fn a_hub_kept_elsewhere_that_is_wedged_is_its_boxs_hub_still() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let hub = Hub::serve(&sandbox);
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    let halt = |signal: &str| {
        let sent = Command::new("kill")
            .args([signal, &hub.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    halt("-STOP");
    let status = sandbox.say("status --json").expect(1).json();
    assert_eq!(status["way"], "managed");
    assert_eq!(status["hub"]["state"], "failing");
    // It runs under the hub that is wedged, and answers.
    assert_eq!(status["modules"][0]["state"], "active", "{status}");
    let start = sandbox.say("start web --timeout 1 --json");
    assert_ne!(start.code, 0, "{start:?}");
    halt("-CONT");
    let web = until("web to be seen again", || {
        let row = sandbox.row("web");
        row["pid"].is_u64().then_some(row)
    });
    assert!(alive(web["pid"].as_u64().unwrap() as u32));
    assert!(!sandbox.at("web/run/web.pid").exists() || sandbox.row("web")["state"] == "active");
}

#[test]
fn an_explicit_home_is_the_only_box_that_is_driven() {
    let (one, other) = (Sandbox::new(), Sandbox::new());
    one.module("web", &[]);
    let port = other.module("web", &[]);
    detached(&one);
    let elsewhere = other.home();
    let elsewhere = elsewhere.to_str().unwrap();
    let status = one
        .run(["--home", elsewhere, "status", "--json"])
        .expect(0)
        .json();
    assert_eq!(status["home"], elsewhere);
    assert_eq!(status["way"], "detached");
    one.run(["--home", elsewhere, "start", "web"]).expect(0);
    assert!(listens(port));
    let mut command = one.command(["stop"]);
    let ran: Ran = command
        .env("PARACHUTE_HOME", elsewhere)
        .output()
        .unwrap()
        .into();
    ran.expect(0);
    assert!(!listens(port));
    assert_eq!(one.status()["hub"]["state"], "active");
    one.say("stop").expect(0);
}

#[test]
fn a_container_is_said_in_its_own_words() {
    crate::needs_root!();
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let _hub = Hub::serve(&sandbox);
    // A marker in a mount namespace of its own; nothing of this machine changes.
    let script = format!(
        "mount -t tmpfs none /run && touch /run/.containerenv && \
         PARACHUTE_MANAGER=none HOME={} {EXE} status --json; {EXE} --home {} stop",
        sandbox.user_dir().display(),
        sandbox.home().display(),
    );
    let ran: Ran = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("PARACHUTE_MANAGER", "none")
        .output()
        .unwrap()
        .into();
    if ran.err.contains("unshare failed") || ran.err.contains("mount:") {
        eprintln!("skipped: no mount namespaces here: {}", ran.err);
        return;
    }
    assert!(ran.out.contains("kept by a container runtime"), "{ran:?}");
    assert!(
        ran.err.contains("ask a container runtime for it"),
        "{ran:?}"
    );
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_hub_of_another_user_is_theirs_and_said_to_be() {
    if !root() {
        eprintln!("skipped: needs root");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let _hub = Hub::serve(&sandbox);
    fs::set_permissions(sandbox.user_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where they may run it, wherever this tree is.
    let exe = sandbox.user_dir().join("parachute");
    fs::copy(EXE, &exe).unwrap();
    let ask = |line: &str| -> Ran {
        let inside = sandbox.command(line.split(' '));
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=4711", "--regid=4711", "--clear-groups"])
            .arg(&exe)
            .args(["--home", sandbox.home().to_str().unwrap()])
            .args(inside.get_args())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("PARACHUTE_MANAGER", "none")
            .output()
            .unwrap()
            .into()
    };
    let status = ask("status");
    assert!(status.out.contains("kept by the user root"), "{status:?}");
    let stop = ask("stop").expect(4);
    assert!(stop.err.contains("sudo -u root parachute"), "{stop:?}");
}

/// What this program would refuse is no advice.
#[test]
fn a_silent_hub_in_a_terminal_is_not_advised_to_be_restarted_from_here() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let hub = Hub::serve(&sandbox);
    hub.until_ready("web");
    hub.signal("STOP");
    let stop = sandbox.say("stop web").expect(5);
    hub.signal("CONT");
    assert!(stop.err.contains("does not answer"), "{stop:?}");
    assert!(!stop.err.contains("restart hub"), "{stop:?}");
}

#[test]
fn a_detached_hub_that_has_died_is_said_and_started_again() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    let pid = sandbox.pid("hub");
    let sent = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
    until_true("the hub to end", || !alive(pid));
    let status = sandbox.status();
    assert_eq!(status["way"], "detached");
    let notes = super::notes(&status);
    assert!(
        notes.contains("`parachute start hub` starts it again"),
        "{notes}"
    );
    sandbox.say("start hub").expect(0);
    assert_eq!(sandbox.status()["hub"]["state"], "active");
    sandbox.say("stop").expect(0);
}

#[test]
fn a_hub_that_cannot_start_shows_its_last_lines() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = sandbox.command(["start", "hub", "--timeout", "5"]);
    let ran: Ran = command
        .env("PORT", port.to_string())
        .output()
        .unwrap()
        .into();
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains(&format!("port {port}")), "{}", ran.err);
    assert!(!sandbox.at("hub/run/hub.pid").exists());
    assert!(listens(port));
}

#[test]
fn a_stale_port_of_a_dead_hub_does_not_hide_a_living_one() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.file("hub/run/hub.port", format!("{}\n", free_port()));
    let mut command = hub::command(&sandbox);
    let hub = Hub::of(&sandbox, &mut command);
    let status = until("the hub to be seen", || {
        let status = sandbox.status();
        (status["way"] == "managed").then_some(status)
    });
    assert_eq!(status["hub"]["port"], hub.port);
    assert!(fs::metadata(sandbox.at("hub-instance.json")).is_ok());
}
