//! The contract's scenario on real systemds, with the real hub and real modules: installed by
//! `init`, driven by the verbs, through reboots and sudden deaths, as everybody who may act on it.

use super::{Box, Done, UID, USER};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Who acts, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// Root, on a unit of the machine.
    Root,
    /// The user, on their own unit.
    User,
    /// Root through sudo, on the user's unit.
    Sudo,
}

impl Box {
    pub(super) fn act(&self, actor: Actor, args: &[&str]) -> Done {
        let mut command = match actor {
            Actor::User => self.command_as_user(true, "parachute"),
            Actor::Root | Actor::Sudo => self.command("parachute"),
        };
        if actor == Actor::Sudo {
            command.envs([("SUDO_UID", UID.to_string()), ("SUDO_USER", USER.into())]);
        }
        command.args(args).output().unwrap().into()
    }

    #[track_caller]
    pub(super) fn status(&self, actor: Actor) -> Value {
        let done = self.act(actor, &["status", "--json"]);
        serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {done:?}"))
    }

    #[track_caller]
    pub(super) fn row(&self, actor: Actor, name: &str) -> Value {
        let status = self.status(actor);
        if name == "hub" {
            return status["hub"].clone();
        }
        let rows = status["modules"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("no {name} in {status}"))
            .clone()
    }

    /// Adds a module as the home's owner.
    pub(super) fn module(&self, name: &str, port: &str, habits: &[&str]) {
        let add = ["parachute", "add", name, "--port", port, "--"];
        let module = ["/usr/local/bin/parachute", "__module"];
        self.as_user(&[&add[..], &module, habits].concat()).ok();
    }

    /// A box of [`USER`]'s with two modules and the hub's unit, up.
    pub(super) fn hub(&self, actor: Actor) {
        self.user(false);
        self.module("alpha", "3001", &[]);
        self.module("beta", "3002", &[]);
        match actor {
            Actor::Root => {
                let told = self.act(actor, &["init", "--run-as", USER]).ok();
                assert!(told.contains("hub started"), "{told}");
            }
            Actor::User | Actor::Sudo => {
                let told = self.act(Actor::User, &["init"]).ok();
                assert!(told.contains("http://127.0.0.1:1939"), "{told}");
            }
        }
    }
}

