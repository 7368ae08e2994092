//! Boxes where something is wrong with the unit, with systemd or with the hub: what `status` says
//! then, and what the verbs do.

use super::{Box, USER, scenario::Actor};
use std::time::{Duration, Instant};

const FILE: &str = "/etc/systemd/system/parachute-hub.service";

impl Box {
    fn drop_in(&self, text: &str) {
        self.write(&format!("{FILE}.d/test.conf"), text);
        self.sh("systemctl daemon-reload");
    }
}

#[test]
fn a_hub_that_cannot_boot_is_failing_with_count_and_cause_not_pending() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.drop_in("[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=3s\nExecStart=\nExecStart=/usr/local/bin/parachute serve --nonsense\n");
    let failed = b.act(Actor::Root, &["restart", "hub"]).exits(1);
    assert!(failed.err.contains("exit code 2"), "{failed:?}");
    let status = b.act(Actor::Root, &["status", "--json"]).exits(1);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["hub"]["state"], "failing", "{status}");
    assert!(
        status["hub"]["notes"].to_string().contains("exit code 2"),
        "{status}"
    );
    b.wait_for("systemctl is-failed -q parachute-hub");
    let status = b.status(Actor::Root);
    assert_eq!(status["hub"]["state"], "failing", "{status}");
    // The cause is that of the last start, and there will be no other.
    let notes = status["hub"]["notes"].to_string();
    assert!(notes.contains("exit code 2"), "{status}");
    assert!(
        notes.contains("systemd does not start it again by itself"),
        "{status}"
    );
    // Stopped, it has failed no longer.
    let plan = b.act(Actor::Root, &["stop", "--dry-run"]).ok();
    assert!(plan.contains("forget the hub, which has failed"), "{plan}");
    let stopped = b.act(Actor::Root, &["stop"]).ok();
    assert!(stopped.contains("already stopped"), "{stopped}");
    b.act(Actor::Root, &["status"]).exits(0);
    let hub = b.row(Actor::Root, "hub");
    assert_eq!(hub["state"], "inactive", "{hub}");
    // Mended, it starts at once, whatever its limit says.
    b.sh(&format!("rm -r {FILE}.d; systemctl daemon-reload"));
    b.act(Actor::Root, &["start"]).ok();
    b.comes_up(Actor::Root);
}

#[test]
fn a_hub_that_hangs_is_ended_by_its_watchdog_and_comes_back() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.module("alpha", "3001", &[]);
    b.module("beta", "3002", &[]);
    b.act(Actor::Root, &["init", "--run-as", USER, "--no-start"])
        .ok();
    b.drop_in("[Service]\nWatchdogSec=5\nRestartSec=1\n");
    b.act(Actor::Root, &["start"]).ok();
    b.comes_up(Actor::Root);
    let pid = b.row(Actor::Root, "hub")["pid"].clone();
    b.sh(&format!("kill -STOP {pid}"));
    // While it hangs, nothing waits for it for long.
    let since = Instant::now();
    let status = b.status(Actor::Root);
    assert!(since.elapsed() < Duration::from_secs(20));
    assert_ne!(status["hub"]["state"], "active", "{status}");
    b.wait_for(&format!(
        "! test -e /proc/{pid} && systemctl is-active -q parachute-hub"
    ));
    b.all_well(Actor::Root);
}

#[test]
fn a_bus_that_is_down_does_not_hide_a_hub_that_is_up() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.sh("systemctl stop dbus.socket dbus.service");
    let status = b.act(Actor::Root, &["status", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(told["way"], "managed", "{told}");
    assert_eq!(told["home"], "/home/alex/.parachute", "{told}");
    assert_eq!(told["hub"]["state"], "active", "{told}");
    let refused = b.act(Actor::Root, &["restart", "hub"]).exits(5);
    assert!(refused.err.contains("cannot be reached"), "{refused:?}");
    // Neither it nor its hub can be asked.
    b.sh(
        "kill -9 $(systemctl show -p MainPID --value parachute-hub); \
          systemctl stop parachute-hub",
    );
    b.act(Actor::Root, &["status"]).exits(5);
    for verb in ["stop", "start", "restart"] {
        let unknown = b.act(Actor::Root, &[verb, "alpha"]).exits(5);
        assert!(unknown.err.contains("cannot be reached"), "{unknown:?}");
    }
    assert_eq!((b.pids("3001"), b.pids("3002")), (vec![], vec![]));
}

#[test]
fn a_unit_that_is_stopped_is_planned_for_and_started_as_what_it_is() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.comes_up(Actor::Root);
    b.act(Actor::Root, &["stop"]).ok();
    let plan = |args: &[&str]| b.act(Actor::Root, &[args, &["--dry-run"]].concat()).ok();
    assert_eq!(plan(&["stop"]), "would leave the hub stopped\n");
    assert_eq!(
        plan(&["stop", "alpha"]),
        "would leave alpha stopped, as its hub is\n"
    );
    assert_eq!(plan(&["start"]), "would have systemd start the hub\n");
    let started = b.act(Actor::Root, &["start"]).exits(0);
    assert!(
        started
            .err
            .contains("starting the hub, and with it alpha, beta\n"),
        "{started:?}"
    );
}

