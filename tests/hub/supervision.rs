//! Starts, stops, crashes and races, with real processes.

use super::{Hub, is_ready, kill, module, one, pid_of, registry, row, spawned, zombies};
use crate::sandbox::{EXE, Guarded, Sandbox, alive, free_port, listens, until_true};
use serde_json::json;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

#[test]
fn a_crash_is_followed_by_a_respawn_and_the_third_is_the_last() {
    let sandbox = Sandbox::new();
    let port = one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    let mut pid = hub.until_ready("good");
    for respawns in 1..=2 {
        kill("KILL", pid);
        let state = hub.until("good", "respawned", |s| is_ready(s) && pid_of(s) != pid);
        assert_eq!(
            (&state["restartsInWindow"], &state["lastExitCode"]),
            (&json!(respawns), &json!(137))
        );
        assert!(state["lastCrashAt"].is_string());
        pid = pid_of(&state);
    }
    kill("KILL", pid);
    let state = hub.until("good", "crashed", |s| s["status"] == "crashed");
    assert!(state["pid"].is_null());
    assert!(!listens(port));
    assert_eq!(
        super::ask(hub.port, "GET", "/api/ready", &[]).expect(200)["persistent_modules"],
        json!(["good"])
    );
    // An explicit start clears the budget.
    let state = hub.start("good");
    assert_eq!(
        (&state["status"], &state["restartsInWindow"]),
        (&json!("running"), &json!(0))
    );
    kill("KILL", pid_of(&state));
    hub.until("good", "respawned", |s| {
        is_ready(s) && s["restartsInWindow"] == 1
    });
}

#[test]
fn an_exit_with_code_0_is_a_crash_too_and_its_last_words_are_kept() {
    let sandbox = Sandbox::new();
    one(
        &sandbox,
        "brief",
        &["/bin/sh", "-c", "echo cannot find my database >&2; exit 0"],
    );
    let hub = Hub::serve(&sandbox);
    let state = hub.until("brief", "crashed", |s| s["status"] == "crashed");
    assert_eq!(
        (&state["startError"]["error_type"], &state["lastExitCode"]),
        (&json!("exited_early"), &json!(0))
    );
    let text = state["startError"]["error_description"].as_str().unwrap();
    // Its own last words, not those of the lives before it.
    assert_eq!(text.matches("cannot find my database").count(), 1, "{text}");
    // The buffer is kept across respawns.
    assert_eq!(hub.logs("brief").matches("cannot find").count(), 3);
    let state = hub.start("brief");
    assert_eq!(
        (&state["status"], &state["startError"]["error_type"]),
        (&json!("crashed"), &json!("exited_early"))
    );
}

#[test]
fn a_start_during_the_respawn_delay_makes_one_child() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    kill("KILL", pid);
    hub.until("good", "waiting", |s| {
        s["status"] == "restarting" || (is_ready(s) && pid_of(s) != pid)
    });
    let state = hub.start("good");
    assert!(is_ready(&state), "{state}");
    assert_eq!(spawned(&sandbox), [pid_of(&state)]);
    // And a stop during it stays a stop.
    kill("KILL", pid_of(&state));
    hub.until("good", "waiting", |s| s["status"] != "running");
    assert_eq!(hub.stop("good")["state"]["status"], "stopped");
    let quiet = Instant::now();
    until_true("longer than the delay to pass", || {
        quiet.elapsed() > Duration::from_millis(700)
    });
    assert_eq!(hub.state("good").unwrap()["status"], "stopped");
    assert!(spawned(&sandbox).is_empty());
}

