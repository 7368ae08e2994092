//! The command line itself: what is wrong with it, help, and one document where one was asked for.

use crate::sandbox::{EXE, Ran, Sandbox, free_port};
use std::process::{Command, Stdio};

/// The verbs that the help text lists.
fn verbs(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.say("--help").expect(0).out;
    let list = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let words = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let verbs: Vec<String> = words.filter(|w| *w != "help").map(str::to_owned).collect();
    assert!(verbs.len() >= 12, "{help}");
    verbs
}

#[test]
fn a_wrong_command_line_is_exit_2_on_stderr() {
    let sandbox = Sandbox::new();
    for line in [
        "frobnicate",
        "--frob",
        "status --frob",
        "add",
        "remove",
        "start --dry-run=maybe",
        "--color blue status",
        "logs -n x",
        "logs -n -1",
        "stop --json=1",
    ] {
        let ran = sandbox.say(line).expect(2);
        assert!(
            ran.err.starts_with("error: ") && ran.out.is_empty(),
            "{line}: {ran:?}"
        );
    }
    let ran = sandbox.say("").expect(2);
    assert!(
        ran.err.contains("Usage: parachute") && ran.out.is_empty(),
        "{ran:?}"
    );
    assert!(!sandbox.home().exists());
}

#[test]
fn a_wrong_command_line_is_one_document_where_json_was_asked_for() {
    let sandbox = Sandbox::new();
    for line in [
        "--json",
        "--json frobnicate",
        "frobnicate --json",
        "add --json",
        "remove --json",
        "status --json --frob",
        "add x --port 0 --json",
        "wait --for x --json",
        "logs -n x --json",
    ] {
        let ran = sandbox.say(line).expect(2);
        let document = ran.json();
        assert_eq!(document["schema"], 1, "{line}");
        assert_eq!(document["error"]["code"], "usage", "{line}");
        let message = document["error"]["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.contains('\n') && !message.contains("__"),
            "{line}: {message}"
        );
        assert!(document["error"]["hint"].is_string(), "{line}");
        assert_eq!(ran.err, "", "{line}");
    }
    let message = sandbox.say("add --json").json()["error"]["message"].to_string();
    assert!(
        message.contains("--port <N>") && message.contains("<NAME>"),
        "{message}"
    );
    // What follows `--` is the module's.
    let ran = sandbox.say("add x -- serve --json").expect(2);
    assert!(ran.out.is_empty(), "{ran:?}");
}

#[test]
fn every_verb_has_help_and_so_has_the_whole() {
    let sandbox = Sandbox::new();
    for verb in verbs(&sandbox) {
        for args in [
            vec![verb.as_str(), "--help"],
            vec![verb.as_str(), "-h"],
            vec!["help", verb.as_str()],
        ] {
            let ran = sandbox.run(&args).expect(0);
            assert!(
                ran.out.contains("Usage: parachute") && ran.err.is_empty(),
                "{args:?}: {ran:?}"
            );
            assert!(!ran.out.contains("__module"), "{args:?}");
        }
    }
    assert!(sandbox.say("--help").out.contains("Exit status:"));
    assert!(!sandbox.home().exists());
}

#[test]
fn the_version_is_told() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.say("--version").expect(0).out,
        format!("parachute {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(sandbox.say("-V").expect(0).err, "");
}

#[test]
fn a_failure_of_any_verb_is_one_document() {
    let sandbox = Sandbox::new();
    sandbox.registry("{ broken");
    let port = free_port();
    for (line, exit) in [
        ("start".to_owned(), 1),
        ("start --dry-run".to_owned(), 1),
        ("start x y".to_owned(), 1),
        ("stop".to_owned(), 1),
        ("stop x --dry-run".to_owned(), 1),
        ("restart".to_owned(), 1),
        ("restart --dry-run".to_owned(), 1),
        ("logs".to_owned(), 1),
        ("logs x".to_owned(), 1),
        (format!("add x --port {port} -- serve"), 1),
        (format!("add x --port {port} --dry-run"), 1),
        ("remove x".to_owned(), 1),
        ("remove x --dry-run".to_owned(), 1),
        ("is-active x".to_owned(), 1),
        ("is-installed x".to_owned(), 1),
        ("wait x --timeout 0".to_owned(), 1),
        ("status x".to_owned(), 1),
    ] {
        let ran = sandbox.say(&format!("--json {line}")).expect(exit);
        let document = ran.json();
        let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["schema", "error"], "{line}");
        let keys: Vec<&String> = document["error"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message", "hint"], "{line}");
        assert_eq!(document["error"]["code"], "registry_broken", "{line}");
    }
    let ran = sandbox.say("demo --json").expect(2);
    assert_eq!(ran.json()["error"]["code"], "usage");
}

#[test]
fn a_success_of_any_verb_is_one_document() {
    let sandbox = Sandbox::new();
    let port = free_port().to_string();
    let run = |line: &str| {
        let ran = sandbox.say(&format!("--json {line}"));
        let document = ran.json();
        assert_eq!(document["schema"], 1, "{line}");
        document
    };
    sandbox
        .run(["--json", "add", "x", "--port", &port, "--", EXE, "__module"])
        .expect(0)
        .json();
    for line in [
        "start",
        "start --dry-run",
        "status",
        "is-active",
        "is-installed",
        "health",
        "wait",
        "logs",
        "restart",
        "stop",
        "stop --dry-run",
        "remove x --dry-run",
        "remove x",
    ] {
        run(line);
    }
}

