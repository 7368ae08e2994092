//! `stop` of detached modules: the whole group, nothing but the group, and the truth afterwards.

use crate::{
    needs_root,
    sandbox::{EXE, Guarded, PATIENCE, Ran, Sandbox, alive, listens, pids, until, until_true},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What became of a module, by the verb's JSON.
#[track_caller]
fn stopped(sandbox: &Sandbox, name: &str, exit: i32) -> Value {
    let document = sandbox
        .say(&format!("stop {name} --json"))
        .expect(exit)
        .json();
    document["changes"][0].clone()
}

/// A process that has nothing to do with any box.
fn bystander() -> Guarded {
    Guarded(
        Command::new("sleep")
            .arg("600")
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

/// The live processes of a session.
fn session(leader: u32) -> Vec<u32> {
    let of = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(3)?.parse().ok()
    };
    pids()
        .into_iter()
        .filter(|&pid| of(pid) == Some(leader) && alive(pid))
        .collect()
}

/// Writes a pidfile by hand.
fn pidfile(sandbox: &Sandbox, text: impl AsRef<[u8]>) {
    sandbox.file("x/run/x.pid", text);
}

#[test]
fn a_stop_ends_the_module_and_clears_the_record() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    let ran = sandbox.say("stop x").expect(0);
    assert_eq!(ran.out, "✓ x  stopped\n");
    assert!(!alive(pid) && !listens(port));
    assert!(!sandbox.at("x/run/x.pid").exists());
    assert!(
        sandbox.text("x/logs/x.log").contains("told to end"),
        "it was not asked first"
    );
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "already_stopped");
}

#[test]
fn stop_then_status_is_inactive_with_exit_0() {
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        sandbox.module(name, &[]);
    }
    sandbox.say("status").expect(0);
    sandbox.say("start").expect(0);
    sandbox.say("stop").expect(0);
    sandbox.say("status").expect(0);
    for name in ["a", "b"] {
        let row = sandbox.row(name);
        assert_eq!(row["state"], "inactive");
        assert_eq!(row["pid"], Value::Null);
        assert_eq!(row["start_error"], Value::Null);
    }
}

#[test]
fn a_crash_is_failing_until_it_is_stopped() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    until_true("the crash", || !alive(pid));
    sandbox.say("status").expect(1);
    assert_eq!(sandbox.row("x")["state"], "failing");
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "already_stopped");
    sandbox.say("status").expect(0);
    assert_eq!(sandbox.row("x")["state"], "inactive");
}

#[test]
fn a_wrapper_that_dies_leaves_no_grandchild_on_the_port() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "wrapper",
        &format!("#!/bin/sh\n{EXE} __module --say grandchild &\nwait\n"),
    );
    let port = sandbox.add("x", &[&script]);
    sandbox.say("start").expect(0);
    let wrapper = sandbox.pid("x");
    let group = session(wrapper);
    assert!(group.len() >= 2, "{group:?}");
    stopped(&sandbox, "x", 0);
    assert!(!listens(port), "the grandchild holds the port");
    assert!(group.iter().all(|&pid| !alive(pid)));
}

#[test]
fn a_group_whose_leader_died_but_whose_member_listens_counts_as_alive() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("wrapper", &format!("#!/bin/sh\n{EXE} __module &\nwait\n"));
    let port = sandbox.add("x", &[&script]);
    sandbox.say("start").expect(0);
    let wrapper = sandbox.pid("x");
    Command::new("kill")
        .args(["-9", &wrapper.to_string()])
        .status()
        .unwrap();
    until_true("the wrapper's end", || !alive(wrapper));
    let row = sandbox.row("x");
    assert_eq!(row["state"], "active", "{row}");
    assert_ne!(row["pid"], wrapper);
    let again = sandbox.say("start x --json").expect(0).json();
    assert_eq!(again["changes"][0]["did"], "already_running");
    assert_eq!(again["changes"][0]["pid"], row["pid"]);
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "stopped");
    assert!(!listens(port));
}

