//! `status` of a detached box: the table, the document, and the truth in both.

use crate::{
    needs_root,
    sandbox::{EXE, Guarded, Ran, Sandbox, alive, free_port, listens, until_true},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Somebody who serves a port and has nothing to do with the box.
fn stranger(port: u16, habits: &[&str]) -> Guarded {
    let mut command = Command::new(EXE);
    command
        .arg("__module")
        .args(habits)
        .env_clear()
        .env("PORT", port.to_string());
    let stranger = Guarded(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until_true("the stranger's port", || listens(port));
    stranger
}

fn row(name: &str, port: u16) -> String {
    format!(r#"{{"name":"{name}","port":{port},"paths":[],"health":"/health","version":"1.2.3"}}"#)
}

/// Text without the escape sequences of colours.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    out + rest
}

#[test]
fn the_table_has_the_contracts_columns() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    sandbox.module("idle", &[]);
    sandbox.say("start web").expect(0);
    let ran = sandbox.say("status").expect(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(
        head,
        [
            "SERVICE", "PORT", "VERSION", "STATE", "PID", "UPTIME", "LATENCY", "SOURCE"
        ]
    );
    let pid = sandbox.pid("web").to_string();
    let cells: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(
        &cells[..5],
        ["web", &*port.to_string(), "0.0.0", "active", &pid]
    );
    assert!(cells[5].ends_with('s') && cells[7] == "ms", "{cells:?}");
    assert_eq!(lines[2], format!("  → http://127.0.0.1:{port}"));
    let cells: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!((cells[0], cells[3], cells[4]), ("idle", "inactive", "-"));
    assert_eq!(ran.err, "");
    // Columns line up: STATE begins where its heading does.
    let at = lines[0].find("STATE").unwrap();
    assert!(
        lines[1][at..].starts_with("active") && lines[3][at..].starts_with("inactive"),
        "{}",
        ran.out
    );
}

#[test]
fn wide_adds_cpu_and_memory_of_the_whole_group() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("wrapper", &format!("#!/bin/sh\n{EXE} __module &\nwait\n"));
    sandbox.add("x", &[&script]);
    sandbox.say("start").expect(0);
    let ran = sandbox.say("status --wide").expect(0);
    let head: Vec<&str> = ran.out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        head,
        [
            "SERVICE", "PORT", "VERSION", "STATE", "PID", "UPTIME", "LATENCY", "CPU", "MEMORY",
            "SOURCE"
        ]
    );
    assert!(
        ran.out.contains('%') && ran.out.contains("iB"),
        "{}",
        ran.out
    );
    let row = sandbox.row("x");
    // More than the shell that leads the group has by itself.
    let leader = fs::read_to_string(format!("/proc/{}/statm", sandbox.pid("x"))).unwrap();
    let pages: u64 = leader.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(
        row["memory_bytes"].as_u64().unwrap() > pages * 4096,
        "{row}"
    );
    assert!(row["cpu_percent"].as_f64().unwrap() >= 0.0);
}

