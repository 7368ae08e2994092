//! The hub in its home and before its manager: the instance file, reloads, notifications, a home that
//! is wiped.

use super::{Hub, ask, command, module, registry, spawned};
use crate::sandbox::{EXE, Guarded, Ran, Sandbox, free_port, listens, until, until_true};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::Stdio,
    time::Duration,
};

#[test]
fn the_instance_file_is_of_this_boot_and_goes_with_it() {
    let sandbox = Sandbox::new();
    let mut hub = Hub::serve(&sandbox);
    let read = || -> Value { serde_json::from_str(&sandbox.text("hub-instance.json")).unwrap() };
    let first = read();
    assert_eq!(
        (&first["pid"], &first["port"]),
        (&json!(hub.pid()), &json!(hub.port))
    );
    let mode = fs::metadata(sandbox.at("hub-instance.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(!sandbox.at("hub/run/hub.pid").exists());
    // Wrong after a kill only until the next boot.
    hub.signal("KILL");
    hub.wait();
    drop(hub);
    assert_eq!(read(), first);
    let mut hub = Hub::serve(&sandbox);
    let second = read();
    assert_ne!(first["instance"], second["instance"]);
    assert_eq!(
        ask(hub.port, "GET", "/health", &[]).expect(200)["instance"],
        second["instance"]
    );
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    assert!(!sandbox.at("hub-instance.json").exists());
}

#[test]
fn a_reload_starts_what_is_new_stops_what_is_gone_and_reports_what_changed() {
    let sandbox = Sandbox::new();
    let (one, two, three) = (free_port(), free_port(), free_port());
    let good = module(&[]);
    registry(&sandbox, &[("one", one, &good), ("two", two, &good)]);
    let hub = Hub::serve(&sandbox);
    let first = hub.until_ready("one");
    hub.until_ready("two");
    assert_eq!(
        hub.post("/api/reload").expect(200),
        json!({"added": [], "removed": [], "changed": []})
    );
    registry(&sandbox, &[("one", one, &good), ("three", three, &good)]);
    let mut rows = sandbox.registry_json();
    rows["services"][0]["tagline"] = json!("another");
    sandbox.registry(rows.to_string());
    let done = hub.post("/api/reload").expect(200);
    assert_eq!(
        done,
        json!({"added": ["three"], "removed": ["two"], "changed": ["one"]})
    );
    hub.until_ready("three");
    assert_eq!(hub.until_ready("one"), first);
    assert!(hub.state("two").is_none());
    hub.ask("GET", "/api/modules/two/logs")
        .refused(404, "not_supervised");
    assert_eq!(spawned(&sandbox).len(), 2);
    // The same by signal.
    registry(&sandbox, &[("one", one, &good)]);
    hub.signal("HUP");
    until_true("the row to be gone", || {
        hub.state("three").is_none() && spawned(&sandbox).len() == 1
    });
}

#[test]
fn the_service_manager_is_told() {
    let sandbox = Sandbox::new();
    registry(
        &sandbox,
        &[(
            "good",
            free_port(),
            &[
                "/bin/sh",
                "-c",
                "echo [$NOTIFY_SOCKET] [$WATCHDOG_USEC]; exec sleep 1000",
            ],
        )],
    );
    let path = sandbox.user_dir().join("manager.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut hub = Hub::of(
        &sandbox,
        command(&sandbox)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "300000"),
    );
    let hear = |wanted: &str| {
        until(wanted, || {
            let mut said = [0; 1024];
            let n = manager.recv(&mut said).unwrap();
            let text = String::from_utf8_lossy(&said[..n]).into_owned();
            text.lines().any(|l| l.starts_with(wanted)).then_some(text)
        })
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    hub.signal("HUP");
    let text = hear("RELOADING=1");
    assert!(text.contains("MONOTONIC_USEC="), "{text}");
    hear("READY=1");
    // Modules do not get the hub's own.
    until_true("the module's line", || hub.out().contains("[good] ["));
    assert!(
        !hub.out().contains("manager.sock") && hub.out().contains("] []"),
        "{}",
        hub.out()
    );
    hub.signal("TERM");
    hear("STOPPING=1");
    assert_eq!(hub.wait(), 0);
}

/// Note 31.
#[test]
fn a_wiped_home_is_noticed_and_the_hubs_own_files_are_made_anew() {
    let sandbox = Sandbox::new();
    registry(&sandbox, &[("good", free_port(), &module(&[]))]);
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    let before = hub.token();
    fs::remove_dir_all(sandbox.home()).unwrap();
    until_true("the hub to say so", || hub.err().contains("wiped"));
    until_true("its files", || {
        sandbox.at("hub-instance.json").exists() && sandbox.at("operator.token").exists()
    });
    // It keeps what it has: the module, and the key, so that tokens handed out go on.
    assert_eq!(hub.until_ready("good"), pid);
    ask(
        hub.port,
        "GET",
        "/api/modules",
        &[("Authorization", &format!("Bearer {before}"))],
    )
    .expect(200);
    hub.post("/api/reload").refused(500, "module_op_failed");
    assert_eq!(hub.until_ready("good"), pid);
    let instance: Value = serde_json::from_str(&sandbox.text("hub-instance.json")).unwrap();
    assert_eq!(
        ask(hub.port, "GET", "/health", &[]).expect(200)["instance"],
        instance["instance"]
    );
}

/// One file of the hub's own is taken away: the home is as it was, and stays one hub's.
#[test]
fn an_instance_file_that_is_taken_away_comes_back() {
    let sandbox = Sandbox::new();
    registry(&sandbox, &[("good", free_port(), &module(&[]))]);
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    let before = sandbox.text("hub-instance.json");
    for taken in [None, Some("{}"), Some("not json")] {
        match taken {
            None => fs::remove_file(sandbox.at("hub-instance.json")).unwrap(),
            Some(text) => fs::write(sandbox.at("hub-instance.json"), text).unwrap(),
        }
        until_true("the file", || {
            fs::read_to_string(sandbox.at("hub-instance.json")).is_ok_and(|now| now == before)
        });
    }
    assert!(!hub.err().contains("wiped"), "{}", hub.err());
    assert_eq!(sandbox.status()["manager"], "external");
    assert_eq!(hub.until_ready("good"), pid);
}

/// What becomes of another hub on this home, at once.
fn a_second_hub(sandbox: &Sandbox) -> Ran {
    let errors = sandbox.user_dir().join("second.err");
    let mut command = sandbox.command(["serve"]);
    command
        .env("PORT", free_port().to_string())
        .env("PARACHUTE_HOME", sandbox.home())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&errors).unwrap());
    let mut child = Guarded(command.spawn().unwrap());
    let status = until("the second hub to end", || child.0.try_wait().unwrap());
    Ran {
        code: status.code().unwrap_or(-1),
        out: String::new(),
        err: fs::read_to_string(errors).unwrap(),
    }
}

