//! Every route of the hub, its order and its codes.

use super::{Hub, ask, module, one, registry};
use crate::sandbox::{Sandbox, free_port};
use serde_json::json;

#[test]
fn the_open_routes_need_no_token() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    let health = ask(hub.port, "GET", "/health", &[]);
    let body = health.expect(200);
    assert_eq!(
        (&body["status"], &body["service"]),
        (&json!("ok"), &json!("parachute-hub"))
    );
    assert!(body["version"].as_str().unwrap().starts_with("0.8."));
    assert_eq!(health.header("cache-control"), Some("no-store"));
    let instance: serde_json::Value =
        serde_json::from_str(&sandbox.text("hub-instance.json")).unwrap();
    assert_eq!(body["instance"], instance["instance"]);
    hub.until_ready("good");
    let ready = ask(hub.port, "GET", "/api/ready", &[]).expect(200);
    assert_eq!(
        ready,
        json!({"ready": true, "ready_modules": ["good"], "transient_modules": [], "persistent_modules": []})
    );
    let jwks = ask(hub.port, "GET", "/.well-known/jwks.json", &[]).expect(200);
    assert_eq!(
        (&jwks["keys"][0]["alg"], &jwks["keys"][0]["d"]),
        (&json!("ES256"), &json!(null))
    );
}

#[test]
fn a_request_is_judged_in_order() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    let foreign = [("Host", "evil.example"), ("Origin", "https://evil.example")];
    // 404, before 405, before 401.
    ask(hub.port, "DELETE", "/api/nothing", &foreign).refused(404, "not_found");
    let answer = ask(hub.port, "DELETE", "/api/modules", &foreign);
    answer.refused(405, "method_not_allowed");
    assert!(answer.header("allow").unwrap().contains("GET"));
    let answer = ask(hub.port, "GET", "/api/modules/good/start", &[]);
    answer.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = ask(hub.port, "GET", "/api/modules", &[]);
    answer.refused(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    // 401 before 403, and 403 before the work.
    sandbox
        .say("auth rotate-operator --scope-set vault")
        .expect(0);
    for (method, path) in [
        ("GET", "/api/modules"),
        ("POST", "/api/modules/nobody/start"),
        ("POST", "/api/modules/good/stop"),
        ("POST", "/api/modules/good/restart"),
        ("GET", "/api/modules/good/logs"),
        ("GET", "/api/modules/operations/1"),
        ("POST", "/api/modules/good/install"),
        ("POST", "/api/reload"),
    ] {
        hub.ask(method, path).refused(403, "insufficient_scope");
        ask(hub.port, method, path, &[]).refused(401, "unauthenticated");
    }
    sandbox
        .say("auth rotate-operator --scope-set start")
        .expect(0);
    hub.ask("GET", "/api/modules")
        .refused(403, "insufficient_scope");
    hub.post("/api/reload").refused(403, "insufficient_scope");
    hub.post("/api/modules/good/start").expect(200);
    hub.ask("GET", "/api/modules/good/logs").expect(200);
    sandbox
        .say("auth rotate-operator --scope-set auth")
        .expect(0);
    hub.ask("GET", "/api/modules").expect(200);
}

#[test]
fn operations_answer_with_what_became_of_the_module() {
    let sandbox = Sandbox::new();
    let port = free_port();
    registry(&sandbox, &[("good", port, &module(&["--say", "hello"]))]);
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    // A running module keeps running.
    let state = hub.start("good");
    assert_eq!(
        (&state["status"], &state["pid"]),
        (&json!("running"), &json!(pid))
    );
    let started = state["startedAt"].as_str().unwrap();
    assert!(started.ends_with('Z') && started.len() == 24, "{started}");
    assert_eq!(state["restartsInWindow"], 0);

    let restarted = hub.post("/api/modules/good/restart").expect(200);
    assert_eq!(
        (&restarted["short"], &restarted["state"]["status"]),
        (&json!("good"), &json!("running"))
    );
    assert_ne!(restarted["state"]["pid"], json!(pid));

    let stopped = hub.stop("good");
    assert_eq!(
        (&stopped["short"], &stopped["stopped"]),
        (&json!("good"), &json!(true))
    );
    assert_eq!(
        (&stopped["state"]["status"], &stopped["state"]["pid"]),
        (&json!("stopped"), &json!(null))
    );
    // Supervised until its row goes.
    assert_eq!(hub.stop("good")["stopped"], true);
    let text = hub.logs("good");
    assert!(text.contains("[good] hello\n"), "{text}");
    let logs = hub.ask("GET", "/api/modules/good/logs").expect(200);
    let lines: Vec<&str> = logs["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|l| l.as_str())
        .collect();
    assert_eq!(lines.concat(), logs["text"].as_str().unwrap());
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("[good] ") && line.ends_with('\n'))
    );
    assert_eq!(hub.restart("good")["status"], "running");
}

