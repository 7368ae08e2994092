//! Looking at, starting and stopping the hub's unit, on real systemds.

use super::{
    Box, UID, USER,
    driver::As::{Cron, Root, User},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    process::Stdio,
    time::Duration,
};

const FILE: &str = "/etc/systemd/system/parachute-hub.service";

/// A unit whose hub is a shell script.
fn unit(script: &str, more: &str) -> String {
    format!(
        "[Unit]\nStartLimitIntervalSec=300\nStartLimitBurst=3\n[Service]\nType=notify\n\
         NotifyAccess=all\nExecStart=/bin/bash -c '{script}'\n{more}\n\
         [Install]\nWantedBy=multi-user.target default.target\n"
    )
}

const WELL: &str = "systemd-notify --ready; exec sleep infinity";

impl Box {
    fn install(&self, script: &str, more: &str) {
        self.write(FILE, &unit(script, more));
        self.sh("systemctl daemon-reload");
    }

    #[track_caller]
    fn state(&self) -> Value {
        self.drive(Root, "look system").unwrap()["state"].clone()
    }
}

#[test]
fn a_system_unit_is_seen_started_restarted_and_stopped() {
    let Some(b) = Box::start() else { return };
    assert_eq!(b.drive(Root, "find system"), Ok(Value::Null));
    b.install(
        WELL,
        "Environment=PORT=2939 \"PARACHUTE_HOME=/srv/a box/home\"\nUser=nobody",
    );
    b.sh("systemctl enable parachute-hub");
    let look = b.drive(Root, "look system").unwrap();
    assert_eq!(look["state"], "Stopped");
    assert_eq!(look["home"], "/srv/a box/home");
    assert_eq!(look["port"], 2939);
    assert_eq!(look["uid"], 65534);
    assert_eq!(look["enabled"], true);
    assert_eq!(look["ours"], false);
    assert_eq!(look["path"], FILE);

    b.drive(Root, "start system").unwrap();
    let first = b.state()["Running"]["pid"].clone();
    assert_eq!(
        first,
        b.sh("systemctl show -p MainPID --value parachute-hub")
            .trim()
            .parse::<u32>()
            .unwrap()
    );
    b.drive(Root, "start system").unwrap();
    assert_eq!(b.state()["Running"]["pid"], first);
    b.drive(Root, "restart system").unwrap();
    assert_ne!(b.state()["Running"]["pid"], first);
    b.drive(Root, "stop system").unwrap();
    assert_eq!(b.state(), "Stopped");
    b.drive(Root, "stop system").unwrap();
}

#[test]
fn a_users_unit_is_found_without_a_session_and_by_root() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    // Nobody there, no file: no unit and no error.
    assert_eq!(b.drive(Cron, "find user"), Ok(Value::Null));
    let dir = format!("/home/{USER}/.config/systemd/user");
    b.write(&format!("{dir}/parachute-hub.service"), &unit(WELL, ""));
    b.sh(&format!("chown -R {USER}: /home/{USER}"));
    let error = b.drive(Cron, "find user").unwrap_err();
    assert_eq!(error["code"], "manager_unreachable");
    assert!(
        error["hint"].to_string().contains("loginctl enable-linger"),
        "{error}"
    );
    assert!(error["message"].to_string().contains(&dir), "{error}");

    b.user(true);
    for who in [Cron, User] {
        let look = b.drive(who, "find user").unwrap();
        assert_eq!(look["scope"], "user");
        assert_eq!(look["home"], format!("/home/{USER}/.parachute"));
        assert_eq!(look["uid"], UID);
        assert_eq!(look["enabled"], false);
    }
    b.drive(Cron, "start user").unwrap();
    let look = b.drive(Cron, "look user").unwrap();
    assert!(
        look["state"]["Running"]["pid"].as_u64().unwrap() > 1,
        "{look}"
    );
    let logs = b.drive(User, "logs user");
    assert!(logs.is_ok(), "{logs:?}");
    // Somebody else's runtime folder, as plain `su` leaves it.
    let mut su = b.command_as_user(false, "/usr/local/bin/it");
    su.args(["systemd::driver::act", "--exact", "--nocapture"]);
    su.envs([
        ("PARACHUTE_TEST_ACT", "look user"),
        ("XDG_RUNTIME_DIR", "/run/user/0"),
    ]);
    let out = super::Done::from(su.output().unwrap()).ok();
    assert!(out.contains("Running"), "{out}");
}