#[test]
fn sixteen_racing_operations_end_with_exactly_one_child() {
    let sandbox = Sandbox::new();
    let port = one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    thread::scope(|scope| {
        for n in 0..16 {
            let hub = &hub;
            scope.spawn(move || {
                let verb = if n % 2 == 0 { "start" } else { "restart" };
                hub.post(&format!("/api/modules/good/{verb}")).expect(200);
            });
        }
    });
    let pid = hub.until_ready("good");
    assert_eq!(spawned(&sandbox), [pid]);
    assert!(listens(port));
    // Stops among them: whatever came last counts, and what is said is true.
    thread::scope(|scope| {
        for n in 0..16 {
            let hub = &hub;
            scope.spawn(move || {
                let verb = ["start", "stop", "restart"][n % 3];
                hub.post(&format!("/api/modules/good/{verb}")).expect(200);
            });
        }
    });
    let state = hub.until("good", "settled", |s| {
        s["status"] == "stopped" || is_ready(s)
    });
    assert_eq!(
        spawned(&sandbox).len(),
        usize::from(state["status"] == "running")
    );
    hub.start("good");
    assert_eq!(spawned(&sandbox).len(), 1);
}

#[test]
fn a_start_during_a_stop_takes_its_turn() {
    let sandbox = Sandbox::new();
    let slow = sandbox.script("slow.py", SLOW_TO_END);
    one(&sandbox, "slow", &["/usr/bin/python3", &slow]);
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("slow");
    thread::scope(|scope| {
        let stop = scope.spawn(|| hub.stop("slow"));
        until_true("the stop to begin", || hub.logs("slow").contains("ending"));
        let state = hub.start("slow");
        assert!(is_ready(&state) && pid_of(&state) != pid, "{state}");
        assert_eq!(stop.join().unwrap()["state"]["status"], "stopped");
    });
    assert_eq!(spawned(&sandbox).len(), 1);
}

const SLOW_TO_END: &str = r#"
import os, signal, socket, sys, time
def end(*_):
    print("ending", flush=True)
    time.sleep(0.5)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(os.environ["PORT"]))); s.listen()
while True: time.sleep(60)
"#;

#[test]
fn starts_that_fail_say_why() {
    let sandbox = Sandbox::new();
    let plain = sandbox.user_dir().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let gone = sandbox.user_dir().join("gone");
    registry(
        &sandbox,
        &[
            ("missing", free_port(), &["no-such-program-anywhere"]),
            ("plain", free_port(), &[plain.to_str().unwrap()]),
            ("homeless", free_port(), &module(&[])),
            ("broken", free_port(), &module(&[])),
            ("good", free_port(), &module(&[])),
        ],
    );
    let mut rows = sandbox.registry_json();
    // Note 10: the folder is gone, its command is not.
    let manifest = sandbox.user_dir().join("installed/homeless");
    fs::rename(&manifest, &gone).unwrap();
    rows["services"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "bad row"}));
    sandbox.registry(rows.to_string());
    sandbox.file(
        "homeless/.parachute/module.json",
        json!({"name": "homeless", "startCmd": module(&[])}).to_string(),
    );
    // Note 42: a manifest that is no JSON.
    fs::write(
        sandbox
            .user_dir()
            .join("installed/broken/.parachute/module.json"),
        "{ nope",
    )
    .unwrap();
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    let kind = |short: &str| {
        let state = hub.start(short);
        assert_eq!(state["status"], "crashed", "{state}");
        let error = &state["startError"];
        assert!(
            !error["error_description"].as_str().unwrap().is_empty() && error["at"].is_string()
        );
        error.clone()
    };
    let missing = kind("missing");
    assert_eq!(missing["error_type"], "missing_dependency");
    assert_eq!(missing["binary"], "no-such-program-anywhere");
    for key in ["why", "docs_url", "install", "sysadmin_hint"] {
        assert!(missing.as_object().unwrap().contains_key(key), "{key}");
    }
    let plain = kind("plain");
    assert_eq!(plain["error_type"], "non_executable");
    assert!(plain.get("binary").is_none());
    assert_eq!(kind("broken")["error_type"], "spawn_failed");
    let homeless = kind("homeless");
    assert_eq!(homeless["error_type"], "spawn_failed");
    assert!(
        homeless["error_description"]
            .as_str()
            .is_some_and(|text| text.contains("homeless"))
    );
    // Note 43: what is logged of each is what became of it.
    until_true("the log", || hub.err().contains("ready"));
    for short in ["missing", "plain", "broken"] {
        assert!(
            hub.err()
                .lines()
                .any(|l| l.contains("not started") && l.contains(short)),
            "{}",
            hub.err()
        );
    }
    assert!(hub.err().contains("bad row"), "{}", hub.err());
}