impl Box {
    /// Pids of a module's processes, whoever counts it.
    pub(super) fn pids(&self, name: &str) -> Vec<u32> {
        let script = format!(
            "for p in $(pgrep -x parachute); do \
             tr '\\0' '\\n' <\"/proc/$p/environ\" 2>/dev/null | grep -qx PORT={name} && \
             grep -qa __module \"/proc/$p/cmdline\" && echo $p; done; true"
        );
        let text = self.sh(&script);
        text.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    /// Both modules and the hub are active, each of them once, at the latest before long.
    #[track_caller]
    pub(super) fn all_well(&self, actor: Actor) {
        self.comes_up(actor);
        let status = self.status(actor);
        assert_eq!(status["way"], "managed", "{status}");
        assert_eq!(status["manager"], "systemd", "{status}");
        assert_eq!(status["hub"]["state"], "active", "{status}");
        for (at, port) in ["3001", "3002"].iter().enumerate() {
            let row = &status["modules"][at];
            assert_eq!(row["state"], "active", "{status}");
            let pid = row["pid"].as_u64().unwrap();
            assert_eq!(self.pids(port), [u32::try_from(pid).unwrap()], "{status}");
        }
    }

    /// A sudden death, seen by whoever waits for it.
    fn ends(&self, pid: &str) {
        self.sh(&format!("kill -9 {pid}"));
        self.wait_for(&format!("! test -e /proc/{pid}"));
    }

    pub(super) fn comes_up(&self, actor: Actor) {
        let by = Instant::now() + Duration::from_secs(90);
        loop {
            let status = self.status(actor);
            let active = |row: &Value| row["state"] == "active";
            let modules = status["modules"].as_array().unwrap();
            if active(&status["hub"]) && modules.iter().all(active) && !modules.is_empty() {
                return;
            }
            assert!(Instant::now() < by, "never up: {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What every way to keep a hub must do.
fn the_contract(actor: Actor) {
    let Some(mut b) = Box::start() else { return };
    b.hub(actor);
    b.all_well(actor);
    let scope = if actor == Actor::Root {
        "system"
    } else {
        "user"
    };
    let hub = b.row(actor, "hub");
    assert_eq!(hub["unit"]["scope"], scope);
    assert_eq!(hub["unit"]["enabled"], true);
    assert_eq!(b.status(actor)["home"], format!("/home/{USER}/.parachute"));
    let owner = b.sh(&format!(
        "stat -c %U /home/{USER}/.parachute/operator.token"
    ));
    assert_eq!(owner.trim(), USER);

    // Up already: nothing is started twice.
    let again = b.act(actor, &["start"]).ok();
    assert!(again.contains("already running"), "{again}");
    assert_eq!(b.row(actor, "hub")["pid"], hub["pid"]);

    // One module.
    let before = b.pids("3001");
    b.act(actor, &["stop", "alpha"]).ok();
    assert_eq!(b.row(actor, "alpha")["state"], "inactive");
    assert_eq!(b.pids("3001"), [0; 0]);
    b.act(actor, &["start", "alpha"]).ok();
    b.all_well(actor);
    assert_ne!(b.pids("3001"), before);
    let before = b.pids("3002");
    b.act(actor, &["restart", "beta"]).ok();
    b.all_well(actor);
    assert_ne!(b.pids("3002"), before);

    // The hub: back once the verb returns, its modules with it.
    b.act(actor, &["restart", "hub"]).ok();
    assert_ne!(b.row(actor, "hub")["pid"], hub["pid"]);
    b.all_well(actor);

    // A module dies, then the hub: each comes back, once.
    b.ends(&b.pids("3001")[0].to_string());
    b.all_well(actor);
    b.ends(&b.row(actor, "hub")["pid"].to_string());
    b.all_well(actor);

    // Down, and what that means for one of its modules.
    b.act(actor, &["stop"]).ok();
    let status = b.act(actor, &["status", "--json"]).exits(0);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["hub"]["state"], "inactive", "{status}");
    assert_eq!(status["modules"][0]["state"], "inactive", "{status}");
    assert_eq!((b.pids("3001"), b.pids("3002")), (vec![], vec![]));
    let stopped = b.act(actor, &["stop", "alpha"]).ok();
    assert!(stopped.contains("already stopped"), "{stopped}");
    assert_eq!(b.row(actor, "hub")["state"], "inactive");
    b.act(actor, &["start"]).ok();
    b.all_well(actor);
    let logs = b.act(actor, &["logs", "hub", "-n", "200"]).ok();
    assert!(logs.contains("listening on"), "{logs}");

    // By themselves after a power cut.
    b.reboot();
    b.wait_for("ss -Hltn 'sport = 3001' | grep -q . && ss -Hltn 'sport = 3002' | grep -q .");
    b.all_well(actor);
    b.act(
        if actor == Actor::Sudo {
            Actor::User
        } else {
            actor
        },
        &["uninstall-unit"],
    )
    .ok();
    assert_eq!((b.pids("3001"), b.pids("3002")), (vec![], vec![]));
}

#[test]
fn root_with_a_system_unit() {
    the_contract(Actor::Root);
}

#[test]
fn a_lingering_user_with_a_unit_of_their_own() {
    the_contract(Actor::User);
}

#[test]
fn root_through_sudo_on_a_users_unit() {
    the_contract(Actor::Sudo);
}

#[test]
fn a_user_sees_a_system_unit_drives_its_modules_and_may_not_drive_its_hub() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.sh(&format!("loginctl enable-linger {USER}"));
    b.wait_for(&format!("test -S /run/user/{UID}/bus"));
    b.all_well(Actor::User);
    assert_eq!(b.row(Actor::User, "hub")["unit"]["scope"], "system");
    b.act(Actor::User, &["restart", "alpha"]).ok();
    b.all_well(Actor::User);
    let pid = b.row(Actor::User, "hub")["pid"].clone();
    for verb in ["stop", "restart"] {
        let refused = b.act(Actor::User, &[verb, "hub"]).exits(4);
        let command = format!("`sudo parachute {verb} hub`");
        assert!(refused.err.contains(&command), "{refused:?}");
    }
    assert_eq!(b.row(Actor::User, "hub")["pid"], pid);
    // Without a session, the same.
    let status = b
        .command_as_user(false, "parachute")
        .args(["status"])
        .output()
        .unwrap();
    assert_eq!(Done::from(status).code, 0);
    // Nothing of theirs was started beside it.
    b.all_well(Actor::Root);
}