#[test]
fn a_failure_has_its_cause() {
    let Some(b) = Box::start() else { return };
    let failed = |cause: Value| json!({"Failed": {"cause": cause}});
    for (script, more, cause) in [
        ("echo the reason; exit 7", "", json!({"Exit": 7})),
        ("kill -SEGV $$$$", "", json!({"Signal": 11})),
        ("sleep 60", "TimeoutStartSec=300ms", json!("Timeout")),
        (
            "systemd-notify --ready; systemd-notify WATCHDOG=trigger; sleep 60",
            "",
            json!("Watchdog"),
        ),
        (
            "exit 0",
            "",
            json!({"Other": "it never said that it is ready"}),
        ),
        ("true", "User=nosuchuser", json!({"Exit": 217})),
    ] {
        b.install(script, more);
        let error = b.drive(Root, "start system");
        if cause == "Watchdog" {
            b.wait_for("systemctl is-failed -q parachute-hub");
        } else {
            let error = error.unwrap_err();
            assert_eq!(error["code"], "unit_failed", "{error}");
            if script.contains("reason") {
                assert!(error["log"].to_string().contains("the reason"), "{error}");
                assert!(
                    error["message"].to_string().contains("exit code 7"),
                    "{error}"
                );
            }
        }
        assert_eq!(b.state(), failed(cause), "{script}");
    }
    // A failed unit is started again, start limit or not.
    let quits = "systemd-notify --ready; exit 0";
    b.install(quits, "Restart=always\nRestartSec=100ms");
    b.sh("systemctl start --no-block parachute-hub");
    b.wait_for("systemctl is-failed -q parachute-hub");
    assert_eq!(b.state(), failed(json!("StartLimit")));
    b.install(WELL, "");
    b.drive(Root, "start system").unwrap();
    assert!(b.state()["Running"].is_object());
}

/// The limit is for starts that nobody asked for.
#[test]
fn a_hub_that_is_well_is_started_and_restarted_as_often_as_one_likes() {
    let Some(b) = Box::start() else { return };
    b.install(WELL, "");
    for _ in 0..5 {
        b.drive(Root, "start system").unwrap();
        b.drive(Root, "restart system").unwrap();
        b.drive(Root, "stop system").unwrap();
    }
    assert_eq!(b.state(), json!("Stopped"));
}

#[test]
fn a_unit_that_fails_again_and_again_is_retrying_then_failed_not_pending() {
    let Some(b) = Box::start() else { return };
    b.install("exit 9", "Restart=always\nRestartSec=3");
    b.drive(Root, "start system").unwrap_err();
    let state = b.state();
    assert_eq!(state["Retrying"]["cause"]["Exit"], 9, "{state}");
    b.wait_for("systemctl is-failed -q parachute-hub");
    assert_eq!(b.state()["Failed"]["cause"]["Exit"], 9);
    assert_eq!(b.drive(Root, "look system").unwrap()["restarts"], 3);
}

#[test]
fn on_the_way_up_and_down_is_shown_as_such() {
    let Some(b) = Box::start() else { return };
    b.install(
        "trap \"until [ -e /run/down ]; do sleep .05; done; exit 0\" TERM; \
         until [ -e /run/up ]; do sleep .05; done; systemd-notify --ready; \
         while :; do sleep .05; done",
        "KillMode=mixed",
    );
    b.sh("systemctl start --no-block parachute-hub");
    b.wait_for("systemctl show -p ActiveState parachute-hub | grep -q =activating");
    assert_eq!(b.state(), "Starting");
    b.sh("touch /run/up");
    b.wait_for("systemctl is-active -q parachute-hub");
    b.sh("systemctl stop --no-block parachute-hub");
    b.wait_for("systemctl show -p ActiveState parachute-hub | grep -q =deactivating");
    assert_eq!(b.state(), "Stopping");
    b.sh("touch /run/down");
    b.drive(Root, "stop system").unwrap();
    assert_eq!(b.state(), "Stopped");
}

