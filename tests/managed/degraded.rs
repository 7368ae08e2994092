//! `status` of a managed box when something is missing: never hangs, never fails for want of a
//! token, and says what it does not know.

use super::{detached, notes, other_make, recorded, row_notes};
use crate::{
    fakes::{
        hub::{Make, jwt, put_token, running},
        rogue::{Rogue, Way},
    },
    hub::Hub,
    sandbox::{Ran, Sandbox, free_port, until_true},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

/// A hub of ours with one module up.
fn well() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    sandbox
}

/// Its module is active by its own health, one note says why and holds this.
#[track_caller]
fn by_health(sandbox: &Sandbox, says: &str) {
    let status = sandbox.say("status --json").expect(0).json();
    assert_eq!(status["hub"]["state"], "active", "{status}");
    assert_eq!(status["modules"][0]["state"], "active", "{status}");
    let list = status["notes"].as_array().unwrap();
    assert_eq!(list.len(), 1, "{status}");
    let note = notes(&status);
    assert!(note.contains("shown by their own health"), "{note}");
    assert!(note.contains(says), "{note}");
    assert!(
        note.contains("`parachute "),
        "it says nothing to do: {note}"
    );
    sandbox.say("stop").expect(0);
}

#[test]
fn without_a_token() {
    let sandbox = well();
    fs::remove_file(sandbox.at("operator.token")).unwrap();
    by_health(&sandbox, "there is no operator token");
}

#[test]
fn with_an_expired_token() {
    let sandbox = well();
    put_token(&sandbox.home(), &jwt(&json!({"exp": 1_700_000_000})));
    by_health(&sandbox, "expired");
}

#[test]
fn with_a_token_of_another_hub() {
    let sandbox = well();
    put_token(
        &sandbox.home(),
        &jwt(&json!({"iss": "https://elsewhere", "exp": 4_000_000_000u64})),
    );
    by_health(&sandbox, "does not accept the operator token");
}

#[test]
fn with_a_token_that_others_may_read() {
    let sandbox = well();
    let token = sandbox.at("operator.token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let status = sandbox.status();
    assert!(
        status["modules"][0]["pid"].is_u64(),
        "it was not used: {status}"
    );
    assert!(notes(&status).contains("chmod 600"), "{status}");
    sandbox.say("stop").expect(0);
}

#[test]
fn with_a_token_that_may_not_be_read() {
    crate::needs_root!();
    // Root reads everything; a user that owns nothing of the home does not.
    let sandbox = well();
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(sandbox.user_dir(), 0o755);
    open(&sandbox.home(), 0o755);
    let exe = crate::sandbox::EXE;
    let home = sandbox.home();
    let args = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        exe,
        "--home",
    ];
    let ran: Ran = std::process::Command::new("setpriv")
        .args(args)
        .arg(&home)
        .args(["status", "--json"])
        .env_clear()
        .env("PARACHUTE_MANAGER", "none")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .output()
        .unwrap()
        .into();
    if ran.code > 125 {
        eprintln!("skipped: nobody may not run {exe}: {}", ran.err);
        return;
    }
    let status = ran.expect(0).json();
    assert_eq!(status["modules"][0]["state"], "active", "{status}");
    assert_eq!(status["way"], "managed", "{status}");
    let note = notes(&status);
    assert!(note.contains("may not be read by this user"), "{note}");
    assert!(note.contains("sudo -u "), "{note}");
    sandbox.say("stop").expect(0);
}