#[test]
fn a_hub_folder_that_is_taken_away_comes_back_and_lets_no_second_hub_in() {
    let sandbox = Sandbox::new();
    registry(&sandbox, &[("good", free_port(), &module(&[]))]);
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    let token = hub.token();
    let key = fs::read(sandbox.at("hub/keys/es256.pem")).unwrap();
    fs::remove_dir_all(sandbox.at("hub")).unwrap();
    let refused = |ran: Ran| {
        let ran = ran.expect(1);
        let who = format!("pid {}, on port {}, serves", hub.pid(), hub.port);
        assert!(ran.err.contains(&who), "{}", ran.err);
    };
    // Before the hub has noticed, and after.
    refused(a_second_hub(&sandbox));
    until_true("the lock and the key", || {
        sandbox.at("hub/run/serve.lock").exists() && sandbox.at("hub/keys/es256.pem").exists()
    });
    refused(a_second_hub(&sandbox));
    // The key alone.
    fs::remove_dir_all(sandbox.at("hub/keys")).unwrap();
    until_true("the key", || {
        fs::read(sandbox.at("hub/keys/es256.pem")).is_ok_and(|now| now == key)
    });
    assert_eq!(hub.token(), token);
    assert!(!sandbox.at("operator.token.old").exists());
    assert!(!hub.err().contains("wiped"), "{}", hub.err());
    assert_eq!(hub.until_ready("good"), pid);
}

