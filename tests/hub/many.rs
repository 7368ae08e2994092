//! Many modules at once.

use super::{Hub, ask, module, registry, spawned};
use crate::sandbox::{EXE, Sandbox, free_port, until_true};
use std::{
    fs,
    time::{Duration, Instant},
};

/// `HUB_MANY` cheap modules that say for themselves that they are ready.
#[test]
fn five_hundred_modules_at_once() {
    let many: usize = std::env::var("HUB_MANY")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(500);
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (0..many)
        .map(|n| super::row(&format!("m{n}"), 10_000 + u16::try_from(n).unwrap(), "/tmp"))
        .collect();
    for n in 0..many {
        sandbox.file(
            &format!("m{n}/.parachute/module.json"),
            r#"{"startCmd":["/bin/sleep","1000"]}"#,
        );
    }
    // Their rows have no folder of their own: what they run is kept under the home.
    let rows: Vec<_> = rows
        .into_iter()
        .map(|mut row| {
            row.as_object_mut().unwrap().remove("installDir");
            row
        })
        .collect();
    sandbox.registry(serde_json::json!({ "services": rows }).to_string());
    let mut hub = Hub::serve(&sandbox);
    ask(hub.port, "GET", "/health", &[]).expect(200);
    until_true("all to be spawned", || {
        hub.states().iter().filter(|s| s["pid"].is_u64()).count() == many
    });
    assert_eq!(spawned(&sandbox).len(), many);
    let status = fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    assert!(status.contains("VmRSS"));
    let begun = Instant::now();
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
    assert!(spawned(&sandbox).is_empty());
}

#[test]
fn many_that_bind_a_little_later_are_all_ready_soon() {
    let sandbox = Sandbox::new();
    let command = module(&["--bind-after", "200"]);
    let names: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    let rows: Vec<(&str, u16, &[&str])> = names
        .iter()
        .map(|n| (&**n, free_port(), &*command))
        .collect();
    registry(&sandbox, &rows);
    let hub = Hub::serve(&sandbox);
    until_true("all to be ready", || {
        let ready = ask(hub.port, "GET", "/api/ready", &[]).expect(200);
        ready["ready_modules"].as_array().unwrap().len() == names.len()
    });
    assert_eq!(spawned(&sandbox).len(), names.len());
    assert!(fs::metadata(EXE).is_ok());
}