#[test]
fn a_hub_that_does_not_list_states_and_modules_it_does_not_list() {
    let sandbox = Sandbox::new();
    let (hub, _kept, ports) = other_make(&sandbox, Make::V0_6_3);
    hub.module("vault", |m| m.state = Some(running(std::process::id())));
    let _vault = answering(ports[0], "200 OK");
    // Not listed by it, and up: a 401 is up too.
    let _notes = answering(ports[2], "401 Unauthorized");
    let status = sandbox.say("status --json").expect(0).json();
    assert_eq!(status["hub"]["version"], "0.6.3");
    let states: Vec<&str> = (0..3)
        .map(|at| status["modules"][at]["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["active", "inactive", "active"], "{status}");
    assert_eq!(status["modules"][0]["pid"], std::process::id());
    let note = row_notes(&status["modules"][2]);
    assert!(note.contains("does not list it"), "{note}");
}

/// Somebody who gives this answer to everything on this port, to the end of all tests.
fn answering(port: u16, status: &'static str) -> std::thread::JoinHandle<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    })
}

#[test]
fn states_come_from_the_list_of_every_make() {
    for make in Make::ALL {
        let sandbox = Sandbox::new();
        let (hub, _kept, ports) = other_make(&sandbox, make);
        hub.module("vault", |m| m.state = Some(running(std::process::id())));
        let failed = json!({"error_type": "exited_early", "error_description": "bad config"});
        let gone = crate::fakes::hub::crashed(1, failed);
        hub.module("scribe", |m| m.state = Some(gone));
        let _vault = answering(ports[0], "200 OK");
        let status = sandbox.say("status --json").expect(1).json();
        assert_eq!(
            status["modules"][0]["state"], "active",
            "{make:?}: {status}"
        );
        let scribe = &status["modules"][1];
        assert_eq!(scribe["state"], "failing", "{make:?}: {status}");
        assert_eq!(scribe["start_error"]["error_type"], "exited_early");
        assert!(row_notes(scribe).contains("bad config"), "{scribe}");
    }
}

#[test]
fn another_program_on_the_hubs_port_is_named() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let rogue = Rogue::start(Way::Says("200 OK", String::new(), "It works!"));
    let _kept = recorded(&sandbox, rogue.port());
    let status = sandbox.say("status --json").expect(1).json();
    wrong(&status);
    assert!(rogue.seen().iter().all(|r| !r.text().contains("Bearer")));
}

/// The hub's row is failing and names this very process as the listener.
#[track_caller]
fn wrong(status: &Value) {
    let row = &status["hub"];
    assert_eq!(row["state"], "failing", "{status}");
    assert_eq!(row["version"], Value::Null, "{status}");
    let note = row_notes(row);
    let me = format!("pid {}", std::process::id());
    assert!(note.contains(&me), "{note}");
}

#[test]
fn another_homes_hub_on_the_port_is_named() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.file("hub-instance.json", r#"{"instance":"mine"}"#);
    let rogue = Rogue::start(Way::Hub("another"));
    let _kept = recorded(&sandbox, rogue.port());
    let status = sandbox.say("status --json").expect(1).json();
    wrong(&status);
    let note = row_notes(&status["hub"]);
    assert!(note.contains("another home's hub"), "{note}");
}

/// No verb acts on a hub whose nonce is not the one of this home.
#[test]
fn another_homes_hub_is_asked_for_nothing() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.file("hub-instance.json", r#"{"instance":"mine"}"#);
    let rogue = Rogue::start(Way::Hub("another"));
    let _kept = recorded(&sandbox, rogue.port());
    for verb in ["start", "stop", "restart"] {
        let ran = sandbox.run([verb, "web", "--json"]).expect(5).json();
        let changes = ran["changes"].as_array().unwrap();
        assert!(!changes.is_empty(), "{verb}: {ran}");
        for change in changes {
            assert_eq!(change["error"]["code"], "wrong_hub", "{verb}: {ran}");
        }
    }
}

#[test]
fn the_hub_of_another_home_is_not_taken_for_ours() {
    // Both boxes think of the same port, and only one of them has a hub.
    let (one, other) = (Sandbox::new(), Sandbox::new());
    one.module("web", &[]);
    other.module("web", &[]);
    let hub = Hub::serve(&one);
    let mut command = other.command(["status", "--json"]);
    let ran: Ran = command
        .env("PORT", hub.port.to_string())
        .output()
        .unwrap()
        .into();
    let status = ran.expect(0).json();
    assert_eq!(status["way"], "detached", "{status}");
    assert_eq!(status["modules"][0]["state"], "inactive");
}

#[test]
fn a_wedged_hub_costs_seconds_and_not_more() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    put_token(&sandbox.home(), &jwt(&json!({"exp": 4_000_000_000u64})));
    let rogue = Rogue::start(Way::Silent);
    let _kept = recorded(&sandbox, rogue.port());
    let _web = answering(port, "200 OK");
    let begun = Instant::now();
    let status = sandbox.say("status --json").expect(1).json();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(status["hub"]["state"], "failing");
    let note = row_notes(&status["hub"]);
    assert!(note.contains("does not answer"), "{note}");
    // The hub is silent, not down: the module is as its own health says.
    assert_eq!(status["modules"][0]["state"], "active", "{status}");
    eprintln!("status of a wedged hub: {took:?}");
}

#[test]
fn a_hub_that_is_down_leaves_its_modules_inactive_and_names_who_answers() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    sandbox.module("other", &[]);
    let _kept = recorded(&sandbox, free_port());
    let _stranger = answering(port, "200 OK");
    let status = sandbox.say("status --json").expect(1).json();
    let row = &status["modules"][0];
    assert_eq!(row["state"], "inactive", "{status}");
    let note = row_notes(row);
    assert!(
        note.contains(&format!("pid {}", std::process::id())),
        "{note}"
    );
    assert_eq!(status["modules"][1]["state"], "inactive", "{status}");
    assert_eq!(status["modules"][1]["notes"], json!([]));
    // Its process runs, its health does not answer.
    let note = row_notes(&status["hub"]);
    assert!(note.contains("starting or unhealthy"), "{note}");
}

#[test]
fn every_key_of_the_document_is_there() {
    let sandbox = well();
    let status = sandbox.status();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&status),
        [
            "schema", "home", "way", "manager", "hub", "modules", "notes"
        ]
    );
    let row = [
        "name",
        "service",
        "state",
        "port",
        "version",
        "pid",
        "uptime_seconds",
        "latency_ms",
        "url",
        "source",
        "start_error",
        "notes",
        "cpu_percent",
        "memory_bytes",
    ];
    assert_eq!(keys(&status["modules"][0]), row);
    let mut hub = row.to_vec();
    hub.push("unit");
    assert_eq!(keys(&status["hub"]), hub);
    assert_eq!(status["hub"]["service"], "parachute-hub");
    assert!(status["hub"]["latency_ms"].is_f64());
    assert!(status["modules"][0]["memory_bytes"].as_u64().unwrap() > 0);
    sandbox.say("stop").expect(0);
}