#[test]
fn what_cannot_be_done_has_its_own_code_each() {
    let sandbox = Sandbox::new();
    let free = free_port();
    sandbox.registry(
        json!({"services": [
        {"name": "mute", "port": free, "paths": [], "health": "/", "version": "1"}]})
        .to_string(),
    );
    let hub = Hub::serve(&sandbox);
    hub.post("/api/modules/nobody/start")
        .refused(400, "not_installed");
    hub.post("/api/modules/nobody/restart")
        .refused(400, "not_installed");
    hub.post("/api/modules/mute/start")
        .refused(422, "no_start_cmd");
    hub.post("/api/modules/mute/restart")
        .refused(404, "not_supervised");
    hub.ask("GET", "/api/modules/mute/logs")
        .refused(404, "not_supervised");
    hub.ask("GET", "/api/modules/nobody/logs")
        .refused(404, "not_supervised");
    for short in ["nobody", "mute"] {
        let answer = hub.post(&format!("/api/modules/{short}/stop")).expect(200);
        assert_eq!(answer, json!({"short": short, "stopped": false}));
    }
    let answer = hub.post("/api/modules/parachute-vault/stop").expect(200);
    assert_eq!(answer, json!({"short": "vault", "stopped": false}));
    for verb in ["install", "upgrade", "uninstall"] {
        hub.post(&format!("/api/modules/mute/{verb}"))
            .refused(501, "not_implemented");
    }
    hub.ask("GET", "/api/modules/operations/42")
        .refused(404, "not_found");
    sandbox.registry("{ not json");
    hub.post("/api/modules/nobody/start")
        .refused(500, "module_op_failed");
    hub.post("/api/reload").refused(500, "module_op_failed");
}

#[test]
fn the_list_has_the_known_modules_and_every_row() {
    let sandbox = Sandbox::new();
    let port = free_port();
    registry(&sandbox, &[("mine", port, &module(&[]))]);
    let mut registry = sandbox.registry_json();
    registry["services"][0]["displayName"] = json!("Mine");
    registry["services"][0]["uis"] = json!({"main": {"displayName": "Main", "path": "/ui"}});
    sandbox.registry(registry.to_string());
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("mine");
    let list = hub.ask("GET", "/api/modules").expect(200);
    assert_eq!(
        (
            &list["supervisor_available"],
            &list["module_install_channel"]
        ),
        (&json!(true), &json!("latest"))
    );
    let modules = list["modules"].as_array().unwrap();
    let shorts: Vec<&str> = modules
        .iter()
        .map(|m| m["short"].as_str().unwrap())
        .collect();
    for known in [
        "mine", "vault", "channel", "notes", "scribe", "runner", "surface",
    ] {
        assert!(shorts.contains(&known), "{shorts:?}");
    }
    let mine = &modules[0];
    assert_eq!(mine["display_name"], "Mine");
    assert_eq!(
        (&mine["installed"], &mine["installed_version"]),
        (&json!(true), &json!("1.0.0"))
    );
    assert_eq!(
        (&mine["supervisor_status"], &mine["pid"]),
        (&json!("running"), &json!(pid))
    );
    assert_eq!(
        mine["uis"],
        json!([{"displayName": "Main", "path": "/ui", "slug": "main"}])
    );
    let vault = modules.iter().find(|m| m["short"] == "vault").unwrap();
    for unknown in [
        "installed_version",
        "latest_version",
        "supervisor_status",
        "pid",
        "supervisor_start_error",
        "install_dir",
        "management_url",
    ] {
        assert!(
            vault.as_object().unwrap().contains_key(unknown) && vault[unknown].is_null(),
            "{unknown}"
        );
    }
    assert_eq!(vault["installed"], false);
    // A row that is added later can be started without a reload, and is listed.
    let second = free_port();
    super::registry(
        &sandbox,
        &[("mine", port, &module(&[])), ("late", second, &module(&[]))],
    );
    assert_eq!(hub.start("late")["status"], "running");
    assert_eq!(hub.state("late").unwrap()["status"], "running");
}

#[test]
fn only_loopback_and_known_origins_are_served() {
    let sandbox = Sandbox::new();
    sandbox.file("hub/origin", "https://box.example/\n");
    let hub = Hub::serve(&sandbox);
    let token = format!("Bearer {}", hub.token());
    let with = |headers: &[(&str, &str)]| {
        let mut all = vec![("Authorization", token.as_str())];
        all.extend(headers);
        ask(hub.port, "GET", "/api/modules", &all)
    };
    for host in [
        "127.0.0.1",
        "localhost:1",
        "[::1]:80",
        "box.example",
        "BOX.example:443",
    ] {
        with(&[("Host", host)]).expect(200);
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "box.example:81",
        "",
    ] {
        with(&[("Host", host)]).refused(403, "forbidden_host");
    }
    with(&[("Origin", "https://box.example")]).expect(200);
    with(&[("Origin", "http://localhost:5173")]).expect(200);
    for origin in ["https://evil.example", "null", "http://box.example.evil"] {
        with(&[("Origin", origin)]).refused(403, "forbidden_origin");
    }
    // Who only asks for the health is served under any name.
    ask(hub.port, "GET", "/health", &[("Host", "evil.example")]).expect(200);
    // The token is of the box's own origin, and taken.
    let status = sandbox.run(["--json", "auth", "status"]).expect(0).json();
    assert_eq!(status["issuer"], "https://box.example");
}

#[test]
fn a_view_of_a_vault_is_the_vaults_process() {
    let sandbox = Sandbox::new();
    let port = free_port();
    registry(
        &sandbox,
        &[
            ("parachute-vault", port, &module(&[])),
            ("parachute-vault-work", port, &module(&[])),
        ],
    );
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("vault");
    assert_eq!(hub.states().len(), 1);
    let list = hub.ask("GET", "/api/modules").expect(200);
    let views: Vec<_> = list["modules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["pid"] == json!(pid))
        .map(|m| m["short"].clone())
        .collect();
    assert_eq!(views, ["vault", "parachute-vault-work"]);
    assert_eq!(hub.start("parachute-vault-work")["pid"], json!(pid));
    assert_eq!(hub.start("parachute-vault")["pid"], json!(pid));
}