#[test]
fn one_that_ignores_sigterm_is_killed_after_the_bound_with_its_group() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "stubborn",
        &format!(
            "#!/bin/sh\ntrap '' TERM\n{EXE} __module --ignore-term &\nwhile :; do wait; done\n"
        ),
    );
    let port = sandbox.add("x", &[&script]);
    sandbox.say("start").expect(0);
    let group = session(sandbox.pid("x"));
    let begun = Instant::now();
    let ran = sandbox.say("stop x").expect(0);
    assert!(
        begun.elapsed() >= Duration::from_secs(9),
        "killed before its time: {:?}",
        begun.elapsed()
    );
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(
        ran.err.contains("did not end within 10 s and was killed"),
        "{}",
        ran.err
    );
    assert!(!listens(port) && group.iter().all(|&pid| !alive(pid)));
}

#[test]
fn stubborn_modules_are_stopped_side_by_side() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.module(name, &["--ignore-term"]);
    }
    sandbox.say("start").expect(0);
    let begun = Instant::now();
    sandbox.say("stop").expect(0);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn one_that_somebody_else_works_on_keeps_no_other_from_ending() {
    let sandbox = Sandbox::new();
    for name in ["a", "z"] {
        sandbox.module(name, &[]);
    }
    sandbox.say("start").expect(0);
    let (a, z) = (sandbox.pid("a"), sandbox.pid("z"));
    let turn = fs::File::open(sandbox.at("z/run/z.lock")).unwrap();
    turn.lock().unwrap();
    let mut stop = sandbox.command(["stop"]);
    stop.stdout(Stdio::null()).stderr(Stdio::null());
    let mut stop = Guarded(stop.spawn().unwrap());
    until_true("the end of a", || !alive(a));
    assert!(alive(z) && stop.0.try_wait().unwrap().is_none());
    drop(turn);
    assert!(stop.0.wait().unwrap().success());
    assert!(!alive(z));
}

#[test]
fn a_reused_pid_is_not_the_module() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    let record = sandbox.text("x/run/x.pid");
    sandbox.say("stop").expect(0);
    // The same record, now with the pid of somebody else: its start time says so.
    let other = bystander();
    let reused = record.replacen(&pid.to_string(), &other.0.id().to_string(), 1);
    pidfile(&sandbox, &reused);
    assert_ne!(sandbox.row("x")["state"], "active");
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "already_stopped");
    assert!(alive(other.0.id()), "a stranger was signalled");
    assert!(!sandbox.at("x/run/x.pid").exists());
    pidfile(&sandbox, &reused);
    sandbox.say("start").expect(0);
    assert!(alive(other.0.id()) && sandbox.pid("x") != other.0.id());
}

#[test]
fn a_record_of_an_earlier_boot_proves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    let other = bystander();
    let pid = other.0.id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(19)
        .unwrap()
        .to_owned();
    pidfile(
        &sandbox,
        format!(
            "{pid}\nstart={start}\nboot=00000000-0000-0000-0000-000000000000\nspawn=00000000-0000-0000-0000-000000000000\n"
        ),
    );
    let row = sandbox.row("x");
    assert_eq!(row["state"], "inactive", "{row}");
    assert!(
        row["notes"][0].as_str().unwrap().contains("booted"),
        "{row}"
    );
    sandbox.say("stop").expect(0);
    assert!(alive(pid), "a stranger was signalled");
}

#[test]
fn a_bare_pid_of_a_stranger_is_left_alone_said_and_cleared() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    let other = bystander();
    pidfile(&sandbox, other.0.id().to_string());
    let row = sandbox.row("x");
    assert_eq!(row["state"], "inactive");
    assert!(
        row["notes"][0]
            .as_str()
            .unwrap()
            .contains(&other.0.id().to_string()),
        "{row}"
    );
    let ran = sandbox.say("stop x").expect(0);
    assert!(ran.err.contains("left alone"), "{}", ran.err);
    assert!(alive(other.0.id()) && !sandbox.at("x/run/x.pid").exists());
    pidfile(&sandbox, other.0.id().to_string());
    let ran = sandbox.say("start x").expect(0);
    assert!(ran.err.contains("left alone"), "{}", ran.err);
    assert!(alive(other.0.id()) && sandbox.pid("x") != other.0.id());
}

