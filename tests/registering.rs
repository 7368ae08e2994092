//! `add` and `remove`: what they write, what they refuse, what they never touch.

use crate::sandbox::{EXE, Sandbox, alive, free_port, listens, until_true};
use serde_json::{Value, json};
use std::{fs, net::TcpListener};

/// Runs `add` with these words and no command.
fn add(sandbox: &Sandbox, words: &str) -> crate::sandbox::Ran {
    sandbox.say(&format!("add {words}"))
}

/// Asserts that a run failed with this exit status and JSON code, and changed nothing.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], exit: i32, code: &str) {
    let before = fs::read(sandbox.at("services.json")).ok();
    let mut all = vec!["--json"];
    all.extend(args);
    let ran = sandbox.run(all).expect(exit);
    let document = ran.json();
    assert_eq!(document["error"]["code"], code, "{document}");
    assert!(!document["error"]["message"].as_str().unwrap().is_empty());
    assert_eq!(
        fs::read(sandbox.at("services.json")).ok(),
        before,
        "the registry has changed"
    );
    let ran = sandbox.run(args).expect(exit);
    assert!(ran.err.starts_with("error: "), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn add_writes_a_whole_row_and_a_manifest_for_a_command() {
    let sandbox = Sandbox::new();
    let port = free_port().to_string();
    let ran = sandbox.run([
        "add", "web", "--port", &port, "--path", "/a", "--path", "/b", "--health", "/up", "--",
        "run", "a b", "",
    ]);
    let ran = ran.expect(0);
    assert!(
        ran.out.contains("web") && ran.out.contains("`parachute start web`"),
        "{}",
        ran.out
    );
    let row = &sandbox.registry_json()["services"][0];
    let dir = sandbox.at("web");
    let expected = json!({"name": "web", "port": port.parse::<u16>().unwrap(), "paths": ["/a", "/b"], "health": "/up",
        "version": "0.0.0", "installDir": dir.to_str().unwrap()});
    assert_eq!(*row, expected);
    let text = sandbox.text("services.json");
    assert!(
        text.starts_with("{\n  \"services\": [\n") && text.ends_with("}\n"),
        "{text}"
    );
    let manifest: Value =
        serde_json::from_str(&sandbox.text("web/.parachute/module.json")).unwrap();
    assert_eq!(manifest["startCmd"], json!(["run", "a b", ""]));
    assert_eq!(manifest["name"], "web");
    assert_eq!(manifest["manifestName"], "web");
    assert_eq!(manifest["health"], "/up");
}

#[test]
fn health_has_a_default_and_the_version_comes_from_the_folder() {
    let sandbox = Sandbox::new();
    for (name, file, text, version) in [
        (
            "npm",
            "package.json",
            r#"{"name":"x","version":"1.2.3"}"#,
            "1.2.3",
        ),
        (
            "cargo",
            "Cargo.toml",
            "[package]\nname = \"x\"\nversion = \"4.5.6\"\n",
            "4.5.6",
        ),
        ("none", "README", "", "0.0.0"),
    ] {
        let dir = sandbox.user_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file), text).unwrap();
        // A folder relative to where we are is made absolute.
        add(
            &sandbox,
            &format!("{name} --port {} --dir {name} -- serve", free_port()),
        )
        .expect(0);
        let rows = sandbox.registry_json()["services"]
            .as_array()
            .unwrap()
            .clone();
        let row = rows.iter().find(|r| r["name"] == name).unwrap();
        assert_eq!(row["version"], version);
        assert_eq!(row["health"], "/health");
        assert_eq!(row["paths"], json!([]));
        assert_eq!(row["installDir"], dir.to_str().unwrap());
    }
}

#[test]
fn a_script_beside_the_person_who_types_is_said_not_to_be_where_the_module_runs() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.user_dir().join("mod.py"), "").unwrap();
    let port = free_port();
    let ran = add(&sandbox, &format!("blog --port {port} -- python3 mod.py")).expect(0);
    assert!(
        ran.err.contains("`mod.py`") && ran.err.contains("`--dir .`"),
        "{ran:?}"
    );
    let here = format!("blog --port {port} --replace --dir . -- python3 mod.py");
    let ran = add(&sandbox, &here).expect(0);
    assert!(!ran.err.contains("mod.py"), "{ran:?}");
}