#[test]
fn the_document_has_exactly_the_contracts_keys() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &[]);
    sandbox.module("idle", &[]);
    sandbox.add("bad", &["no-such-program-at-all"]);
    sandbox.say("start web").expect(0);
    sandbox.say("start bad").expect(1);
    let ran = sandbox.say("status --json").expect(1);
    assert_eq!(ran.err, "");
    let status = ran.json();
    assert_eq!(
        keys(&status),
        [
            "schema", "home", "way", "manager", "hub", "modules", "notes"
        ]
    );
    assert_eq!(status["schema"], 1);
    assert_eq!(status["home"], sandbox.home().to_str().unwrap());
    assert_eq!(status["way"], "detached");
    assert_eq!(
        (&status["manager"], &status["hub"], &status["notes"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let rows = status["modules"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let expected = [
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
        assert_eq!(keys(row), expected);
    }
    let web = &rows[0];
    assert_eq!(
        (&web["name"], &web["service"], &web["state"]),
        (&json!("web"), &json!("web"), &json!("active"))
    );
    assert_eq!(
        (&web["port"], &web["version"]),
        (&json!(port), &json!("0.0.0"))
    );
    assert_eq!(web["pid"], sandbox.pid("web"));
    assert!(
        web["uptime_seconds"].is_u64()
            && web["latency_ms"].is_f64()
            && web["memory_bytes"].is_u64(),
        "{web}"
    );
    assert_eq!(web["url"], format!("http://127.0.0.1:{port}"));
    assert_eq!(web["start_error"], Value::Null);
    let idle = &rows[1];
    for unknown in [
        "pid",
        "uptime_seconds",
        "latency_ms",
        "start_error",
        "cpu_percent",
        "memory_bytes",
    ] {
        assert_eq!(idle[unknown], Value::Null, "{unknown}");
    }
    assert_eq!(rows[2]["start_error"]["error_type"], "missing_dependency");
}

#[test]
fn an_empty_box_is_fine_and_says_what_to_do() {
    let sandbox = Sandbox::new();
    let ran = sandbox.say("status").expect(0);
    assert!(
        ran.out.contains("nothing is installed") && ran.out.contains("`parachute add"),
        "{}",
        ran.out
    );
    let status = sandbox.say("status --json").expect(0).json();
    assert_eq!(status["modules"], json!([]));
    assert!(!sandbox.home().exists(), "a look made the home");
}

#[test]
fn colour_is_for_a_terminal_or_for_who_asks() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.add("bad", &["no-such-program-at-all"]);
    sandbox.say("start").expect(1);
    let piped = sandbox.say("status").expect(1);
    assert!(!piped.out.contains('\x1b'), "{:?}", piped.out);
    let always = sandbox.say("status --color always").expect(1);
    assert!(
        always.out.contains("\x1b[32mactive\x1b[0m"),
        "{:?}",
        always.out
    );
    // Colour moves no column and adds no word.
    let words = |text: &str| {
        let lines = text
            .lines()
            .filter(|l| !l.contains(" ms"))
            .map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(words(&plain(&always.out)), words(&piped.out));
    assert!(!sandbox.say("status --color never").out.contains('\x1b'));
    assert!(
        !sandbox
            .say("status --json --color always")
            .out
            .contains('\x1b')
    );
    let mut command = sandbox.command(["start", "bad", "--color", "always"]);
    let ran: Ran = command.output().unwrap().into();
    assert!(
        ran.err.contains("\x1b[") && plain(&ran.err).starts_with("error: "),
        "{:?}",
        ran.err
    );
}

#[test]
fn a_terminal_gets_colour_and_no_color_takes_it_away() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let on_a_terminal = |extra: &[(&str, &str)]| -> String {
        let mut command = Command::new("script");
        command
            .args(["-qec", &format!("{EXE} status"), "/dev/null"])
            .env_clear()
            .stdin(Stdio::null());
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", sandbox.user_dir())
            .env("PARACHUTE_MANAGER", "none");
        command.env("TERM", "xterm").envs(extra.iter().copied());
        let ran: Ran = command.output().unwrap().into();
        ran.expect(0).out
    };
    assert!(on_a_terminal(&[]).contains("\x1b["));
    assert!(!on_a_terminal(&[("NO_COLOR", "1")]).contains("\x1b["));
}

#[test]
fn a_module_that_answers_401_is_up() {
    let sandbox = Sandbox::new();
    for (name, code, state) in [
        ("a", "401", "active"),
        ("b", "204", "active"),
        ("c", "403", "failing"),
        ("d", "500", "failing"),
        ("e", "302", "failing"),
    ] {
        sandbox.module(name, &["--health-status", code]);
        sandbox.say(&format!("start {name}")).expect(0);
        let row = sandbox.row(name);
        assert_eq!(row["state"], state, "{code}: {row}");
        if state == "failing" {
            assert!(row["notes"][0].as_str().unwrap().contains(code), "{row}");
        }
    }
}

#[test]
fn a_module_that_accepts_and_never_answers_does_not_hang_it() {
    let sandbox = Sandbox::new();
    // Three of them, to see that they are asked side by side.
    let script = sandbox.script(
        "wedged",
        "#!/usr/bin/env python3\nimport os, socket, time\ns = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\ntime.sleep(600)\n",
    );
    for name in ["a", "b", "c"] {
        sandbox.add(name, &[&script]);
    }
    sandbox.say("start").expect(0);
    let begun = Instant::now();
    let status = sandbox.say("status --json").expect(1).json();
    // 1.5 s each, side by side; one after another it would be 4.5 s at least.
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(1400) && took < Duration::from_millis(4400),
        "{took:?}"
    );
    for row in status["modules"].as_array().unwrap() {
        assert_eq!(row["state"], "failing");
        assert!(
            row["notes"][0].as_str().unwrap().contains("not answer"),
            "{row}"
        );
        assert!(row["pid"].is_u64());
    }
}

#[test]
fn a_crashed_module_shows_its_cause_and_its_last_lines() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &["--say", "fatal: no space in \x1b[31mdatabase"]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    until_true("the crash", || !alive(pid));
    let ran = sandbox.say("status").expect(1);
    assert!(
        ran.out.contains("failing") && ran.out.contains("it ended by itself"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("| fatal: no space in \\u{1b}[31mdatabase"),
        "{}",
        ran.out
    );
    // One whose start failed says why.
    sandbox.module("y", &["--say", "no database", "--crash-after", "10"]);
    sandbox.say("start y").expect(1);
    let ran = sandbox.say("status y").expect(1);
    assert!(
        ran.out.contains("exit code 1") && ran.out.contains("| no database"),
        "{}",
        ran.out
    );
}

#[test]
fn names_narrow_it_down_and_unknown_ones_are_said() {
    let sandbox = Sandbox::new();
    sandbox.add("bad", &["no-such-program-at-all"]);
    sandbox.module("vault", &[]);
    sandbox.say("start bad").expect(1);
    // Only what is shown decides.
    let ran = sandbox.say("status parachute-vault").expect(0);
    assert!(
        ran.out.contains("vault") && !ran.out.contains("bad"),
        "{}",
        ran.out
    );
    assert_eq!(
        sandbox.say("status vault bad --json").expect(1).json()["modules"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let ran = sandbox.say("status nobody").expect(3);
    assert!(ran.err.contains("no module `nobody`"), "{}", ran.err);
    assert_eq!(
        sandbox.say("status nobody --json").expect(3).json()["error"]["code"],
        "not_installed"
    );
}

#[test]
fn a_stranger_on_the_port_of_a_stopped_module_is_a_note() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    let who = stranger(port, &["--say", "other"]);
    let row = sandbox.row("x");
    assert_eq!(row["state"], "inactive", "{row}");
    assert_eq!(row["pid"], Value::Null);
    let note = row["notes"][0].as_str().unwrap();
    assert!(
        note.contains(&who.0.id().to_string()) && note.contains("--say other"),
        "{note}"
    );
    sandbox.say("status").expect(0);
}

#[test]
fn a_module_whose_port_a_stranger_holds_is_failing() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &["--never-bind"]);
    sandbox.say("start x").expect(6);
    let who = stranger(port, &[]);
    let row = sandbox.row("x");
    assert_eq!(
        row["state"], "failing",
        "a stranger's health was taken for the module's: {row}"
    );
    assert_eq!(row["latency_ms"], Value::Null);
    let notes = row["notes"].to_string();
    assert!(notes.contains(&who.0.id().to_string()), "{row}");
}