#[test]
fn a_bare_pid_of_a_process_of_ours_is_stopped() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    pidfile(&sandbox, format!("{pid} and what another program wrote\n"));
    assert_eq!(sandbox.row("x")["pid"], pid);
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "stopped");
    assert!(!alive(pid) && !listens(port));
}

#[test]
fn pidfiles_that_name_no_possible_process_are_none() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    let huge = "9".repeat(1 << 20);
    for text in [
        "",
        "\n",
        "0",
        "1",
        "-1",
        "-12",
        "99999999999999999999",
        "4294967298",
        "abc",
        " ",
        "\0\0",
        "\u{fffd}",
        &huge,
    ] {
        pidfile(&sandbox, text);
        let shown: String = text.chars().take(20).collect();
        let row = sandbox.row("x");
        assert_eq!(row["state"], "inactive", "{shown:?}: {row}");
        let ran = sandbox.say("stop x");
        assert_eq!(ran.code, 0, "{shown:?}: {ran:?}");
        assert!(
            !sandbox.at("x/run/x.pid").exists(),
            "{shown:?} was not cleared"
        );
    }
    // One that says a start time does not make pid 1 ours either.
    pidfile(&sandbox, "1\nstart=0\nboot=x\nspawn=y\n");
    sandbox.say("stop x").expect(0);
    pidfile(&sandbox, "\u{feff}");
    sandbox.say("start x").expect(0);
    assert_eq!(sandbox.row("x")["state"], "active");
}

#[test]
fn a_pidfile_that_names_the_program_itself_does_not_end_it() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    fs::create_dir_all(sandbox.at("x/run")).unwrap();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!(
            "echo $$ > {}; exec {EXE} stop x",
            sandbox.at("x/run/x.pid").display()
        ),
    ]);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none");
    let ran: Ran = command.output().unwrap().into();
    let ran = ran.expect(0);
    assert!(ran.out.contains("already stopped"), "{ran:?}");
}

#[test]
fn a_pidfile_that_is_a_folder_is_said() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    fs::create_dir_all(sandbox.at("x/run/x.pid")).unwrap();
    for line in ["stop x", "start x"] {
        let ran = sandbox.say(line).expect(1);
        assert!(ran.err.contains("x.pid"), "{}", ran.err);
    }
    let row = sandbox.row("x");
    assert_eq!(row["state"], "failing");
    assert!(row["notes"][0].as_str().unwrap().contains("x.pid"), "{row}");
}

#[test]
fn another_users_process_is_never_signalled() {
    needs_root!();
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    let theirs = Guarded(
        Command::new("sleep")
            .arg("600")
            .env_clear()
            .uid(65534)
            .gid(65534)
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let pid = theirs.0.id();
    pidfile(&sandbox, pid.to_string());
    let ran = sandbox.say("stop x").expect(0);
    assert!(
        ran.err.contains("uid 65534") && ran.err.contains("left alone"),
        "{}",
        ran.err
    );
    assert!(alive(pid));
    // Its start time and boot are right: it is that process, and still another user's.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(19)
        .unwrap()
        .to_owned();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    pidfile(
        &sandbox,
        format!("{pid}\nstart={start}\nboot={}\nspawn=x\n", boot.trim()),
    );
    let ran = sandbox.say("stop x").expect(0);
    assert!(ran.err.contains("uid 65534"), "{}", ran.err);
    assert!(alive(pid));
    assert!(!listens(port));
}

#[test]
fn a_port_that_is_still_held_is_said_with_its_holder() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    sandbox.say("stop").expect(0);
    let mut stranger = Command::new(EXE);
    stranger
        .args(["__module", "--say", "other"])
        .env_clear()
        .env("PORT", port.to_string())
        .stdout(Stdio::null());
    let stranger = Guarded(stranger.spawn().unwrap());
    until_true("the stranger's port", || listens(port));
    let ran = sandbox.say("stop x").expect(0);
    assert!(
        ran.err.contains(&format!("port {port}"))
            && ran.err.contains(&format!("process {}", stranger.0.id())),
        "{}",
        ran.err
    );
    assert!(alive(stranger.0.id()));
    let row = sandbox.row("x");
    assert_eq!(
        row["state"], "inactive",
        "something on the port of a module that was stopped: {row}"
    );
    assert!(
        row["notes"][0]
            .as_str()
            .unwrap()
            .contains(&stranger.0.id().to_string()),
        "{row}"
    );
}