#[test]
fn known_modules_get_their_service_names_and_answer_to_both() {
    let sandbox = Sandbox::new();
    add(&sandbox, "vault --port 1940").expect(0);
    assert_eq!(
        sandbox.registry_json()["services"][0]["name"],
        "parachute-vault"
    );
    refused(
        &sandbox,
        &["add", "parachute-vault", "--port", "1940"],
        1,
        "already_registered",
    );
    sandbox.say("is-installed vault").expect(0);
    sandbox.say("is-installed parachute-vault").expect(0);
    sandbox.say("remove parachute-vault").expect(0);
    assert_eq!(sandbox.registry_json()["services"], json!([]));
}

#[test]
fn names_that_cannot_be_a_modules_are_refused() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(300);
    let too_long = "x".repeat(65);
    let port = free_port().to_string();
    for name in [
        "a/b",
        "/",
        "..",
        ".",
        "../x",
        "a b",
        " ",
        "",
        ".hidden",
        "-x",
        "UPPER",
        "ünïcode",
        "a\nb",
        "a\x1b[31m",
        &long,
        &too_long,
        "hub",
        "operations",
        "events",
        "services.json",
        "services.json.lock",
        "operator.token",
        "operator.token.old",
        "hub-instance.json",
        "expose-state.json",
    ] {
        let before = fs::read(sandbox.at("services.json")).ok();
        let ran = sandbox.run(["--json", "add", "--port", &port, "--", name]);
        assert_eq!(ran.code, 2, "{name:?}: {ran:?}");
        assert_eq!(ran.json()["error"]["code"], "usage", "{name:?}");
        // With a name that begins with a dash the command line itself is wrong.
        let ran = sandbox.run(["--json", "add", name, "--port", &port]);
        assert_eq!(ran.code, 2, "{name:?}: {ran:?}");
        assert_eq!(ran.json()["error"]["code"], "usage", "{name:?}");
        assert_eq!(fs::read(sandbox.at("services.json")).ok(), before);
    }
    assert!(!sandbox.home().exists(), "a refusal made the home");
}

#[test]
fn the_longest_and_the_oddest_good_names_work() {
    let sandbox = Sandbox::new();
    let longest = "x".repeat(64);
    for name in ["a", "0", "a.b_c-d", "9...", &longest] {
        sandbox
            .run([
                "add",
                name,
                "--port",
                &free_port().to_string(),
                "--",
                "serve",
            ])
            .expect(0);
        sandbox.say(&format!("is-installed {name}")).expect(0);
    }
}

#[test]
fn ports_that_cannot_be_are_refused() {
    let sandbox = Sandbox::new();
    for port in [
        "0",
        "65536",
        "-1",
        "70000",
        "1e3",
        "eighty",
        "",
        "99999999999999999999",
    ] {
        refused(&sandbox, &["add", "x", "--port", port], 2, "usage");
    }
    refused(&sandbox, &["add", "x"], 2, "usage");
}

#[test]
fn a_port_in_use_is_refused_with_its_holder_named_unless_forced() {
    let sandbox = Sandbox::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    refused(&sandbox, &["add", "x", "--port", &port], 1, "port_taken");
    let ran = sandbox.run(["add", "x", "--port", &port]).expect(1);
    assert!(
        ran.err.contains(&format!("pid {}", std::process::id())),
        "{}",
        ran.err
    );
    sandbox
        .run(["add", "x", "--port", &port, "--force"])
        .expect(0);
}

#[test]
fn a_port_of_another_row_is_refused_even_with_force() {
    let sandbox = Sandbox::new();
    let port = free_port().to_string();
    sandbox.run(["add", "one", "--port", &port]).expect(0);
    refused(
        &sandbox,
        &["add", "two", "--port", &port, "--force"],
        1,
        "port_taken",
    );
    let ran = sandbox.run(["add", "two", "--port", &port]).expect(1);
    assert!(ran.err.contains("one"), "{}", ran.err);
}

#[test]
fn reserved_ports_want_force_but_not_for_the_module_they_are_kept_for() {
    let sandbox = Sandbox::new();
    refused(
        &sandbox,
        &["add", "mine", "--port", "1944"],
        1,
        "port_reserved",
    );
    refused(
        &sandbox,
        &["add", "mine", "--port", "1939"],
        1,
        "port_reserved",
    );
    sandbox.say("add mine --port 1944 --force").expect(0);
    sandbox.say("add scribe --port 1943").expect(0);
}

#[test]
fn vaults_may_share_a_port() {
    let sandbox = Sandbox::new();
    sandbox.say("add vault --port 1940").expect(0);
    sandbox
        .say("add parachute-vault-work --port 1940")
        .expect(0);
    refused(
        &sandbox,
        &["add", "other", "--port", "1940", "--force"],
        1,
        "port_taken",
    );
}