#[test]
fn views_of_the_vault_stand_and_fall_with_it() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("vault", &[]);
    sandbox
        .run([
            "add",
            "parachute-vault-work",
            "--port",
            &port.to_string(),
            "--path",
            "/work",
        ])
        .expect(0);
    sandbox.say("start").expect(0);
    let (one, view) = (sandbox.row("vault"), sandbox.row("parachute-vault-work"));
    assert_eq!(
        (&one["state"], &view["state"]),
        (&json!("active"), &json!("active"))
    );
    assert_eq!(one["pid"], view["pid"]);
    assert_eq!(view["url"], format!("http://127.0.0.1:{port}/work/mcp"));
    assert!(
        view["source"].as_str().unwrap().contains("view of vault"),
        "{view}"
    );
    // A verb for the view is one for the process.
    let changes = sandbox
        .say("stop parachute-vault-work --json")
        .expect(0)
        .json();
    assert_eq!(changes["changes"][0]["did"], "stopped");
    assert_eq!(
        (
            &sandbox.row("vault")["state"],
            &sandbox.row("parachute-vault-work")["state"]
        ),
        (&json!("inactive"), &json!("inactive"))
    );
}

#[test]
fn urls_are_as_clients_reach_them() {
    let sandbox = Sandbox::new();
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    sandbox.registry(format!(
        r#"{{"services":[
        {{"name":"parachute-vault","port":{},"paths":["/vault","/x"],"health":"/health","version":"1"}},
        {{"name":"parachute-scribe","port":{},"paths":["/scribe"],"health":"/health","version":"1"}},
        {{"name":"other","port":{},"paths":["/o"],"health":"/health","version":"1"}}]}}"#,
        ports[0], ports[1], ports[2]
    ));
    assert_eq!(
        sandbox.row("vault")["url"],
        format!("http://127.0.0.1:{}/vault/mcp", ports[0])
    );
    assert_eq!(
        sandbox.row("scribe")["url"],
        format!("http://127.0.0.1:{}", ports[1])
    );
    assert_eq!(
        sandbox.row("other")["url"],
        format!("http://127.0.0.1:{}/o", ports[2])
    );
}