#[test]
fn masked_bad_setting_and_missing_are_told_apart() {
    let Some(b) = Box::start() else { return };
    b.sh("systemctl mask parachute-hub.service");
    assert_eq!(b.state(), "Masked");
    let error = b.drive(Root, "start system").unwrap_err();
    assert_eq!(error["code"], "refused");
    assert!(
        error["hint"].to_string().contains("systemctl unmask"),
        "{error}"
    );
    b.sh("systemctl unmask parachute-hub.service");
    b.write(FILE, "[Service]\nExecStart=not/absolute\n");
    b.sh("systemctl daemon-reload");
    let state = b.state();
    assert!(
        state["Broken"]["said"].to_string().contains("bad"),
        "{state}"
    );
    let error = b.drive(Root, "start system").unwrap_err();
    assert!(
        error["hint"].to_string().contains("systemd-analyze verify"),
        "{error}"
    );
    b.sh(&format!("rm {FILE}; systemctl daemon-reload"));
    assert_eq!(b.state(), "NotInstalled");
    assert_eq!(
        b.drive(Root, "start system").unwrap_err()["code"],
        "not_installed"
    );
}

#[test]
fn a_condition_that_is_not_met_and_a_dependency_that_fails_are_said() {
    let Some(b) = Box::start() else { return };
    b.write(
        FILE,
        &format!(
            "[Unit]\nConditionPathExists=/nonexistent\n{}",
            &unit(WELL, "")["[Unit]\n".len()..]
        ),
    );
    b.sh("systemctl daemon-reload");
    let error = b.drive(Root, "start system").unwrap_err();
    assert!(
        error["message"].to_string().contains("condition"),
        "{error}"
    );
    b.write(
        "/etc/systemd/system/broken.service",
        "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    );
    b.write(
        FILE,
        &format!(
            "[Unit]\nRequires=broken.service\nAfter=broken.service\n{}",
            &unit(WELL, "")["[Unit]\n".len()..]
        ),
    );
    b.sh("systemctl daemon-reload");
    let error = b.drive(Root, "start system").unwrap_err();
    assert!(
        error["message"]
            .to_string()
            .contains("a unit that it needs failed"),
        "{error}"
    );
}

#[test]
fn out_of_memory_is_a_cause() {
    let Some(b) = Box::start() else { return };
    b.install(WELL, "OOMPolicy=stop");
    b.drive(Root, "start system").unwrap();
    // What systemd-oomd leaves on the cgroup of what it ends.
    let cgroup = b.sh("systemctl show -p ControlGroup --value parachute-hub");
    let act = format!("oom-mark /sys/fs/cgroup{}", cgroup.trim());
    b.drive(Root, &act).unwrap();
    b.sh("kill -9 $(systemctl show -p MainPID --value parachute-hub)");
    b.wait_for("systemctl is-failed -q parachute-hub");
    assert_eq!(b.state(), json!({"Failed": {"cause": "OutOfMemory"}}));
}

#[test]
fn the_units_environment_files_and_drop_ins_count() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.write(
        "/etc/parachute.env",
        "PORT=3939\nPARACHUTE_HOME='/srv/there'\n",
    );
    b.install(WELL, "Environment=PORT=1\nUser=alex");
    b.write(
        &format!("{FILE}.d/more.conf"),
        "[Service]\nEnvironmentFile=/etc/parachute.env\n",
    );
    b.sh("systemctl daemon-reload");
    let look = b.drive(Root, "look system").unwrap();
    assert_eq!(
        (&look["port"], &look["home"]),
        (&json!(3939), &json!("/srv/there"))
    );
    assert_eq!(look["drop_ins"], json!([format!("{FILE}.d/more.conf")]));
    assert_eq!(look["uid"], UID);
    // Closed to the user: said, until the hub runs, whose own environment they may read.
    b.sh("chmod 600 /etc/parachute.env");
    let look = b.drive(User, "look system").unwrap();
    assert!(
        look["notes"].to_string().contains("permission denied"),
        "{look}"
    );
    b.drive(Root, "start system").unwrap();
    let look = b.drive(User, "look system").unwrap();
    assert_eq!(
        (&look["port"], &look["home"], &look["notes"]),
        (&json!(3939), &json!("/srv/there"), &json!([]))
    );
}

#[test]
fn whoever_may_not_is_told_the_command() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.install(WELL, "");
    // With polkit, with a polkit that cannot start, and without one.
    for polkit in [
        "true",
        "systemctl mask --now polkit.service",
        "rm /usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service
         systemctl reload dbus.service",
    ] {
        b.sh(polkit);
        assert_eq!(b.drive(User, "look system").unwrap()["state"], "Stopped");
        let error = b.drive(User, "start system").unwrap_err();
        assert_eq!(error["code"], "no_permission", "{error}");
        assert_eq!(error["hint"], "`sudo parachute start`");
    }
}