#[test]
fn a_second_row_wants_replace_and_keeps_what_is_not_given() {
    let sandbox = Sandbox::new();
    let (first, second) = (free_port(), free_port());
    sandbox.registry(format!(
        r#"{{"other":1e5,"services":[{{"name":"x","port":{first},"paths":["/p"],"health":"/h","version":"1.0.0","theirs":{{"a":1.50}},"displayName":"X"}}],"last":true}}"#
    ));
    let again = second.to_string();
    refused(
        &sandbox,
        &["add", "x", "--port", &again],
        1,
        "already_registered",
    );
    sandbox
        .run(["add", "x", "--port", &again, "--replace"])
        .expect(0);
    let text = sandbox.text("services.json");
    assert!(text.contains("1e5") && text.contains("1.50"), "{text}");
    let row = &sandbox.registry_json()["services"][0];
    assert_eq!(row["port"], second);
    assert_eq!(row["paths"], json!(["/p"]));
    assert_eq!(row["health"], "/h");
    assert_eq!(row["displayName"], "X");
    let keys: Vec<String> = sandbox
        .registry_json()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["other", "services", "last"]);
}

#[test]
fn paths_and_folders_that_cannot_be_are_refused() {
    let sandbox = Sandbox::new();
    let port = free_port().to_string();
    refused(
        &sandbox,
        &["add", "x", "--port", &port, "--health", "health"],
        2,
        "usage",
    );
    refused(
        &sandbox,
        &["add", "x", "--port", &port, "--health", "/a b"],
        2,
        "usage",
    );
    refused(
        &sandbox,
        &["add", "x", "--port", &port, "--path", "p"],
        2,
        "usage",
    );
    refused(
        &sandbox,
        &["add", "x", "--port", &port, "--dir", "/nowhere/at/all"],
        1,
        "io",
    );
    refused(
        &sandbox,
        &["add", "x", "--port", &port, "--dir", "/etc/passwd"],
        2,
        "usage",
    );
}

#[test]
fn a_start_command_of_one_empty_string_is_refused() {
    let sandbox = Sandbox::new();
    refused(
        &sandbox,
        &["add", "x", "--port", &free_port().to_string(), "--", ""],
        2,
        "usage",
    );
}

#[test]
fn a_module_json_of_the_folders_own_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let own = r#"{"name":"x","manifestName":"x","port":1,"paths":[],"health":"/h","startCmd":["own","command"]}"#;
    // Elsewhere: what `add` writes goes under the home, theirs stays and loses.
    let dir = sandbox.user_dir().join("x");
    fs::create_dir_all(dir.join(".parachute")).unwrap();
    fs::write(dir.join(".parachute/module.json"), own).unwrap();
    let port = free_port().to_string();
    sandbox
        .run([
            "add",
            "x",
            "--port",
            &port,
            "--dir",
            dir.to_str().unwrap(),
            "--",
            "mine",
        ])
        .expect(0);
    assert_eq!(
        fs::read_to_string(dir.join(".parachute/module.json")).unwrap(),
        own
    );
    sandbox.say("remove x").expect(0);
    assert_eq!(
        fs::read_to_string(dir.join(".parachute/module.json")).unwrap(),
        own
    );
    // In the place where `add` itself would write: refused, and left at removal.
    sandbox.file("y/.parachute/module.json", own);
    refused(
        &sandbox,
        &["add", "y", "--port", &port, "--", "mine"],
        1,
        "refused",
    );
    assert_eq!(sandbox.text("y/.parachute/module.json"), own);
    sandbox.run(["add", "y", "--port", &port]).expect(0);
    sandbox.say("remove y").expect(0);
    assert_eq!(sandbox.text("y/.parachute/module.json"), own);
}

#[test]
fn a_row_that_nothing_says_how_to_start_is_warned_of() {
    let sandbox = Sandbox::new();
    let ran = add(&sandbox, &format!("x --port {}", free_port())).expect(0);
    assert!(
        ran.err.contains("warning") && ran.err.contains("how to start x"),
        "{}",
        ran.err
    );
}