#[test]
fn an_instance_file_that_a_killed_hub_has_left_keeps_no_other_out() {
    let sandbox = Sandbox::new();
    let mut hub = Hub::serve(&sandbox);
    hub.signal("KILL");
    hub.wait();
    let left = sandbox.text("hub-instance.json");
    // Somebody else's hub has the port by now.
    let other = Sandbox::new();
    let _others = Hub::of(&other, command(&other).env("PORT", hub.port.to_string()));
    drop(hub);
    let hub = Hub::serve(&sandbox);
    assert_ne!(sandbox.text("hub-instance.json"), left);
    hub.ask("GET", "/api/modules").expect(200);
}

/// Contract, section 3: from our hub every spawn has a `NOTIFY_SOCKET`.
#[test]
fn a_module_has_its_notify_socket_after_the_home_was_wiped() {
    let sandbox = Sandbox::new();
    let script = format!(
        "[ -S \"$NOTIFY_SOCKET\" ] && echo it is there; exec {} __module",
        EXE
    );
    let rows: &[(&str, u16, &[&str])] = &[("good", free_port(), &["/bin/sh", "-c", &script])];
    registry(&sandbox, rows);
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    until_true("its line", || hub.out().matches("it is there").count() == 1);
    fs::remove_dir_all(sandbox.home()).unwrap();
    until_true("the hub's files", || {
        sandbox.at("hub-instance.json").exists() && sandbox.at("operator.token").exists()
    });
    registry(&sandbox, rows);
    hub.restart("good");
    hub.until_ready("good");
    until_true("its line", || hub.out().matches("it is there").count() == 2);
}

/// The stale error of a detached start goes when the hub sees the module live.
#[test]
fn an_old_start_error_is_cleared_by_whoever_sees_the_module_live() {
    let sandbox = Sandbox::new();
    registry(&sandbox, &[("good", free_port(), &module(&[]))]);
    let mut rows = sandbox.registry_json();
    rows["services"][0]["lastStartError"] =
        json!({"error_type": "exited_early", "error_description": "x"});
    rows["services"][0]["theirs"] = json!(1.50);
    sandbox.registry(rows.to_string());
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    until_true("the error to go", || {
        sandbox.registry_json()["services"][0]
            .get("lastStartError")
            .is_none()
    });
    assert_eq!(
        sandbox.registry_json()["services"][0]["theirs"],
        json!(1.50)
    );
}

/// A hub begins by itself what is added; what it runs is restarted when it is launched from
/// something else.
#[test]
fn add_knows_what_the_hub_does_by_itself() {
    let sandbox = Sandbox::new();
    registry(&sandbox, &[]);
    let hub = Hub::serve(&sandbox);
    hub.token();
    let add = |port: u16, words: &[&str]| {
        let port = port.to_string();
        let mut args = vec!["add", "web", "--port", &port];
        args.extend(words);
        sandbox.run(args).expect(0)
    };
    let (old, new) = (free_port(), free_port());
    let ran = add(old, &["--", EXE, "__module"]);
    assert!(ran.out.contains("`parachute status web`"), "{}", ran.out);
    let pid = hub.until_ready("web");
    let ran = add(old, &["--replace", "--path", "/a", "--start"]);
    assert!(ran.out.contains("already running"), "{}", ran.out);
    let ran = add(new, &["--replace", "--start"]);
    assert!(ran.out.contains("restarted"), "{}", ran.out);
    assert!(listens(new) && !listens(old));
    assert_ne!(hub.until_ready("web"), pid);
    let ran = add(old, &["--replace"]);
    assert!(ran.out.contains("`parachute restart web`"), "{}", ran.out);
}