#[test]
fn a_bus_that_is_down_is_never_no_unit() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.install(WELL, "");
    b.sh("systemctl stop dbus.socket dbus.service");
    let error = b.drive(Root, "find system").unwrap_err();
    assert_eq!(error["code"], "manager_unreachable");
    assert!(error["message"].to_string().contains(FILE), "{error}");
    b.sh(&format!("rm {FILE}"));
    assert_eq!(b.drive(Root, "find system"), Ok(Value::Null));
}

#[test]
fn a_manager_that_hangs_is_not_waited_for() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.write(
        &format!("/home/{USER}/.config/systemd/user/parachute-hub.service"),
        &unit(WELL, ""),
    );
    b.sh(&format!("kill -STOP $(pgrep -u {USER} -x systemd)"));
    let error = b.drive(User, "find user").unwrap_err();
    assert_eq!(error["code"], "manager_unreachable", "{error}");
    b.sh(&format!("kill -CONT $(pgrep -u {USER} -x systemd)"));
    assert!(b.drive(User, "find user").unwrap().is_object());
}

#[test]
fn a_bus_killed_under_a_job_is_said() {
    let Some(b) = Box::start() else { return };
    b.install("sleep 60; systemd-notify --ready", "TimeoutStartSec=50");
    std::thread::scope(|s| {
        let start = s.spawn(|| b.drive(Root, "start system"));
        b.wait_for("systemctl show -p ActiveState parachute-hub | grep -q =activating");
        b.sh("systemctl kill -s KILL dbus.service");
        let error = start.join().unwrap().unwrap_err();
        assert_eq!(error["code"], "manager_unreachable", "{error}");
    });
}

#[test]
fn a_job_that_somebody_cancels_is_said() {
    let Some(b) = Box::start() else { return };
    b.install("sleep 60; systemd-notify --ready", "TimeoutStartSec=50");
    std::thread::scope(|s| {
        let start = s.spawn(|| b.drive(Root, "start system"));
        b.wait_for("systemctl show -p ActiveState parachute-hub | grep -q =activating");
        b.sh("systemctl stop parachute-hub");
        let error = start.join().unwrap().unwrap_err();
        assert_eq!(error["code"], "unit_failed", "{error}");
        assert!(
            error["message"].to_string().contains("cancelled"),
            "{error}"
        );
    });
}

#[test]
fn stale_units_of_single_modules_are_named_with_what_ends_them() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    let vault = "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\n[Install]\nWantedBy=multi-user.target default.target\n";
    b.write("/etc/systemd/system/parachute-vault.service", vault);
    b.write(
        &format!("/home/{USER}/.config/systemd/user/parachute-notes.service"),
        vault,
    );
    b.sh("systemctl daemon-reload; systemctl enable --now parachute-vault");
    b.as_user(&["systemctl", "--user", "daemon-reload"]).ok();
    // One that neither runs nor is enabled resurrects nothing.
    assert_eq!(
        b.drive(User, "stale system").unwrap(),
        json!([{"name": "parachute-vault.service", "scope": "system", "running": true, "enabled": true,
                "command": "sudo systemctl disable --now parachute-vault.service"}])
    );
    b.as_user(&["systemctl", "--user", "start", "parachute-notes"])
        .ok();
    let found = b.drive(User, "stale system").unwrap();
    assert_eq!(
        found[1]["command"],
        "systemctl --user disable --now parachute-notes.service"
    );
}

#[test]
fn the_journal_has_the_hubs_lines() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.install(
        "echo one; echo two; systemd-notify --ready; exec sleep infinity",
        "",
    );
    b.drive(Root, "start system").unwrap();
    b.wait_for("journalctl -u parachute-hub | grep -q two");
    let lines = b.drive(Root, "logs system").unwrap();
    let text = lines.to_string();
    assert!(text.contains("one") && text.contains("two"), "{text}");
    let error = b.drive(User, "logs system").unwrap_err();
    assert_eq!(error["code"], "no_permission", "{error}");
}

#[test]
fn a_look_is_quick() {
    let Some(b) = Box::start() else { return };
    b.install(WELL, "");
    b.drive(Root, "start system").unwrap();
    let took = b.drive(Root, "time system").unwrap();
    println!("a look, median: {} µs, longest {} µs", took[25], took[49]);
    assert!(took[25].as_u64().unwrap() < 1_000_000, "{took}");
}