#[test]
fn dry_runs_say_what_would_be_done_and_do_none_of_it() {
    let sandbox = Sandbox::new();
    let port = free_port().to_string();
    let ran = sandbox
        .run([
            "add",
            "x",
            "--port",
            &port,
            "--start",
            "--dry-run",
            "--",
            "serve",
        ])
        .expect(0);
    assert!(
        ran.out.contains("module.json") && ran.out.contains("services.json"),
        "{}",
        ran.out
    );
    let document = sandbox
        .run([
            "--json",
            "add",
            "x",
            "--port",
            &port,
            "--start",
            "--dry-run",
            "--",
            "serve",
        ])
        .json();
    assert_eq!(document["dry_run"], true);
    assert_eq!(document["verb"], "add");
    assert_eq!(document["steps"].as_array().unwrap().len(), 3);
    assert!(!sandbox.home().exists());
    // What would be refused is refused.
    refused(
        &sandbox,
        &["add", "x", "--port", "1944", "--dry-run"],
        1,
        "port_reserved",
    );

    sandbox
        .run(["add", "x", "--port", &port, "--", EXE, "__module"])
        .expect(0);
    let before = sandbox.text("services.json");
    let ran = sandbox.say("remove x --dry-run").expect(0);
    assert!(ran.out.contains("remove the row of x"), "{}", ran.out);
    assert_eq!(sandbox.text("services.json"), before);
    for verb in ["remove y --json", "remove y --json --dry-run"] {
        sandbox.say(verb).expect(3);
    }
}

#[test]
fn add_and_remove_answer_with_one_json_document() {
    let sandbox = Sandbox::new();
    let port = free_port();
    let args = [
        "--json",
        "add",
        "x",
        "--port",
        &port.to_string(),
        "--start",
        "--",
        EXE,
        "__module",
    ];
    let document = sandbox.run(args).expect(0).json();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["verb"], "add");
    assert_eq!(document["module"]["name"], "x");
    assert_eq!(document["module"]["port"], port);
    assert_eq!(document["changes"][0]["did"], "started");
    let document = sandbox.say("remove x --json").expect(0).json();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["verb"], "remove");
    assert_eq!(document["removed"], "x");
    assert_eq!(document["changes"][0]["did"], "stopped");
}

#[test]
fn add_can_start_and_its_exit_follows_the_state_reached() {
    let sandbox = Sandbox::new();
    let port = free_port();
    let ran = sandbox
        .run([
            "add",
            "good",
            "--port",
            &port.to_string(),
            "--start",
            "--",
            EXE,
            "__module",
        ])
        .expect(0);
    assert!(ran.out.contains("started (pid"), "{}", ran.out);
    assert!(listens(port));
    let ran = sandbox.run([
        "add",
        "bad",
        "--port",
        &free_port().to_string(),
        "--start",
        "--",
        "no-such-program-at-all",
    ]);
    let ran = ran.expect(1);
    assert!(ran.err.contains("no-such-program-at-all"), "{}", ran.err);
    // It is on the box all the same, and says why it does not run.
    assert_eq!(
        sandbox.row("bad")["start_error"]["error_type"],
        "missing_dependency"
    );
}

#[test]
fn a_module_that_runs_is_restarted_when_it_is_launched_from_something_else() {
    let sandbox = Sandbox::new();
    let old = sandbox.module("a", &[]);
    let add = |port: u16, words: &[&str], command: &[&str]| {
        let port = port.to_string();
        let mut args = vec!["add", "a", "--port", &port, "--replace"];
        args.extend(words);
        if !command.is_empty() {
            args.push("--");
            args.extend(command);
        }
        sandbox.run(args).expect(0)
    };
    // Nothing runs yet.
    let ran = add(old, &["--path", "/a"], &[]);
    assert!(ran.out.contains("`parachute start a`"), "{}", ran.out);
    sandbox.say("start a").expect(0);
    let pid = sandbox.pid("a");
    // What clients see of it alone is no reason to end it.
    let ran = add(old, &["--path", "/b"], &[]);
    assert!(ran.out.contains("`parachute status a`"), "{}", ran.out);
    let ran = add(old, &["--path", "/c", "--start"], &[]);
    assert!(ran.out.contains("already running"), "{}", ran.out);
    assert_eq!(sandbox.pid("a"), pid);

    let new = free_port();
    let ran = add(new, &[], &[]);
    assert!(ran.out.contains("`parachute restart a`"), "{}", ran.out);
    assert!(alive(pid));
    sandbox.say("restart a").expect(0);
    assert!(listens(new) && !listens(old) && !alive(pid));

    let last = free_port();
    let ran = add(last, &["--start"], &[]);
    assert!(ran.out.contains("restarted"), "{}", ran.out);
    assert!(listens(last) && !listens(new));
    let pid = sandbox.pid("a");
    let ran = add(last, &["--start"], &[EXE, "__module", "--say", "hello"]);
    assert!(ran.out.contains("restarted"), "{}", ran.out);
    assert!(!alive(pid) && listens(last));
    assert!(sandbox.say("logs a").expect(0).out.contains("hello"));
    // What does not run is started.
    sandbox.say("stop a").expect(0);
    let ran = add(new, &["--start"], &[]);
    assert!(ran.out.contains("started (pid"), "{}", ran.out);
    let args = ["add", "a", "--replace", "--start", "--dry-run", "--port"];
    let other = free_port().to_string();
    let ran = sandbox.run(args.iter().chain([&&*other])).expect(0);
    assert!(
        ran.out.contains("or restart it where it runs"),
        "{}",
        ran.out
    );
}