#[test]
fn ready_is_a_member_of_the_group_that_listens_or_its_own_word() {
    let sandbox = Sandbox::new();
    let word = sandbox.script(
        "word.py",
        r#"
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"STATUS=hi\nREADY=1\n", os.environ["NOTIFY_SOCKET"])
while True: time.sleep(60)
"#,
    );
    registry(
        &sandbox,
        &[
            ("word", free_port(), &["/usr/bin/python3", &word]),
            // The child of a wrapper holds the port.
            (
                "wrapped",
                free_port(),
                &["/bin/sh", "-c", &format!("{EXE} __module & wait")],
            ),
            ("late", free_port(), &module(&["--bind-after", "5000"])),
            ("never", free_port(), &module(&["--never-bind"])),
        ],
    );
    let hub = Hub::serve(&sandbox);
    // Note 48: the routes answer while modules boot.
    let asked = Instant::now();
    super::ask(hub.port, "GET", "/health", &[]).expect(200);
    assert!(asked.elapsed() < Duration::from_secs(3));
    hub.until_ready("word");
    hub.until_ready("wrapped");
    assert!(
        super::ask(hub.port, "GET", "/api/ready", &[]).expect(200)["transient_modules"]
            .as_array()
            .unwrap()
            .contains(&json!("never"))
    );
    let state = hub.start("never");
    assert_eq!(
        (&state["status"], &state["startError"]["error_type"]),
        (&json!("running"), &json!("started_but_unbound"))
    );
    // Note 2: a late bind clears it.
    hub.until("late", "unbound or late", |s| {
        s["startError"]["error_type"] == "started_but_unbound" || is_ready(s)
    });
    hub.until_ready("late");
}

#[test]
fn a_strangers_port_is_named_and_left_alone() {
    let sandbox = Sandbox::new();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    registry(&sandbox, &[("taken", port, &module(&[]))]);
    let hub = Hub::serve(&sandbox);
    let state = hub.until("taken", "refused", |s| s["status"] == "crashed");
    let error = &state["startError"];
    assert_eq!(error["error_type"], "port_squatter");
    let text = error["error_description"].as_str().unwrap();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(listens(port));
    drop(stranger);
    assert!(is_ready(&hub.start("taken")));
}