#[test]
fn a_person_at_a_terminal_is_asked_for_the_password() {
    let Some(b) = Box::start() else { return };
    if b.exec(&["sh", "-c", "command -v pkttyagent"]).code != 0 {
        println!("skipped: needs polkitd");
        return;
    }
    b.user(true);
    b.sh(&format!(
        "echo {USER}:open-sesame | chpasswd; usermod -aG sudo {USER}"
    ));
    b.install(WELL, "");
    let act = "/usr/local/bin/it systemd::driver::act --exact --nocapture";
    let mut command = b.command_as_user(true, "script");
    command
        .args(["-qec", act, "/dev/null"])
        .env("PARACHUTE_TEST_ACT", "ask-start system");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut person = command.spawn().unwrap();
    let mut screen = person.stdout.take().unwrap();
    let mut keyboard = person.stdin.take().unwrap();
    let (prompted, prompt) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut seen, mut some) = (Vec::new(), [0; 256]);
        while let Ok(count @ 1..) = screen.read(&mut some) {
            seen.extend(&some[..count]);
            if seen.ends_with(b"Password: ") {
                let _ = prompted.send(());
            }
        }
        seen
    });
    prompt.recv().unwrap();
    // What is typed between the prompt and the moment in which the echo goes off is thrown away.
    while !reader.is_finished() && keyboard.write_all(b"open-sesame\n").is_ok() {
        let _ = prompt.recv_timeout(Duration::from_millis(300));
    }
    let seen = reader.join().unwrap();
    person.wait().unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("AUTHENTICATION COMPLETE"), "{seen}");
    assert!(seen.contains(">>> {\"ok\":null}"), "{seen}");
    assert!(b.state()["Running"].is_object());
}

#[test]
fn a_person_who_types_nothing_may_not() {
    let Some(b) = Box::start() else { return };
    if b.exec(&["sh", "-c", "command -v pkttyagent"]).code != 0 {
        println!("skipped: needs polkitd");
        return;
    }
    b.user(true);
    b.sh(&format!(
        "echo {USER}:open-sesame | chpasswd; usermod -aG sudo {USER}"
    ));
    b.install(WELL, "");
    let act = "/usr/local/bin/it systemd::driver::act --exact --nocapture";
    let mut command = b.command_as_user(true, "script");
    command
        .args(["-qec", act, "/dev/null"])
        .env("PARACHUTE_TEST_ACT", "ask-start system");
    // The standard input stays open, and silent.
    let mut person = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _keyboard = person.stdin.take();
    let seen = person.wait_with_output().unwrap().stdout;
    let seen = String::from_utf8_lossy(&seen);
    assert!(
        seen.contains("no_permission") && seen.contains("in time"),
        "{seen}"
    );
    assert_eq!(b.state(), "Stopped");
}

#[test]
fn the_machines_manager_hanging_is_not_waited_for_either() {
    let Some(b) = Box::start() else { return };
    b.install(WELL, "");
    b.stop_pid_1();
    let error = b.drive(Root, "find system").unwrap_err();
    assert_eq!(error["code"], "manager_unreachable", "{error}");
    assert!(
        error["message"].to_string().contains("does not answer"),
        "{error}"
    );
}

#[test]
fn systemd_reloading_and_executing_itself_anew_loses_no_job() {
    let Some(b) = Box::start() else { return };
    b.install(
        "until [ -e /run/up ]; do sleep .05; done; systemd-notify --ready; exec sleep infinity",
        "",
    );
    std::thread::scope(|s| {
        let start = s.spawn(|| b.drive(Root, "start system"));
        b.wait_for("systemctl show -p ActiveState parachute-hub | grep -q =activating");
        b.sh("systemctl daemon-reload; systemctl daemon-reexec");
        let looks = s.spawn(|| {
            for _ in 0..5 {
                assert_eq!(b.drive(Root, "look system").unwrap()["state"], "Starting");
            }
        });
        b.sh("for _ in 1 2 3 4 5; do systemctl daemon-reload; done");
        looks.join().unwrap();
        b.sh("touch /run/up");
        start.join().unwrap().unwrap();
    });
    assert!(b.state()["Running"].is_object());
}

#[test]
fn a_change_of_the_unit_is_told() {
    let Some(b) = Box::start() else { return };
    b.install(WELL, "");
    std::thread::scope(|s| {
        let told = s.spawn(|| b.drive(Root, "change system"));
        b.wait_for("test -e /run/watching");
        b.sh("systemctl start parachute-hub");
        assert_eq!(told.join().unwrap(), Ok(Value::Bool(true)));
    });
}
