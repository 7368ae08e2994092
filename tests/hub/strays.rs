//! What a module has started and what has then left its session: said, and ended with it.

use super::{Hub, is_ready, kill, one, pid_of, spawned};
use crate::sandbox::{EXE, Sandbox, alive, listens, until_true};

fn leaver(sandbox: &Sandbox) -> u16 {
    let script = format!("setsid {EXE} __module --ignore-term & exec sleep 1000");
    one(sandbox, "leaver", &["/bin/sh", "-c", &script])
}

#[test]
fn what_has_left_the_session_is_no_stranger_and_a_stop_ends_it_too() {
    let sandbox = Sandbox::new();
    let port = leaver(&sandbox);
    let hub = Hub::serve(&sandbox);
    let state = hub.until("leaver", "unbound", |s| !s["startError"].is_null());
    let error = &state["startError"];
    assert_eq!(error["error_type"], "started_but_unbound", "{error}");
    let text = error["error_description"].as_str().unwrap();
    assert!(text.contains("has left its session"), "{text}");
    assert!(listens(port) && state["status"] == "running");
    assert_eq!(hub.stop("leaver")["stopped"], true);
    assert!(spawned(&sandbox).is_empty() && !listens(port));
}

#[test]
fn what_has_left_the_session_ends_with_a_crash() {
    let sandbox = Sandbox::new();
    let script = format!("setsid sleep 1000 & exec {EXE} __module");
    one(&sandbox, "leaver", &["/bin/sh", "-c", &script]);
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("leaver");
    until_true("both", || spawned(&sandbox).len() == 2);
    let before = spawned(&sandbox);
    kill("KILL", pid);
    hub.until("leaver", "respawned", |s| is_ready(s) && pid_of(s) != pid);
    assert!(before.iter().all(|pid| !alive(*pid)));
}

#[test]
fn what_has_left_the_session_does_not_outlive_the_hub() {
    for (signal, code) in [("TERM", 0), ("KILL", 137)] {
        let sandbox = Sandbox::new();
        let port = leaver(&sandbox);
        let mut hub = Hub::serve(&sandbox);
        until_true("it to serve", || listens(port));
        assert_eq!(spawned(&sandbox).len(), 2);
        hub.signal(signal);
        assert_eq!(hub.wait(), code);
        until_true(&format!("{signal}: it to be gone"), || {
            spawned(&sandbox).is_empty()
        });
    }
}

/// As a view that is put before the row whose process runs would, before a reload.
#[test]
fn a_port_that_another_module_of_this_hub_holds_is_not_held_by_a_stranger() {
    let sandbox = Sandbox::new();
    let port = one(&sandbox, "parachute-vault-b", &super::module(&[]));
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("parachute-vault-b");
    let module = super::module(&[]);
    super::registry(
        &sandbox,
        &[
            ("parachute-vault", port, &module),
            ("parachute-vault-b", port, &module),
        ],
    );
    let state = hub.start("vault");
    let error = &state["startError"];
    assert_eq!(error["error_type"], "port_squatter");
    let text = error["error_description"].as_str().unwrap();
    assert!(
        text.contains("another module") && !text.contains("not ours"),
        "{text}"
    );
    assert_eq!(hub.until_ready("parachute-vault-b"), pid);
}