#[test]
fn one_bad_row_never_takes_the_others_down() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.registry(format!(
        r#"{{"services":[{},{{"name":"bad","port":"x"}},7,{},{{"name":"../evil","port":3,"paths":[],"health":"/","version":"1"}}]}}"#,
        row("one", port),
        row("two", free_port())
    ));
    let status = sandbox.say("status --json").expect(0).json();
    let names: Vec<&str> = status["modules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(
        status["notes"].as_array().unwrap().len(),
        3,
        "{}",
        status["notes"]
    );
    assert!(
        status["notes"][0].as_str().unwrap().contains("row 2"),
        "{}",
        status["notes"]
    );
    let ran = sandbox.say("status").expect(0);
    assert!(
        ran.out.contains("note: ") && ran.out.contains("one") && ran.out.contains("two"),
        "{}",
        ran.out
    );
}

#[test]
fn text_of_other_programs_cannot_drive_a_terminal() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.registry(format!(
        r#"{{"services":[{{"name":"x","port":{port},"paths":[],"health":"/health","version":"1\u001b[2J","lastStartError":{{"error_type":"spawn_failed","error_description":"a\u001b]0;title\u0007b"}}}}]}}"#
    ));
    let ran = sandbox.say("status").expect(1);
    assert!(
        !ran.out.contains('\x1b') && !ran.out.contains('\x07'),
        "{:?}",
        ran.out
    );
}

#[test]
fn a_malformed_start_error_is_none() {
    let sandbox = Sandbox::new();
    for error in [
        "7",
        r#""x""#,
        "{}",
        r#"{"error_type":1,"error_description":2}"#,
        "[]",
        "null",
    ] {
        sandbox.registry(format!(
            r#"{{"services":[{{"name":"x","port":{},"paths":[],"health":"/health","version":"1","lastStartError":{error}}}]}}"#,
            free_port()
        ));
        let status = sandbox.say("status --json").expect(0).json();
        assert_eq!(status["modules"][0]["start_error"], Value::Null, "{error}");
        assert_eq!(status["notes"], json!([]), "{error}");
    }
}