#[test]
fn a_strangers_program_of_the_same_name_is_left_alone() {
    let sandbox = Sandbox::new();
    let programs = ["bin", "other"].map(|folder| {
        let folder = sandbox.user_dir().join(folder);
        fs::create_dir(&folder).unwrap();
        let file = folder.join("server");
        std::os::unix::fs::symlink(EXE, &file).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let port = one(&sandbox, "taken", &[&programs[0], "__module"]);
    let mut stranger = std::process::Command::new("/usr/bin/setsid");
    stranger
        .args([&programs[1], "__module"])
        .current_dir("/")
        .env_clear()
        .env("PORT", port.to_string())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let stranger = Guarded(stranger.spawn().unwrap());
    until_true("the stranger's port", || listens(port));
    let hub = Hub::serve(&sandbox);
    let state = hub.until("taken", "refused", |s| s["status"] == "crashed");
    assert_eq!(state["startError"]["error_type"], "port_squatter");
    assert!(listens(port) && alive(stranger.0.id()));
}

#[test]
fn an_orphan_on_the_port_is_reclaimed_on_crash_restarts_too() {
    let sandbox = Sandbox::new();
    let port = one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    // As an earlier life would have left it: its spawn id, another session, no parent of ours.
    let mut orphan = std::process::Command::new("/usr/bin/setsid");
    orphan
        .args([
            "-f",
            "/bin/sh",
            "-c",
            &format!("while kill -0 {pid}; do :; done; exec {EXE} __module"),
        ])
        .env("PORT", port.to_string())
        .env("PARACHUTE_HOME", sandbox.home())
        .env("PARACHUTE_SPAWN_ID", "11111111-2222-4333-8444-555555555555")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    orphan.status().unwrap();
    kill("KILL", pid);
    let state = hub.until("good", "respawned", |s| is_ready(s) && pid_of(s) != pid);
    assert_eq!(spawned(&sandbox), [pid_of(&state)]);
    assert!(hub.err().contains("left behind"), "{}", hub.err());
}

#[test]
fn everything_is_rebuilt_from_the_files_at_every_spawn() {
    let sandbox = Sandbox::new();
    let show = format!(
        "echo port $PORT origin $PARACHUTE_HUB_ORIGIN word $WORD bind [$PARACHUTE_BIND_HOST] home $PARACHUTE_HOME; exec {EXE} __module"
    );
    let port = one(&sandbox, "good", &["/bin/sh", "-c", &show]);
    // Note 1: a port in the module's own environment does not count.
    sandbox.file("good/.env", "PORT=1\nWORD=first\n");
    let hub = Hub::of(
        &sandbox,
        super::command(&sandbox).env("PARACHUTE_BIND_HOST", "127.0.0.1"),
    );
    let pid = hub.until_ready("good");
    let loopback = format!("http://127.0.0.1:{}", hub.port);
    let said = |origin: &str, word: &str| {
        format!(
            "port {port} origin {origin} word {word} bind [] home {}",
            sandbox.home().display()
        )
    };
    assert!(
        hub.logs("good").contains(&said(&loopback, "first")),
        "{}",
        hub.logs("good")
    );
    // Note 6: what has changed since counts, on a crash restart too.
    sandbox.file("good/.env", "PORT=1\nWORD=second\n");
    sandbox.file("hub/origin", "https://box.example/\n");
    kill("KILL", pid);
    hub.until("good", "respawned", |s| is_ready(s) && pid_of(s) != pid);
    assert!(
        hub.logs("good")
            .contains(&said("https://box.example", "second")),
        "{}",
        hub.logs("good")
    );
    let moved = free_port();
    let mut rows = sandbox.registry_json();
    rows["services"][0]["port"] = json!(moved);
    sandbox.registry(rows.to_string());
    assert!(is_ready(&hub.restart("good")));
    assert!(listens(moved) && !listens(port));
}

#[test]
fn the_whole_group_goes_and_a_deaf_one_is_killed() {
    let sandbox = Sandbox::new();
    registry(
        &sandbox,
        &[
            // Note 7: the wrapper dies on SIGTERM, what it wraps does not hear it.
            (
                "wrapped",
                free_port(),
                &[
                    "/bin/sh",
                    "-c",
                    &format!("{EXE} __module --ignore-term & wait"),
                ],
            ),
            // Note 9.
            ("deaf", free_port(), &module(&["--ignore-term"])),
        ],
    );
    let mut hub = Hub::serve(&sandbox);
    hub.until_ready("wrapped");
    hub.until_ready("deaf");
    assert_eq!(spawned(&sandbox).len(), 3);
    let begun = Instant::now();
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    // Note 48: side by side, within one bound and a little.
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(20),
        "{took:?}"
    );
    assert!(spawned(&sandbox).is_empty());
}

#[test]
fn a_second_signal_kills_all_at_once() {
    let sandbox = Sandbox::new();
    one(&sandbox, "deaf", &module(&["--ignore-term"]));
    let mut hub = Hub::serve(&sandbox);
    hub.until_ready("deaf");
    let begun = Instant::now();
    hub.signal("INT");
    until_true("the first signal", || hub.out().contains("told to end"));
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(spawned(&sandbox).is_empty());
}

#[test]
fn what_a_leader_leaves_behind_carries_on_when_it_is_the_service() {
    let sandbox = Sandbox::new();
    let port = one(
        &sandbox,
        "forker",
        &["/bin/sh", "-c", &format!("{EXE} __module & exit 0")],
    );
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("forker");
    let quiet = Instant::now();
    until_true("a crash restart to have come", || {
        quiet.elapsed() > Duration::from_secs(1)
    });
    assert_eq!(spawned(&sandbox), [pid]);
    assert_eq!(pid_of(&hub.start("forker")), pid);
    // When that dies, the module has.
    kill("KILL", pid);
    let state = hub.until("forker", "respawned", |s| is_ready(s) && pid_of(s) != pid);
    assert_eq!(state["restartsInWindow"], 1);
    assert_eq!(hub.stop("forker")["state"]["status"], "stopped");
    assert!(spawned(&sandbox).is_empty() && !listens(port));
    until_true("orphans to be reaped", || zombies(hub.pid()).is_empty());
}

#[test]
fn what_a_crashed_leader_leaves_behind_is_ended_when_it_is_not() {
    let sandbox = Sandbox::new();
    one(
        &sandbox,
        "messy",
        &[
            "/bin/sh",
            "-c",
            &format!("sleep 1000 & exec {EXE} __module"),
        ],
    );
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("messy");
    until_true("the helper", || spawned(&sandbox).len() == 2);
    let before = spawned(&sandbox);
    kill("KILL", pid);
    hub.until("messy", "respawned", |s| is_ready(s) && pid_of(s) != pid);
    until_true("only the new ones", || spawned(&sandbox).len() == 2);
    assert!(before.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_module_that_closes_its_output_lives_on() {
    let sandbox = Sandbox::new();
    one(
        &sandbox,
        "shut",
        &[
            "/bin/sh",
            "-c",
            &format!("echo last words; exec {EXE} __module >&- 2>&-"),
        ],
    );
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("shut");
    assert_eq!(hub.logs("shut"), "[shut] last words\n");
    assert_eq!(pid_of(&hub.start("shut")), pid);
    hub.stop("shut");
    assert!(!alive(pid));
}

#[test]
fn boot_starts_what_it_can_and_a_stop_lasts_until_the_next_boot() {
    let sandbox = Sandbox::new();
    let port = one(&sandbox, "good", &module(&[]));
    let mut rows = sandbox.registry_json();
    rows["services"].as_array_mut().unwrap().extend([
        row("mute", free_port(), "/nonexistent"),
        json!({"name": "bad", "port": "many"}),
        json!(17),
    ]);
    sandbox.registry(rows.to_string());
    let mut hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    // What is logged about each is what became of it.
    let log = fs::read_to_string(sandbox.user_dir().join("hub.err")).unwrap();
    let of = |name: &str| -> Vec<&str> {
        let mark = format!("module=\"{name}\"");
        log.lines().filter(|line| line.contains(&mark)).collect()
    };
    assert!(
        of("good").iter().any(|line| line.contains("ready")),
        "{log}"
    );
    assert!(
        of("mute").iter().any(|line| line.contains("not started")),
        "{log}"
    );
    assert!(
        of("mute").iter().all(|line| !line.contains("spawned")),
        "{log}"
    );
    hub.stop("good");
    assert!(!listens(port));
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    drop(hub);
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
}

/// Notes 39 and the like: who holds the port cannot be seen, as with a container's port.
#[test]
fn where_the_holder_cannot_be_looked_up_a_live_health_path_decides() {
    crate::needs_root!();
    use std::{
        io::{Read, Write},
        net::TcpListener,
        os::unix::{fs::chown, process::CommandExt},
    };
    let sandbox = Sandbox::new();
    let (well, ill) = (free_port(), free_port());
    registry(
        &sandbox,
        &[
            ("well", well, &["/bin/sleep", "1000"]),
            ("ill", ill, &["/bin/sleep", "1000"]),
        ],
    );
    let mut serve = super::command(&sandbox);
    let mut all = vec![sandbox.user_dir().to_owned()];
    while let Some(path) = all.pop() {
        chown(&path, Some(65534), Some(65534)).unwrap();
        if path.is_dir() {
            all.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    let hub = Hub::of(&sandbox, serve.uid(65534).gid(65534));
    let spawned = |short: &str| hub.until(short, "spawned", |s| s["pid"].is_u64());
    spawned("well");
    spawned("ill");
    for (port, code) in [(well, "204 No Content"), (ill, "500 No")] {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().take(50) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {code}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
        });
    }
    hub.until_ready("well");
    let state = hub.start("ill");
    assert_eq!(state["startError"]["error_type"], "started_but_unbound");
    assert!(hub.err().contains("cannot be looked up"), "{}", hub.err());
}