#[test]
fn changes_have_exactly_the_contracts_keys() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.add("bad", &["no-such-program-at-all"]);
    for (line, exit, dids) in [
        ("start", 1, ["started", "failed"]),
        ("start", 1, ["already_running", "failed"]),
        ("restart", 1, ["restarted", "failed"]),
        ("stop", 0, ["stopped", "already_stopped"]),
        ("stop", 0, ["already_stopped", "already_stopped"]),
    ] {
        let document = sandbox.say(&format!("{line} --json")).expect(exit).json();
        let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["schema", "verb", "changes"]);
        assert_eq!(document["verb"], line);
        for (change, did) in document["changes"].as_array().unwrap().iter().zip(dids) {
            let keys: Vec<&String> = change.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["name", "did", "pid", "error"], "{line}");
            assert_eq!(change["did"], did, "{line}");
            assert_eq!(change["error"].is_null(), did != "failed", "{line}");
            let has_pid = ["started", "already_running", "restarted"].contains(&did);
            assert_eq!(change["pid"].is_u64(), has_pid, "{line}: {change}");
        }
    }
}

#[test]
fn words_that_are_not_utf8_are_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for verb in ["start", "status", "remove", "logs", "add", "--home"] {
        let mut command = sandbox.command([verb]);
        let ran: Ran = command.arg(odd).output().unwrap().into();
        assert!(
            ran.code == 2 && !ran.err.contains("panicked"),
            "{verb}: {ran:?}"
        );
    }
    let mut command = sandbox.command(["status"]);
    let ran: Ran = command
        .arg("--home")
        .arg(odd)
        .env("NO_COLOR", odd)
        .output()
        .unwrap()
        .into();
    assert!(ran.code == 0 && !ran.err.contains("panicked"), "{ran:?}");
    let mut command = sandbox.command(["--json", "status"]);
    let ran: Ran = command.env("PARACHUTE_HOME", odd).output().unwrap().into();
    ran.expect(0).json();
}

#[test]
fn without_a_home_directory_it_says_so() {
    let sandbox = Sandbox::new();
    for home in ["", "relative"] {
        let mut command = sandbox.command(["--json", "status"]);
        let ran: Ran = command.env("HOME", home).output().unwrap().into();
        // The user database may know one all the same.
        assert!(
            ran.json().is_object() && !ran.err.contains("panicked"),
            "{ran:?}"
        );
    }
}

#[test]
fn the_demo_goes_as_it_should_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["demo"]);
    let ran: Ran = command
        .env("TMPDIR", sandbox.user_dir())
        .output()
        .unwrap()
        .into();
    let ran = ran.expect(0);
    for word in [
        "hello",
        "slow",
        "missing",
        "crashing",
        "active",
        "failing",
        "parachute status",
        "stopped",
    ] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    assert_eq!(
        std::fs::read_dir(sandbox.user_dir()).unwrap().count(),
        0,
        "something is left"
    );
    let left = crate::sandbox::pids().into_iter().filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environ).contains(sandbox.user_dir().to_str().unwrap())
    });
    assert_eq!(left.count(), 0, "something still runs");
}

#[test]
fn the_demo_clears_up_on_ctrl_c() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["demo"]);
    command
        .env("TMPDIR", sandbox.user_dir())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let home = crate::sandbox::until("its home", || {
        std::fs::read_dir(sandbox.user_dir())
            .unwrap()
            .flatten()
            .map(|e| e.path())
            .find(|p| p.join("hello/run/hello.pid").exists())
    });
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let status = crate::sandbox::until("its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert!(!home.exists(), "its home is left");
}

#[test]
fn an_origin_is_kept_by_a_start_of_something_and_by_no_other() {
    let sandbox = Sandbox::new();
    let start = |args: &[&str], exit: i32| {
        let all = ["start", "--hub-origin"].iter().chain(args);
        sandbox.run(all).expect(exit)
    };
    let kept = || sandbox.at("hub/origin").exists();
    // Looked at before anything else, also where nothing would be done.
    for bad in ["https://x/path?x", "https://x?y", "https://me@x"] {
        start(&[bad, "--dry-run"], 2);
        let ran = start(&[bad, "--json"], 2);
        assert_eq!(ran.json()["error"]["code"], "usage", "{bad}");
    }
    start(&["https://box.example.org"], 3);
    sandbox.module("x", &[]);
    start(&["https://box.example.org", "nobody"], 3);
    start(&["https://box.example.org", "x", "--dry-run"], 0);
    assert!(!kept());
    start(&["https://box.example.org/", "x"], 0);
    assert_eq!(sandbox.text("hub/origin"), "https://box.example.org\n");
    start(&["", "nobody"], 3);
    assert!(kept());
    sandbox.say("stop").expect(0);
}
