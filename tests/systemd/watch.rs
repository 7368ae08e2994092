//! `status --watch` on a real systemd: what happens to the unit is shown when systemd tells of it.

use super::{Box, scenario::Actor};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

/// How long a change may take to be shown: far less than the pause between two looks.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_change_of_the_unit_is_shown_as_it_happens() {
    let Some(machine) = Box::start() else { return };
    machine.hub(Actor::Root);
    let mut command = machine.command("parachute");
    command.args(["status", "hub", "--watch", "--interval", "3600"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (tell, lines) = mpsc::channel();
    let out = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let shown = |word: &str| loop {
        let line = lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("`{word}` was not shown"));
        if line.starts_with("hub") && line.contains(word) {
            return;
        }
    };
    shown(" active");
    machine.sh("systemctl stop parachute-hub");
    shown(" inactive");
    machine.sh("systemctl start parachute-hub");
    shown(" active");
    child.kill().unwrap();
    child.wait().unwrap();
}