#[test]
fn a_program_beside_the_person_who_adds_it_can_start() {
    let sandbox = Sandbox::new();
    sandbox.script("server", &format!("#!/bin/sh\nexec {EXE} __module\n"));
    let port = free_port();
    let port_text = port.to_string();
    sandbox
        .run([
            "add", "rel", "--port", &port_text, "--start", "--", "./server",
        ])
        .expect(0);
    assert!(listens(port));
    sandbox.say("stop").expect(0);
}

#[test]
fn a_view_is_not_warned_of_and_hints_at_what_runs() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("vault", &[]).to_string();
    sandbox.say("start").expect(0);
    let ran = sandbox
        .run(["add", "parachute-vault-work", "--port", &port])
        .expect(0);
    assert_eq!(ran.err, "");
    assert!(
        ran.out.contains("`parachute status parachute-vault-work`"),
        "{}",
        ran.out
    );
    sandbox.say("stop").expect(0);
}

#[test]
fn remove_stops_the_module_first_and_keeps_its_data() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.file("x/data.db", "precious");
    sandbox.say("start x").expect(0);
    let pid = sandbox.pid("x");
    let ran = sandbox.say("remove x").expect(0);
    assert!(ran.out.contains("stopped and removed"), "{}", ran.out);
    until_true("the end of the module", || !alive(pid));
    assert!(!listens(port));
    assert_eq!(sandbox.registry_json()["services"], json!([]));
    assert_eq!(sandbox.text("x/data.db"), "precious");
    assert!(!sandbox.at("x/.parachute/module.json").exists());
}

#[test]
fn removing_a_view_leaves_the_process_of_the_other_vault() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("vault", &[]);
    sandbox
        .run(["add", "parachute-vault-work", "--port", &port.to_string()])
        .expect(0);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("vault");
    sandbox.say("remove parachute-vault-work").expect(0);
    assert!(alive(pid) && listens(port));
    assert_eq!(sandbox.row("vault")["state"], "active");
}

#[test]
fn two_adds_at_once_both_win() {
    let sandbox = Sandbox::new();
    let mut children = Vec::new();
    for at in 0..8 {
        let args = [
            "add".to_owned(),
            format!("m{at}"),
            "--port".to_owned(),
            (20_001 + at).to_string(),
            "--force".to_owned(),
        ];
        let mut command = sandbox.command(args);
        children.push(
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap(),
        );
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(
        sandbox.registry_json()["services"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
}

#[test]
fn removing_what_is_not_there_is_said() {
    let sandbox = Sandbox::new();
    let ran = sandbox.say("remove x").expect(3);
    assert!(
        ran.err.contains("no module `x`") && ran.err.contains("hint: "),
        "{}",
        ran.err
    );
    sandbox.module("y", &[]);
    let document = sandbox.say("remove x --json").expect(3).json();
    let change = &document["changes"][0];
    assert_eq!(
        (change["did"].as_str(), change["error"]["code"].as_str()),
        (Some("failed"), Some("not_installed"))
    );
    assert_eq!(
        sandbox.registry_json()["services"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_strict_reader_refuses_to_change_a_registry_with_a_bad_row() {
    let sandbox = Sandbox::new();
    sandbox.registry(r#"{"services":[{"name":"x","port":"1940"}]}"#);
    refused(
        &sandbox,
        &["add", "y", "--port", &free_port().to_string()],
        1,
        "registry_broken",
    );
    let ran = sandbox
        .run(["add", "y", "--port", &free_port().to_string()])
        .expect(1);
    assert!(
        ran.err.contains("row 1")
            && ran.err.contains("`port`")
            && ran.err.contains("services.json"),
        "{}",
        ran.err
    );
}
