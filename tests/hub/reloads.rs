//! The registry is read again: what comes, what goes, what goes bad, and what happens meanwhile.

use super::{Hub, is_ready, kill, module, pid_of, registry, spawned};
use crate::sandbox::{PATIENCE, Sandbox, alive, free_port, until, until_true};
use serde_json::{Value, json};
use std::{
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const NOTHING: &[(&str, u16, &[&str])] = &[];

fn reload(hub: &Hub) -> Value {
    hub.post("/api/reload").expect(200)
}

fn nothing() -> Value {
    json!({"added": [], "removed": [], "changed": []})
}

/// Note 38: operations on one module take turns, its going and coming too.
#[test]
fn a_row_that_is_back_while_its_module_still_ends_starts_when_it_has() {
    let sandbox = Sandbox::new();
    let deaf = module(&["--ignore-term"]);
    let rows: &[(&str, u16, &[&str])] = &[("one", free_port(), &deaf), ("two", free_port(), &deaf)];
    registry(&sandbox, rows);
    let hub = Hub::serve(&sandbox);
    let before = [hub.until_ready("one"), hub.until_ready("two")];
    registry(&sandbox, NOTHING);
    thread::scope(|scope| {
        let going = scope.spawn(|| reload(&hub));
        until_true("both to be told", || {
            hub.out().matches("told to end").count() == 2
        });
        registry(&sandbox, rows);
        // One by a start, the other by the next reload.
        hub.start("one");
        assert_eq!(reload(&hub)["added"], json!(["one", "two"]));
        assert_eq!(going.join().unwrap()["removed"], json!(["one", "two"]));
    });
    let after = [hub.until_ready("one"), hub.until_ready("two")];
    assert!(before.iter().all(|pid| !alive(*pid)));
    let mut left = spawned(&sandbox);
    left.sort_unstable();
    let mut expected = after.to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert!(!hub.err().contains("is held by"), "{}", hub.err());
}

#[test]
fn a_hub_that_reloads_ends_when_it_is_told_and_kills_when_it_is_told_twice() {
    let sandbox = Sandbox::new();
    let (good, deaf) = (module(&[]), module(&["--ignore-term"]));
    let port = free_port();
    registry(
        &sandbox,
        &[("good", port, &good), ("deaf", free_port(), &deaf)],
    );
    let mut hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    hub.until_ready("deaf");
    registry(&sandbox, &[("good", port, &good)]);
    let begun = Instant::now();
    hub.signal("HUP");
    until_true("the reload", || hub.out().contains("[deaf] told to end"));
    hub.signal("TERM");
    until_true("the first signal", || {
        hub.post("/api/modules/good/start").status == 500
    });
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(spawned(&sandbox).is_empty());
}

#[test]
fn a_hub_that_reloads_still_tells_its_manager_that_it_lives() {
    let sandbox = Sandbox::new();
    registry(
        &sandbox,
        &[("deaf", free_port(), &module(&["--ignore-term"]))],
    );
    let path = sandbox.user_dir().join("manager.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    // Always read: a manager that does not would block the hub.
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 1024];
        loop {
            match manager.recv(&mut bytes) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                    if said.send(text).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    let mut command = super::command(&sandbox);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000");
    let hub = Hub::of(&sandbox, &mut command);
    hub.until_ready("deaf");
    registry(&sandbox, NOTHING);
    hub.signal("HUP");
    let hear = || heard.recv_timeout(PATIENCE).unwrap();
    while !hear().contains("RELOADING=1") {}
    let mut beats = 0;
    until_true("the reload to end", || {
        let said = hear();
        beats += u32::from(said.contains("WATCHDOG=1"));
        said.contains("READY=1")
    });
    assert!(beats > 1, "{beats}");
}

/// Note 29, and the operator's word: what they have stopped stays stopped.
#[test]
fn a_row_that_has_gone_bad_is_said_and_its_module_kept_as_it_was() {
    let sandbox = Sandbox::new();
    let good = module(&[]);
    registry(
        &sandbox,
        &[
            ("one", free_port(), &good),
            ("two", free_port(), &good),
            ("still", free_port(), &good),
        ],
    );
    let hub = Hub::serve(&sandbox);
    let (one, two) = (hub.until_ready("one"), hub.until_ready("two"));
    hub.until_ready("still");
    hub.stop("still");
    let well = sandbox.registry_json();
    let mut ill = well.clone();
    for at in [0, 2] {
        ill["services"][at]
            .as_object_mut()
            .unwrap()
            .remove("health");
    }
    sandbox.registry(ill.to_string());
    assert_eq!(reload(&hub), nothing());
    assert_eq!((hub.until_ready("one"), hub.until_ready("two")), (one, two));
    for said in ["row 1 (\"one\"): `health` is missing", "kept as it was"] {
        assert!(hub.err().contains(said), "{}", hub.err());
    }
    // It goes on as a module of this box.
    let again = hub.restart("one");
    assert!(is_ready(&again) && pid_of(&again) != one, "{again}");
    kill("KILL", pid_of(&again));
    let again = hub.until("one", "respawned", |s| {
        is_ready(s) && pid_of(s) != pid_of(&again)
    });
    sandbox.registry(well.to_string());
    assert_eq!(reload(&hub), nothing());
    assert_eq!(hub.until_ready("one"), pid_of(&again));
    assert_eq!(hub.state("still").unwrap()["status"], "stopped");
}

#[test]
fn what_has_no_row_any_more_is_not_started_not_even_after_a_crash() {
    let sandbox = Sandbox::new();
    let good = module(&[]);
    let rows: &[(&str, u16, &[&str])] = &[("one", free_port(), &good), ("two", free_port(), &good)];
    registry(&sandbox, rows);
    let hub = Hub::serve(&sandbox);
    let (one, two) = (hub.until_ready("one"), hub.until_ready("two"));
    registry(&sandbox, NOTHING);
    for verb in ["start", "restart"] {
        hub.post(&format!("/api/modules/one/{verb}"))
            .refused(400, "not_installed");
    }
    assert_eq!(hub.until_ready("one"), one);
    kill("KILL", two);
    let state = hub.until("two", "down", |s| s["status"] == "crashed");
    let why = state["startError"]["error_description"].as_str().unwrap();
    assert!(why.contains("no row"), "{why}");
    assert_eq!(spawned(&sandbox), [one]);
    // A stop is still a stop.
    assert_eq!(hub.stop("one")["state"]["status"], "stopped");
    hub.post("/api/modules/one/start")
        .refused(400, "not_installed");
    // A registry that cannot be read says nothing of what is gone.
    registry(&sandbox, rows);
    assert!(is_ready(&hub.start("one")));
    sandbox.registry("{");
    assert!(is_ready(&hub.restart("one")));
    assert!(is_ready(&hub.start("two")));
}

#[test]
fn a_view_that_becomes_a_process_and_the_reverse_change_places() {
    let sandbox = Sandbox::new();
    let (port, good) = (free_port(), module(&[]));
    let view = ("parachute-vault-b", port, &*good);
    registry(&sandbox, &[view]);
    let hub = Hub::serve(&sandbox);
    let first = hub.until_ready("parachute-vault-b");
    registry(&sandbox, &[("parachute-vault", port, &good), view]);
    let done = json!({"added": ["vault"], "removed": [], "changed": []});
    assert_eq!(reload(&hub), done);
    let second = hub.until_ready("vault");
    assert!(!alive(first));
    assert!(hub.state("parachute-vault-b").is_none());
    assert_eq!(pid_of(&hub.start("parachute-vault-b")), second);
    registry(&sandbox, &[view]);
    let done = json!({"added": [], "removed": ["vault"], "changed": []});
    assert_eq!(reload(&hub), done);
    let third = until("the view to be a process", || {
        hub.state("parachute-vault-b")
            .filter(is_ready)
            .map(|s| pid_of(&s))
    });
    assert_eq!(spawned(&sandbox), [third]);
    assert!(!hub.err().contains("is held by"), "{}", hub.err());
}