#[test]
fn an_orphan_without_a_record_is_found_and_stopped() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    fs::remove_file(sandbox.at("x/run/x.pid")).unwrap();
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "stopped");
    assert!(!alive(pid) && !listens(port));
}

#[test]
fn members_that_are_forked_meanwhile_go_too() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "forker",
        &format!("#!/bin/sh\ntrap 'sh -c \"trap : TERM; sleep 600\" & sleep 0.2; exit 0' TERM\n{EXE} __module &\nwhile :; do wait; done\n"),
    );
    sandbox.add("x", &[&script]);
    sandbox.say("start").expect(0);
    let leader = sandbox.pid("x");
    sandbox.say("stop").expect(0);
    assert_eq!(session(leader), Vec::<u32>::new());
}

#[test]
fn a_stopped_process_is_woken_to_end() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    Command::new("kill")
        .args(["-STOP", &pid.to_string()])
        .status()
        .unwrap();
    let ran = sandbox.say("stop x").expect(0);
    assert!(!ran.err.contains("killed"), "{}", ran.err);
    assert!(!alive(pid));
}

#[test]
fn zombies_under_an_init_that_does_not_reap_are_dead() {
    needs_root!();
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    // Process 1 of its own namespace, which never waits for what it inherits. Its own children,
    // the verbs, it must wait for: `wait` of a shell reaps all, so they are run by a child.
    let script = sandbox.script(
        "init",
        &format!(
            "#!/usr/bin/env python3\n\
             import os, subprocess, sys, time\n\
             def run(*words):\n\
             \x20   begun = time.monotonic()\n\
             \x20   done = subprocess.run(['{EXE}', *words], capture_output=True, text=True)\n\
             \x20   print(' '.join(words), done.returncode, int(time.monotonic() - begun), done.stdout.strip(), done.stderr.strip(), sep='|')\n\
             \x20   return done.stdout\n\
             run('start')\n\
             pid = open('{pidfile}').readline().strip()\n\
             run('stop')\n\
             states = [open(f'/proc/{{p}}/stat').read().rsplit(')')[-1].split()[0] for p in os.listdir('/proc') if p == pid]\n\
             print('zombie', states)\n\
             run('status')\n\
             run('start')\n\
             pid = int(open('{pidfile}').readline())\n\
             os.kill(pid, 9)\n\
             for _ in range(3000):\n\
             \x20   if open(f'/proc/{{pid}}/stat').read().rsplit(')')[-1].split()[0] == 'Z': break\n\
             \x20   time.sleep(0.01)\n\
             run('status')\n\
             run('start')\n\
             run('stop')\n",
            pidfile = sandbox.at("x/run/x.pid").display()
        ),
    );
    let mut command = sandbox.command([""; 0]);
    command = {
        let mut inner = Command::new("unshare");
        inner.args(["--pid", "--fork", "--kill-child", "--mount-proc", &script]);
        inner
            .env_clear()
            .envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))))
            .stdin(Stdio::null());
        inner
    };
    let ran: Ran = command.output().unwrap().into();
    let ran = ran.expect(0);
    let lines: Vec<&str> = ran
        .out
        .lines()
        .filter(|l| l.contains('|') || l.starts_with("zombie"))
        .collect();
    let starts_with = |prefix: &str| lines.iter().filter(|l| l.starts_with(prefix)).count();
    assert!(
        lines.contains(&"zombie ['Z']"),
        "the scenario is not the one: {}",
        ran.out
    );
    assert_eq!(starts_with("start|0|"), 3, "{}", ran.out);
    assert_eq!(starts_with("stop|0|"), 2, "{}", ran.out);
    // No stop waited for the grace, and none but the killed one was failing.
    let long = |l: &&&str| {
        l.starts_with("stop") && l.split('|').nth(2).unwrap().parse::<u64>().unwrap() >= 9
    };
    assert_eq!(lines.iter().filter(long).count(), 0, "{}", ran.out);
    assert_eq!(
        (starts_with("status|0|"), starts_with("status|1|")),
        (1, 1),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("already running"), "{}", ran.out);
    assert!(!listens(port));
}

