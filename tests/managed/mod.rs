//! The managed way without a unit: which way is taken, what verbs say, what status says when the hub
//! does not, and logs.
// A test that cannot run here says so.
#![allow(clippy::print_stderr)]

mod degraded;
mod dispatch;
mod logs;
mod names;
mod neighbours;
mod plans;
mod tokens;
mod verbs;

use crate::{
    fakes::hub::{Hub as StandIn, Make},
    sandbox::{Guarded, Ran, Sandbox, free_port},
};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
};

/// A detached hub of this make, started by `start hub`; its modules are up when it is.
pub(super) fn detached(sandbox: &Sandbox) {
    let mut command = sandbox.command(["start", "hub"]);
    let ran: Ran = command
        .env("PORT", free_port().to_string())
        .output()
        .unwrap()
        .into();
    ran.expect(0);
}

/// A process in place of a detached hub, with the record that proves it; the hub's port is another
/// program's.
pub(super) fn recorded(sandbox: &Sandbox, port: u16) -> Guarded {
    let child = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(19)
        .unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    sandbox.file(
        "hub/run/hub.pid",
        format!("{pid}\nstart={start}\nboot={}\n", boot.trim()),
    );
    sandbox.file("hub/run/hub.port", format!("{port}\n"));
    Guarded(child)
}

/// A box whose hub is a stand-in of another make, kept by a pidfile; vault, scribe and notes have
/// rows. Gives their ports in that order.
pub(super) fn other_make(sandbox: &Sandbox, make: Make) -> (StandIn, Guarded, [u16; 3]) {
    let ports = [free_port(), free_port(), free_port()];
    let row = |(name, port): (&str, u16)| {
        json!({"name": format!("parachute-{name}"), "port": port, "paths": [], "health": "/health",
            "version": "0.4.0"})
    };
    let rows: Vec<Value> = ["vault", "scribe", "notes"]
        .into_iter()
        .zip(ports)
        .map(row)
        .collect();
    sandbox.registry(json!({ "services": rows }).to_string());
    let hub = StandIn::start(make, &sandbox.home());
    let kept = recorded(sandbox, hub.port());
    (hub, kept, ports)
}

/// One module's change in a verb's document.
#[track_caller]
pub(super) fn change(ran: &Ran, name: &str) -> Value {
    let document = ran.json();
    let changes = document["changes"].as_array();
    let changes = changes.unwrap_or_else(|| panic!("{document}"));
    let found = changes.iter().find(|change| change["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {document}"))
        .clone()
}

/// All notes of the box, as one text.
pub(super) fn notes(status: &Value) -> String {
    let notes = status["notes"].as_array().unwrap().iter();
    let notes: Vec<&str> = notes.filter_map(Value::as_str).collect();
    notes.join("\n")
}

/// All notes of a row, as one text.
pub(super) fn row_notes(row: &Value) -> String {
    notes(row)
}