#[test]
fn logs_of_a_stopped_hub_of_other_make_are_its_own_and_not_those_of_an_older_era() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.module("web", "3001", &[]);
    b.write(
        FILE,
        "[Service]\nUser=alex\nEnvironment=PARACHUTE_HOME=/home/alex/.parachute\n\
         ExecStart=/usr/bin/bun /opt/parachute/hub.js serve\n",
    );
    b.sh("systemctl daemon-reload; systemctl enable parachute-hub 2>&1 || true");
    b.write("/home/alex/.parachute/web/logs/web.log", "of another era\n");
    b.write(
        "/home/alex/.parachute/hub/logs/hub.log",
        "hub up\n[web] from the hub log\n",
    );
    b.sh("chown -R alex: /home/alex/.parachute");
    let logs = b.act(
        Actor::Root,
        &["--home", "/home/alex/.parachute", "logs", "web"],
    );
    assert_eq!(logs.ok(), "from the hub log\n");
}

#[test]
fn a_unit_edited_by_hand_is_read_as_it_is() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.drop_in("[Service]\nEnvironment=PORT=2939\n");
    b.act(Actor::Root, &["restart", "hub"]).ok();
    assert_eq!(b.row(Actor::Root, "hub")["port"], 2939);
    b.comes_up(Actor::Root);
    // A user that does not exist.
    b.drop_in("[Service]\nUser=nobody-of-that-name\n");
    let failed = b.act(Actor::Root, &["restart", "hub"]);
    assert_ne!(failed.code, 0);
    let status = b.status(Actor::Root);
    let notes = status.to_string();
    assert!(
        notes.contains("217") || notes.contains("does not exist"),
        "{status}"
    );
    // No port at all.
    b.drop_in("[Service]\nEnvironment=PORT=0\n");
    let status = b.status(Actor::Root);
    assert!(
        status["hub"]["notes"].to_string().contains("which is none"),
        "{status}"
    );
    // No unit any more, in systemd's eyes.
    b.sh(&format!(
        "rm -r {FILE}.d; echo '[Service]' >{FILE}; systemctl daemon-reload"
    ));
    let status = b.status(Actor::Root);
    assert_eq!(status["way"], "managed", "{status}");
}

#[test]
fn a_legacy_box_beside_a_packaged_unit_stays_what_it_is() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.module("alpha", "3001", &[]);
    b.as_user(&["parachute", "start"]).ok();
    let unit = b
        .act(
            Actor::Root,
            &[
                "init",
                "--print",
                "--run-as",
                "root",
                "--home",
                "/var/lib/parachute",
                "--port",
                "2939",
            ],
        )
        .ok();
    b.write("/usr/lib/systemd/system/parachute-hub.service", &unit);
    b.sh("systemctl daemon-reload; systemctl enable --now parachute-hub");
    for actor in [Actor::User, Actor::Sudo] {
        if actor == Actor::Sudo {
            // Root's own scope has a live unit: that is root's box.
            assert_eq!(b.status(actor)["home"], "/var/lib/parachute");
            continue;
        }
        let done = b.act(actor, &["status", "--json"]).exits(0);
        let status: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(status["way"], "detached", "{status}");
        assert_eq!(status["home"], "/home/alex/.parachute", "{status}");
        assert_eq!(status["modules"][0]["state"], "active", "{status}");
        let told = format!("{}{}", done.out, done.err);
        assert!(told.contains("parachute-hub.service"), "{told}");
    }
    b.as_user(&["parachute", "stop"]).ok();
}

#[test]
fn a_stale_unit_of_a_module_is_named_with_the_command_that_ends_it() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.write(
        "/etc/systemd/system/parachute-alpha.service",
        "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\n[Install]\nWantedBy=multi-user.target\n",
    );
    b.sh("systemctl daemon-reload; systemctl enable --now parachute-alpha");
    let status = b.act(Actor::Root, &["status"]);
    let told = format!("{}{}", status.out, status.err);
    assert!(
        told.contains("systemctl disable --now parachute-alpha.service"),
        "{told}"
    );
}

#[test]
fn a_hub_that_is_never_ready_is_not_waited_for_longer_than_said() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.act(Actor::Root, &["stop"]).ok();
    b.drop_in(
        "[Service]\nExecStart=\nExecStart=/bin/sh -c 'echo waiting for nothing; sleep 600'\n",
    );
    let since = Instant::now();
    let late = b.act(Actor::Root, &["start", "--timeout", "2"]).exits(6);
    assert!(since.elapsed() < Duration::from_secs(30), "{late:?}");
    assert!(late.err.contains("waiting for nothing"), "{late:?}");
    assert_eq!(b.row(Actor::Root, "hub")["state"], "pending");
}

#[test]
fn who_may_not_read_the_token_sees_the_box_and_is_told_how_to_drive_it() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.sh("useradd -m -u 4343 bob");
    let bob = |args: &[&str]| -> super::Done {
        let mut command = b.command("setpriv");
        command.args(["--reuid=4343", "--regid=4343", "--init-groups", "parachute"]);
        command
            .args(args)
            .env("HOME", "/home/bob")
            .env("USER", "bob");
        command.output().unwrap().into()
    };
    b.sh("chmod 755 /home/alex");
    let status = bob(&["status", "--json"]).exits(0);
    let told: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(told["hub"]["state"], "active", "{told}");
    assert_eq!(told["modules"][0]["state"], "active", "{told}");
    let refused = bob(&["restart", "alpha"]).exits(4);
    assert!(
        refused.err.contains("`sudo -u alex parachute"),
        "{refused:?}"
    );
}