#[test]
fn stopping_an_empty_box_is_done_already() {
    let sandbox = Sandbox::new();
    sandbox.say("stop").expect(0);
    sandbox.say("stop --dry-run").expect(0);
    assert!(!sandbox.home().exists(), "a stop of nothing made the home");
    sandbox.say("stop nobody").expect(3);
    assert_eq!(
        sandbox.say("stop --json").expect(0).json()["changes"],
        Value::Array(Vec::new())
    );
}

#[test]
fn two_stops_at_once_are_both_right() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let children: Vec<_> = (0..3)
        .map(|_| {
            sandbox
                .command(["stop", "x", "--json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let dids: Vec<String> = children
        .into_iter()
        .map(|child| {
            let ran: Ran = child.wait_with_output().unwrap().into();
            ran.expect(0).json()["changes"][0]["did"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        dids.iter().filter(|d| *d == "stopped").count(),
        1,
        "{dids:?}"
    );
    until("no process of it", || {
        sandbox.row("x")["pid"].is_null().then_some(())
    });
}

#[test]
fn a_start_that_was_interrupted_leaves_something_that_can_be_stopped() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &["--bind-after", "700"]);
    let child = sandbox
        .command(["start", "x"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until_true("the record", || sandbox.at("x/run/x.pid").exists());
    drop(Guarded(child));
    let pid = sandbox.pid("x");
    sandbox.say("wait x --timeout 20").expect(0);
    assert_eq!(sandbox.pid("x"), pid);
    assert_eq!(stopped(&sandbox, "x", 0)["did"], "stopped");
    assert!(!listens(port));
}

#[test]
fn stop_hub_signals_nobody_who_is_not_the_hub() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    let port = crate::sandbox::free_port();
    let mut stranger = Command::new(EXE);
    stranger
        .arg("__module")
        .env_clear()
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let stranger = Guarded(stranger.spawn().unwrap());
    until_true("the stranger's port", || listens(port));
    let pid = stranger.0.id();
    // It holds the hub's port, and the records of a hub that is gone name it.
    sandbox.file("hub/run/hub.port", port.to_string());
    for record in [
        pid.to_string(),
        format!("{pid}\nstart=1\nboot=x\nspawn=y\n"),
    ] {
        sandbox.file("hub/run/hub.pid", record);
        for line in [
            "stop hub",
            "stop",
            "restart hub --timeout 1",
            "start hub --timeout 1",
            "stop hub",
        ] {
            let ran: Ran = sandbox
                .command(line.split(' '))
                .env("PORT", port.to_string())
                .output()
                .unwrap()
                .into();
            assert!(!ran.err.contains("panicked"), "{line}: {ran:?}");
            assert!(
                alive(pid) && listens(port),
                "{line}: a stranger was signalled: {ran:?}"
            );
        }
    }
}
