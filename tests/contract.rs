//! One scenario for every manager that keeps a hub without a unit. A manager with units runs the
//! same verbs on machines of its own (`tests/systemd/scenario.rs`, `tests/launchd`).
//!
//! Another backend is another [`Backend`] and one more line at the end.

use crate::{
    hub,
    sandbox::{Guarded, Ran, Sandbox, alive, free_port, listens, until, until_true},
};
use serde_json::Value;
use std::process::Command;

/// What differs between what keeps a hub.
trait Backend {
    /// As `status` names it.
    const MANAGER: &'static str;
    /// A hub that dies is brought back.
    const REVIVES: bool;

    /// Starts the hub and returns when it may not answer yet.
    fn start(&mut self, sandbox: &Sandbox);

    /// Stops it, by `stop` where that can be; says what `stop` said.
    fn stop(&mut self, sandbox: &Sandbox) -> Ran;
}

#[derive(Default)]
struct Pidfile;

impl Backend for Pidfile {
    const MANAGER: &'static str = "pidfile";
    const REVIVES: bool = false;

    fn start(&mut self, sandbox: &Sandbox) {
        let mut command = sandbox.command(["start", "hub"]);
        let ran: Ran = command
            .env("PORT", free_port().to_string())
            .output()
            .unwrap()
            .into();
        let ran = ran.expect(0);
        assert!(ran.out.contains("hub  started (pid "), "{}", ran.out);
    }

    fn stop(&mut self, sandbox: &Sandbox) -> Ran {
        sandbox.say("stop").expect(0)
    }
}

#[derive(Default)]
struct External {
    child: Option<Guarded>,
}

impl Backend for External {
    const MANAGER: &'static str = "external";
    const REVIVES: bool = false;

    fn start(&mut self, sandbox: &Sandbox) {
        let mut command = hub::command(sandbox);
        let child = command.env("PORT", free_port().to_string()).spawn();
        self.child = Some(Guarded(child.unwrap()));
    }

    fn stop(&mut self, sandbox: &Sandbox) -> Ran {
        let refused = sandbox.say("stop").expect(1);
        assert!(refused.err.contains("is kept by"), "{}", refused.err);
        assert!(refused.err.contains("hint: "), "{}", refused.err);
        let mut child = self.child.take().unwrap();
        signal("-TERM", child.0.id());
        assert!(child.0.wait().unwrap().success());
        refused
    }
}

fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn pid(row: &Value) -> u32 {
    row["pid"].as_u64().unwrap_or_else(|| panic!("{row}")) as u32
}

/// Hub and both modules are active; gives their rows.
fn all_active<B: Backend>(sandbox: &Sandbox) -> (Value, Value, Value) {
    until("hub and modules to be active", || {
        let status = sandbox.status();
        let rows = (
            status["hub"].clone(),
            status["modules"][0].clone(),
            status["modules"][1].clone(),
        );
        let active = |row: &Value| row["state"] == "active";
        (active(&rows.0) && active(&rows.1) && active(&rows.2)).then(|| {
            assert_eq!(status["way"], "managed");
            assert_eq!(status["manager"], B::MANAGER);
            rows
        })
    })
}

fn scenario<B: Backend + Default>() {
    let (sandbox, mut backend) = (Sandbox::new(), B::default());
    let ports = ["alpha", "beta"].map(|name| sandbox.module(name, &["--say", "here I am"]));

    backend.start(&sandbox);
    let (_, alpha, _) = all_active::<B>(&sandbox);
    sandbox.say("status").expect(0);

    // A module crashes and is brought back.
    let before = pid(&alpha);
    signal("-KILL", before);
    let alpha = until("alpha to be brought back", || {
        let row = sandbox.row("alpha");
        (row["state"] == "active" && row["pid"] != before).then_some(row)
    });

    // A module is restarted, stopped and started; the other one is left alone.
    let (_, _, beta) = all_active::<B>(&sandbox);
    let done = sandbox.say("restart beta --json").expect(0).json();
    assert_eq!(done["changes"][0]["did"], "restarted");
    assert_ne!(done["changes"][0]["pid"], beta["pid"]);
    assert!(!alive(pid(&beta)));
    let done = sandbox.say("start beta --json").expect(0).json();
    assert_eq!(done["changes"][0]["did"], "already_running");
    let done = sandbox.say("stop beta --json").expect(0).json();
    assert_eq!(done["changes"][0]["did"], "stopped");
    assert_eq!(sandbox.row("beta")["state"], "inactive");
    assert!(!listens(ports[1]));
    sandbox.say("status").expect(0);
    sandbox.say("stop beta").expect(0);
    sandbox.say("start beta").expect(0);
    assert_eq!(sandbox.row("alpha")["pid"], alpha["pid"]);

    // Each life has left its line.
    let logs = sandbox.say("logs alpha").expect(0);
    assert_eq!(logs.out.matches("here I am").count(), 2, "{}", logs.out);

    // The hub dies: its modules go with it, and nothing claims that they run.
    let (hub, alpha, beta) = all_active::<B>(&sandbox);
    signal("-KILL", pid(&hub));
    if !B::REVIVES {
        until_true("the modules to go with their hub", || {
            !alive(pid(&alpha)) && !alive(pid(&beta))
        });
        let status = sandbox.status();
        for row in status["modules"].as_array().unwrap() {
            assert_ne!(row["state"], "active", "{status}");
        }
        backend.start(&sandbox);
    }
    let (_, alpha, _) = all_active::<B>(&sandbox);
    assert!(alive(pid(&alpha)));

    // Stopped: nothing is left, and that is no failure.
    backend.stop(&sandbox);
    for port in ports {
        assert!(!listens(port));
    }
    let status = sandbox.say("status --json").expect(0).json();
    for row in status["modules"].as_array().unwrap() {
        assert_eq!(row["state"], "inactive", "{status}");
    }
}

#[test]
fn a_hub_that_a_pidfile_keeps() {
    scenario::<Pidfile>();
}

#[test]
fn a_hub_that_a_terminal_keeps() {
    scenario::<External>();
}