#[test]
fn a_young_module_that_does_not_listen_yet_is_pending() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &["--bind-after", "2500"]);
    let child = sandbox
        .command(["start", "x"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Guarded(child);
    until_true("the record", || sandbox.at("x/run/x.pid").exists());
    // On a machine so slow that it has bound by now there is nothing to see.
    let row = sandbox.row("x");
    assert!(
        row["state"] == "pending" || row["state"] == "active",
        "{row}"
    );
    drop(child);
    sandbox.say("wait x").expect(0);
}

#[test]
fn who_only_may_look_sees_the_same_and_changes_nothing() {
    needs_root!();
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let before = sandbox.text("services.json").replace("\"version\": \"0.0.0\",", "\"version\": \"0.0.0\",\n\"lastStartError\":{\"error_type\":\"started_but_unbound\",\"error_description\":\"old\"},");
    sandbox.registry(&before);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(sandbox.user_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let exe = fs::File::open(EXE).unwrap();
    use std::os::fd::AsRawFd;
    let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
    command
        .args(["status", "--json"])
        .env_clear()
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none");
    let ran: Ran = command.uid(65534).gid(65534).output().unwrap().into();
    let status = ran.json();
    let row = &status["modules"][0];
    assert_eq!(
        (&row["pid"], &row["state"]),
        (&json!(sandbox.pid("x")), &json!("active")),
        "{status}"
    );
    assert_eq!(status["notes"], json!([]));
    assert_eq!(sandbox.text("services.json"), before);
}

#[test]
fn a_full_or_closed_stdout_is_no_panic() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    for line in [
        "status",
        "status --json",
        "logs",
        "start --dry-run",
        "--help",
        "--version",
    ] {
        let run = |redirect: &str| -> Ran {
            let mut command = Command::new("sh");
            command
                .args(["-c", &format!("{EXE} {line} {redirect}")])
                .env_clear()
                .stdin(Stdio::null());
            command
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", sandbox.user_dir())
                .env("PARACHUTE_MANAGER", "none");
            command.output().unwrap().into()
        };
        let ran = run(">/dev/full");
        assert!(!ran.err.contains("panicked"), "{line}: {}", ran.err);
        let ran = run(">&-");
        assert!(!ran.err.contains("panicked"), "{line}: {}", ran.err);
    }
    let mut command = sandbox.command(["status"]);
    command.stdout(
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    let ran: Ran = command.stderr(Stdio::piped()).output().unwrap().into();
    assert!(
        ran.code == 1 && ran.err.contains("cannot write to stdout"),
        "{ran:?}"
    );
}

#[test]
fn somebody_else_may_hold_the_registrys_lock() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    let mut lock = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(sandbox.at("services.json.lock"))
        .unwrap();
    lock.write_all(b"").unwrap();
    lock.lock().unwrap();
    let begun = Instant::now();
    sandbox.say("status").expect(0);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "a look waited for a lock"
    );
    drop(TcpListener::bind("127.0.0.1:0"));
}

#[test]
fn a_start_that_never_spawned_anything_quotes_no_earlier_life() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.say("start web").expect(0);
    sandbox.say("stop web").expect(0);
    let port = sandbox.registry_json()["services"][0]["port"].to_string();
    let gone = "/opt/nowhere/prog";
    sandbox
        .run(["add", "web", "--port", &port, "--replace", "--", gone])
        .expect(0);
    sandbox.say("start web").expect(1);
    let shown = sandbox.say("status").expect(1);
    assert!(
        shown.out.contains("there is no file /opt/nowhere/prog"),
        "{shown:?}"
    );
    assert!(!shown.out.contains("listening on port"), "{shown:?}");
}
