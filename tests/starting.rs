//! `start` and `restart` of detached modules: what becomes of good ones, and what is said of bad ones.

use crate::sandbox::{EXE, Guarded, Sandbox, alive, free_port, listens, until, until_true};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What became of a module, by the verb's JSON.
#[track_caller]
fn change(sandbox: &Sandbox, line: &str, exit: i32, name: &str) -> Value {
    let document = sandbox.say(&format!("{line} --json")).expect(exit).json();
    assert_eq!(document["schema"], 1);
    let changes = document["changes"].as_array().unwrap();
    changes
        .iter()
        .find(|c| c["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {document}"))
        .clone()
}

/// The environment that a module said it has (`env > seen`).
fn seen(sandbox: &Sandbox, name: &str) -> BTreeMap<String, String> {
    let path = sandbox.user_dir().join(format!("{name}.seen"));
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    text.split('\0')
        .filter_map(|v| v.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

/// A module that writes down its environment and then serves.
fn telling(sandbox: &Sandbox, name: &str) -> u16 {
    let to = sandbox.user_dir().join(format!("{name}.seen"));
    let script = sandbox.script(
        name,
        &format!(
            "#!/bin/sh\ncat /proc/self/environ > {}\nexec {EXE} __module\n",
            to.display()
        ),
    );
    sandbox.add(name, &[&script])
}

#[test]
fn a_module_starts_in_a_session_of_its_own_with_a_full_record() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("web", &["--say", "hello"]);
    let ran = sandbox.say("start web").expect(0);
    let pid = sandbox.pid("web");
    assert_eq!(ran.out, format!("✓ web  started (pid {pid})\n"));
    assert!(listens(port));
    let record = sandbox.text("web/run/web.pid");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let (group, session, start) = (fields[2], fields[3], fields[19]);
    assert_eq!((group, session), (&*pid.to_string(), &*pid.to_string()));
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let lines: Vec<&str> = record.lines().collect();
    assert_eq!(lines[0], pid.to_string());
    assert_eq!(lines[1], format!("start={start}"));
    assert_eq!(lines[2], format!("boot={}", boot.trim()));
    let spawn = lines[3].strip_prefix("spawn=").unwrap();
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let mark = format!("PARACHUTE_SPAWN_ID={spawn}");
    assert!(environ.split(|&b| b == 0).any(|v| v == mark.as_bytes()));
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/fd/0")).unwrap().to_str(),
        Some("/dev/null")
    );
    assert!(sandbox.text("web/logs/web.log").starts_with("hello\n"));
    assert!(
        sandbox.registry_json()["services"][0]
            .get("lastStartError")
            .is_none()
    );
}

#[test]
fn output_is_appended_to_the_log_over_restarts() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &["--say", "life"]);
    sandbox.file("web/logs/web.log", "from before\n");
    sandbox.say("start").expect(0);
    sandbox.say("restart").expect(0);
    let log = sandbox.text("web/logs/web.log");
    assert!(log.starts_with("from before\n"), "{log}");
    assert_eq!(log.matches("life").count(), 2, "{log}");
}

#[test]
fn what_runs_already_keeps_running() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("web");
    let ran = sandbox.say("start web").expect(0);
    assert!(
        ran.out.contains(&format!("already running (pid {pid})")),
        "{}",
        ran.out
    );
    assert_eq!(
        change(&sandbox, "start", 0, "web")["did"],
        "already_running"
    );
    assert_eq!(sandbox.pid("web"), pid);
}

#[test]
fn several_names_and_one_unknown() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.module(name, &[]);
    }
    let document = sandbox.say("start c a --json").expect(0).json();
    let names: Vec<&str> = document["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["c", "a"]);
    assert_eq!(sandbox.row("b")["state"], "inactive");
    // The others are still started, and the exit is that of the one that failed.
    let document = sandbox.say("start b nobody --json").expect(3).json();
    assert_eq!(document["changes"][0]["did"], "started");
    assert_eq!(document["changes"][1]["error"]["code"], "not_installed");
    let ran = sandbox.say("start nobody").expect(3);
    assert!(
        ran.err.contains("no module `nobody`") && ran.err.contains("a, b, c"),
        "{}",
        ran.err
    );
}

#[test]
fn targets_that_fail_differently_exit_1() {
    let sandbox = Sandbox::new();
    sandbox.add("bad", &["no-such-program-at-all"]);
    sandbox.say("start bad nobody").expect(1);
    sandbox.say("start nobody nowhere").expect(3);
}

#[test]
fn modules_start_side_by_side() {
    let sandbox = Sandbox::new();
    for at in 0..6 {
        sandbox.module(&format!("m{at}"), &["--bind-after", "2000"]);
    }
    let begun = Instant::now();
    sandbox.say("start").expect(0);
    // One after another it would be twelve seconds at the very least.
    assert!(
        begun.elapsed() < Duration::from_secs(11),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_verb_without_names_says_what_it_acts_on() {
    let sandbox = Sandbox::new();
    sandbox.module("a", &[]);
    sandbox.module("b", &[]);
    assert!(sandbox.say("start").expect(0).err.contains("starting a, b"));
    assert!(
        sandbox
            .say("restart")
            .expect(0)
            .err
            .contains("restarting a, b")
    );
    assert!(sandbox.say("stop").expect(0).err.contains("stopping a, b"));
    assert_eq!(sandbox.say("start a").expect(0).err, "");
}

#[test]
fn a_missing_program_is_a_missing_dependency() {
    let sandbox = Sandbox::new();
    sandbox.add("x", &["no-such-program-at-all", "serve"]);
    let failed = change(&sandbox, "start x", 1, "x");
    assert_eq!(failed["did"], "failed");
    assert_eq!(failed["pid"], Value::Null);
    assert_eq!(failed["error"]["code"], "missing_dependency");
    let error = &sandbox.registry_json()["services"][0]["lastStartError"];
    assert_eq!(error["error_type"], "missing_dependency");
    assert_eq!(error["binary"], "no-such-program-at-all");
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    let expected = [
        "error_type",
        "error_description",
        "binary",
        "why",
        "docs_url",
        "install",
        "sysadmin_hint",
        "at",
    ];
    assert_eq!(keys, expected);
    let install: Vec<&String> = error["install"].as_object().unwrap().keys().collect();
    assert_eq!(install, ["darwin", "linux", "generic"]);
    let at = error["at"].as_str().unwrap();
    assert!(
        at.len() == "2026-06-01T12:00:00.000Z".len() && at.ends_with('Z'),
        "{at}"
    );
    let ran = sandbox.say("start x").expect(1);
    assert!(
        ran.err.contains("`no-such-program-at-all`") && ran.err.contains("PATH"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("hint: "), "{}", ran.err);
}

#[test]
fn a_program_without_its_x_bit_is_not_a_missing_one() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("server", "#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.add("x", &[&script]);
    assert_eq!(
        change(&sandbox, "start x", 1, "x")["error"]["code"],
        "non_executable"
    );
    assert_eq!(
        sandbox.row("x")["start_error"]["error_type"],
        "non_executable"
    );
    let ran = sandbox.say("start x").expect(1);
    assert!(
        ran.err.contains(&format!("chmod +x {script}")),
        "{}",
        ran.err
    );
}

#[test]
fn a_script_whose_interpreter_is_missing_is_told_as_such() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("server", "#!/no/such/interpreter\n");
    sandbox.add("x", &[&script]);
    let failed = change(&sandbox, "start x", 1, "x");
    assert_eq!(failed["error"]["code"], "spawn_failed");
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .contains(&script),
        "{failed}"
    );
}

#[test]
fn one_that_exits_early_shows_its_last_20_lines() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "server",
        "#!/bin/sh\nfor i in $(seq 1 30); do echo line $i; done\nexit 3\n",
    );
    sandbox.file("x/logs/x.log", "of an earlier life\n");
    sandbox.add("x", &[&script]);
    let ran = sandbox.say("start x").expect(1);
    assert!(ran.err.contains("exit code 3"), "{}", ran.err);
    assert!(
        !ran.err.contains("line 10\n")
            && ran.err.contains("line 11\n")
            && ran.err.contains("line 30\n"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("earlier life"), "{}", ran.err);
    let error = &sandbox.registry_json()["services"][0]["lastStartError"];
    assert_eq!(error["error_type"], "exited_early");
    let described = error["error_description"].as_str().unwrap();
    assert!(described.contains("exit code 3"), "{error}");
    // The registry may be read by more people than the log.
    let registry = sandbox.text("services.json");
    assert!(!registry.contains("line 30"), "{registry}");
    assert_eq!(sandbox.row("x")["start_error"], *error);
    // A crash before 250 ms are over is one, after a bind too.
    sandbox.module("y", &["--crash-after", "40"]);
    assert_eq!(
        change(&sandbox, "start y", 1, "y")["error"]["code"],
        "exited_early"
    );
}

#[test]
fn one_that_exits_with_0_has_failed_too() {
    let sandbox = Sandbox::new();
    sandbox.add("x", &["true"]);
    let failed = change(&sandbox, "start x", 1, "x");
    assert_eq!(failed["error"]["code"], "exited_early");
    let script = sandbox.script("server", "#!/bin/sh\nkill -9 $$\n");
    sandbox.add("y", &[&script]);
    let failed = change(&sandbox, "start y", 1, "y");
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("signal 9"),
        "{failed}"
    );
}

#[test]
fn a_stranger_on_the_port_is_named_and_never_signalled() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    let mut stranger = Command::new(EXE);
    stranger
        .arg("__module")
        .env_clear()
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let stranger = Guarded(stranger.spawn().unwrap());
    until_true("the stranger's port", || listens(port));
    // Its command line is the module's own, but for the terminal it might have: give it other words.
    let script = sandbox.script(
        "server",
        &format!("#!/bin/sh\nexec {EXE} __module --say mine\n"),
    );
    sandbox
        .run([
            "add",
            "x",
            "--port",
            &port.to_string(),
            "--replace",
            "--",
            &script,
        ])
        .expect(0);
    let failed = change(&sandbox, "start x", 1, "x");
    assert_eq!(failed["error"]["code"], "port_squatter");
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&stranger.0.id().to_string()) && message.contains("__module"),
        "{message}"
    );
    assert_eq!(
        sandbox.row("x")["start_error"]["error_type"],
        "port_squatter"
    );
    sandbox.say("stop x").expect(0);
    sandbox.say("restart x").expect(1);
    assert!(alive(stranger.0.id()), "the stranger was signalled");
    // Told before anything is done, too.
    let ran = sandbox.say("start x --dry-run").expect(1);
    assert!(ran.out.contains("held by process"), "{}", ran.out);
}

#[test]
fn a_port_conflict_in_its_words_is_recognised_with_the_holder_named() {
    let sandbox = Sandbox::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    // Somebody takes the port between our look and its bind: the module itself arranges for that.
    let script = sandbox.script(
        "server",
        &format!(
            "#!/bin/sh\nenv -u PARACHUTE_SPAWN_ID -u PARACHUTE_HOME setsid {EXE} __module >/dev/null 2>&1 &\necho $! > {}/thief\n\
             for i in $(seq 1 100); do sleep 0.05; {EXE} __module --crash-after 5 2>/dev/null | grep -q listening || break; done\n\
             echo 'Error: listen EADDRINUSE: address already in use'\nexit 1\n",
            sandbox.user_dir().display()
        ),
    );
    sandbox
        .run(["add", "x", "--port", &port.to_string(), "--", &script])
        .expect(0);
    let ran = sandbox.say("start x").expect(1);
    let thief: u32 = fs::read_to_string(sandbox.user_dir().join("thief"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(
        ran.err.contains(&format!("held by process {thief}")),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("EADDRINUSE"), "{}", ran.err);
    assert_eq!(
        sandbox.registry_json()["services"][0]["lastStartError"]["error_type"],
        "port_squatter"
    );
    assert!(alive(thief), "the stranger was signalled");
    Command::new("kill")
        .args(["-9", &thief.to_string()])
        .status()
        .unwrap();
}

#[test]
fn a_slow_binder_is_a_warning_with_exit_6_and_a_late_bind_clears_it() {
    let sandbox = Sandbox::new();
    let port = sandbox.module(
        "slow",
        &["--bind-after", "6000", "--say", "opening a database"],
    );
    let failed = change(&sandbox, "start slow", 6, "slow");
    assert_eq!(failed["error"]["code"], "started_but_unbound");
    let pid = sandbox.pid("slow");
    assert!(alive(pid), "it was not left running");
    let error = sandbox.registry_json()["services"][0]["lastStartError"].clone();
    assert_eq!(error["error_type"], "started_but_unbound");
    // A second start waits no second window and starts nothing, and its word is the state's.
    if !listens(port) {
        let again = change(&sandbox, "start slow", 6, "slow");
        assert_eq!(again["error"]["code"], "started_but_unbound");
        assert_eq!(sandbox.pid("slow"), pid);
        let row = sandbox.row("slow");
        assert_eq!(
            (row["state"].as_str(), row["pid"].as_u64()),
            (Some("failing"), Some(u64::from(pid)))
        );
    }
    until_true("the late bind", || listens(port));
    // It may listen a moment before it answers.
    let row = until("an active row", || {
        Some(sandbox.row("slow")).filter(|row| row["state"] == "active")
    });
    assert_eq!(row["start_error"], Value::Null);
    assert_eq!(row["notes"], Value::Array(Vec::new()));
    assert!(
        sandbox.registry_json()["services"][0]
            .get("lastStartError")
            .is_none(),
        "the note outlived the binding"
    );
    assert_eq!(sandbox.pid("slow"), pid);
}

#[test]
fn a_start_that_comes_good_removes_the_last_error_and_nothing_else() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("server", &format!("#!/bin/sh\nexec {EXE} __module\n"));
    sandbox.add("x", &[&script]);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let before = sandbox.text("services.json");
    sandbox.say("start x").expect(1);
    assert_ne!(sandbox.text("services.json"), before);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.say("start x").expect(0);
    assert_eq!(sandbox.text("services.json"), before);
}

#[test]
fn an_install_dir_that_is_gone_is_the_reason_given() {
    let sandbox = Sandbox::new();
    let dir = sandbox.user_dir().join("module");
    fs::create_dir(&dir).unwrap();
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
            EXE,
            "__module",
        ])
        .expect(0);
    fs::remove_dir(&dir).unwrap();
    let failed = change(&sandbox, "start x", 1, "x");
    assert_eq!(failed["error"]["code"], "spawn_failed");
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(dir.to_str().unwrap()) && message.contains("is gone"),
        "{message}"
    );
    assert_eq!(
        sandbox.row("x")["start_error"]["error_type"],
        "spawn_failed"
    );
    fs::write(&dir, "").unwrap();
    assert!(
        sandbox
            .say("start x")
            .expect(1)
            .err
            .contains("is not a directory")
    );
}

#[test]
fn whatever_keeps_it_from_a_spawn_is_recorded() {
    let sandbox = Sandbox::new();
    for (name, file) in [
        ("manifest", ".parachute/module.json"),
        ("dotenv", ".env"),
        ("log", "logs/log.log"),
        ("link", "logs/link.log"),
    ] {
        let path = format!("{name}/{file}");
        sandbox.add(name, &["no-such-program-at-all"]);
        sandbox.say(&format!("start {name}")).expect(1);
        let error = || sandbox.row(name)["start_error"].clone();
        assert_eq!(error()["error_type"], "missing_dependency", "{name}");
        let port = sandbox.row(name)["port"].to_string();
        let args = [
            "add",
            name,
            "--port",
            &port,
            "--replace",
            "--",
            EXE,
            "__module",
        ];
        sandbox.run(args).expect(0);
        let _ = fs::remove_file(sandbox.at(&path));
        match name {
            "manifest" => drop(sandbox.file(&path, "<html>")),
            "link" => {
                fs::create_dir_all(sandbox.at("link/logs")).unwrap();
                std::os::unix::fs::symlink("/dev/null", sandbox.at(&path)).unwrap();
            }
            _ => fs::create_dir_all(sandbox.at(&path)).unwrap(),
        }
        sandbox.say(&format!("start {name}")).expect(1);
        let error = error();
        let described = error["error_description"].as_str().unwrap();
        let base = file.rsplit('/').next().unwrap();
        assert_eq!(error["error_type"], "spawn_failed", "{name}");
        assert!(described.contains(base), "{error}");
        assert_eq!(sandbox.row(name)["state"], "failing", "{name}");
        sandbox.say("status").expect(1);
    }
}

#[test]
fn a_wrapper_that_has_ended_is_not_the_pid_that_is_named() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("wrapper", &format!("#!/bin/sh\n{EXE} __module &\nexit 0\n"));
    sandbox.add("x", &[&script]);
    let pid = change(&sandbox, "start x", 0, "x")["pid"].clone();
    assert!(
        alive(u32::try_from(pid.as_u64().unwrap()).unwrap()),
        "{pid}"
    );
    assert_eq!(sandbox.row("x")["pid"], pid);
    assert_eq!(change(&sandbox, "start x", 0, "x")["pid"], pid);
    let ran = sandbox.say("start x --dry-run").expect(0);
    assert!(ran.out.contains(&format!("(pid {pid})")), "{ran:?}");
    let ran = sandbox.say("stop x --dry-run").expect(0);
    assert!(ran.out.contains(&format!("(pid {pid}, ")), "{ran:?}");
}

#[test]
fn start_commands_that_are_none_are_told() {
    let sandbox = Sandbox::new();
    let port = free_port();
    for (command, code) in [
        (r#"[""]"#, "manifest_broken"),
        ("[]", "manifest_broken"),
        (r#""serve""#, "manifest_broken"),
        (r#"["a",1]"#, "manifest_broken"),
        ("null", "no_start_cmd"),
    ] {
        let dir = sandbox.user_dir().join("m");
        fs::create_dir_all(dir.join(".parachute")).unwrap();
        fs::write(
            dir.join(".parachute/module.json"),
            format!(r#"{{"name":"m","startCmd":{command}}}"#),
        )
        .unwrap();
        sandbox.registry(format!(
            r#"{{"services":[{{"name":"m","port":{port},"paths":[],"health":"/health","version":"1","installDir":"{}"}}]}}"#,
            dir.display()
        ));
        let failed = change(&sandbox, "start m", 1, "m");
        assert_eq!(failed["error"]["code"], code, "{command}: {failed}");
    }
}

#[test]
fn a_manifest_that_is_not_json_is_named_and_a_known_module_falls_back() {
    let sandbox = Sandbox::new();
    let dir = sandbox.user_dir().join("m");
    fs::create_dir_all(dir.join(".parachute")).unwrap();
    fs::write(dir.join(".parachute/module.json"), "<html>").unwrap();
    let (one, two) = (free_port(), free_port());
    let row = |name: &str, port| {
        let dir = dir.display();
        format!(
            r#"{{"name":"{name}","port":{port},"paths":[],"health":"/health","version":"1","installDir":"{dir}"}}"#
        )
    };
    sandbox.registry(format!(
        r#"{{"services":[{},{}]}}"#,
        row("own", one),
        row("parachute-scribe", two)
    ));
    let ran = sandbox.say("start own").expect(1);
    assert!(
        ran.err.contains("module.json") && ran.err.contains("not valid JSON"),
        "{}",
        ran.err
    );
    let bin = sandbox.user_dir().join(".local/bin");
    fs::create_dir_all(&bin).unwrap();
    let script = sandbox.script(
        "parachute-scribe",
        &format!("#!/bin/sh\ntest \"$1\" = serve && exec {EXE} __module\n"),
    );
    fs::rename(script, bin.join("parachute-scribe")).unwrap();
    let ran = sandbox.say("start scribe").expect(0);
    assert!(
        ran.err.contains("warning") && ran.err.contains("module.json"),
        "{}",
        ran.err
    );
}

#[test]
fn rows_without_a_command_are_skipped_unless_named() {
    let sandbox = Sandbox::new();
    sandbox.module("good", &[]);
    sandbox
        .run(["add", "bare", "--port", &free_port().to_string()])
        .expect(0);
    let document = sandbox.say("start --json").expect(0).json();
    assert_eq!(document["changes"].as_array().unwrap().len(), 1);
    assert_eq!(
        change(&sandbox, "start bare", 1, "bare")["error"]["code"],
        "no_start_cmd"
    );
    assert_eq!(sandbox.row("bare")["state"], "inactive");
}

#[test]
fn a_port_in_dotenv_is_dropped_for_the_registrys() {
    let sandbox = Sandbox::new();
    let port = telling(&sandbox, "x");
    let other = free_port();
    sandbox.file("x/.env", format!("PORT={other}\nKEY=1\n"));
    let ran = sandbox.say("start x").expect(0);
    assert!(
        ran.err.contains("`PORT`") && ran.err.contains("services.json"),
        "{}",
        ran.err
    );
    assert!(listens(port) && !listens(other));
    let env = seen(&sandbox, "x");
    assert_eq!(env["PORT"], port.to_string());
    assert_eq!(env["KEY"], "1");
    assert_eq!(sandbox.row("x")["state"], "active");
}

#[test]
fn a_dotenv_of_any_kind_is_read_by_the_letter() {
    let sandbox = Sandbox::new();
    telling(&sandbox, "x");
    let text = b"A=1\r\nB = two words \r\nexport C=3\r\n=nothing\r\nno equals\r\nD=\"quoted \"\r\nE='single'\r\nF=\"half\r\nG=\r\n\
        H=a=b=c\r\n# I=commented\r\nJ=\"\"x\"\"\r\nBAD\0=1\r\nK=$A `A` \\n # no comment\r\n\xff\xfe=binary\r\nL=\xff\r\n";
    sandbox.file("x/.env", text);
    let ran = sandbox.say("start x").expect(0);
    assert!(ran.err.contains("export"), "{}", ran.err);
    let env = seen(&sandbox, "x");
    for (name, value) in [
        ("A", "1"),
        ("B", "two words"),
        ("D", "quoted "),
        ("E", "single"),
        ("F", "\"half"),
        ("G", ""),
        ("H", "a=b=c"),
        ("J", "\"x\""),
        ("K", "$A `A` \\n # no comment"),
        ("L", "\u{fffd}"),
    ] {
        assert_eq!(
            env.get(name).map(String::as_str),
            Some(value),
            "{name} of {env:?}"
        );
    }
    assert!(!env.contains_key("C") && !env.contains_key("I") && !env.contains_key(""));
}

#[test]
fn a_dotenv_that_cannot_be_read_is_the_reason_given() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    fs::create_dir_all(sandbox.at("x/.env")).unwrap();
    let ran = sandbox.say("start x").expect(1);
    assert!(ran.err.contains(".env"), "{}", ran.err);
}

#[test]
fn the_environment_is_the_spawners_without_what_is_the_spawners_own() {
    let sandbox = Sandbox::new();
    telling(&sandbox, "x");
    let local = sandbox.user_dir().join(".local/bin");
    fs::create_dir_all(&local).unwrap();
    let bun = sandbox.user_dir().join(".bun/bin");
    fs::create_dir_all(&bun).unwrap();
    let mut command = sandbox.command(["start", "x"]);
    for name in [
        "PARACHUTE_BIND_HOST",
        "PARACHUTE_HUB_ORIGIN",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
        "MAINPID",
    ] {
        command.env(name, "inherited");
    }
    command
        .env("KEPT", "yes")
        .env("PORT", "1")
        .env("PARACHUTE_EXTRA_PATH", "/extra");
    let status = command.output().unwrap();
    assert!(status.status.success(), "{status:?}");
    let env = seen(&sandbox, "x");
    let left: Vec<&String> = env
        .iter()
        .filter(|(_, v)| *v == "inherited")
        .map(|(n, _)| n)
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(env["KEPT"], "yes");
    assert_eq!(env["PARACHUTE_HOME"], sandbox.home().to_str().unwrap());
    assert!(
        env["PATH"].starts_with("/extra:/usr/local/sbin:"),
        "{}",
        env["PATH"]
    );
    assert!(
        env["PATH"].contains(local.to_str().unwrap())
            && env["PATH"].ends_with(bun.to_str().unwrap()),
        "{}",
        env["PATH"]
    );
}

#[test]
fn the_environment_is_rebuilt_at_every_start() {
    let sandbox = Sandbox::new();
    telling(&sandbox, "x");
    sandbox.file("x/.env", "KEY=old\n");
    sandbox
        .say("start x --hub-origin https://old.example.org/")
        .expect(0);
    let env = seen(&sandbox, "x");
    assert_eq!(
        (env["KEY"].as_str(), env["PARACHUTE_HUB_ORIGIN"].as_str()),
        ("old", "https://old.example.org")
    );
    sandbox.file("x/.env", "KEY=new\n");
    sandbox.file("hub/origin", "https://new.example.org\n");
    sandbox.say("restart x").expect(0);
    let env = seen(&sandbox, "x");
    assert_eq!(
        (env["KEY"].as_str(), env["PARACHUTE_HUB_ORIGIN"].as_str()),
        ("new", "https://new.example.org")
    );
    // Forgotten: what another tool wrote counts, then nothing.
    sandbox.file(
        "expose-state.json",
        r#"{"version":1,"canonicalFqdn":"box.tail.net","hubOrigin":null}"#,
    );
    sandbox.run(["start", "--hub-origin", ""]).expect(0);
    assert!(!sandbox.at("hub/origin").exists());
    sandbox.say("restart x").expect(0);
    assert_eq!(
        seen(&sandbox, "x")["PARACHUTE_HUB_ORIGIN"],
        "https://box.tail.net"
    );
    fs::remove_file(sandbox.at("expose-state.json")).unwrap();
    sandbox.say("restart x").expect(0);
    assert!(!seen(&sandbox, "x").contains_key("PARACHUTE_HUB_ORIGIN"));
    sandbox.say("start --hub-origin box.example.org").expect(2);
}

#[test]
fn an_orphan_that_is_provably_ours_is_stopped_and_its_port_reclaimed() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start x").expect(0);
    let orphan = sandbox.pid("x");
    fs::remove_file(sandbox.at("x/run/x.pid")).unwrap();
    let ran = sandbox.say("start x").expect(0);
    assert!(ran.err.contains("earlier life"), "{}", ran.err);
    until_true("the end of the orphan", || !alive(orphan));
    assert_ne!(sandbox.pid("x"), orphan);
    assert!(listens(port));
    assert_eq!(sandbox.row("x")["pid"], sandbox.pid("x"));
}

#[test]
fn an_orphan_of_another_make_is_known_by_its_folder() {
    let sandbox = Sandbox::new();
    let dir = sandbox.user_dir().join("module");
    fs::create_dir(&dir).unwrap();
    let port = free_port();
    sandbox
        .run([
            "add",
            "x",
            "--port",
            &port.to_string(),
            "--dir",
            dir.to_str().unwrap(),
            "--",
            EXE,
            "__module",
        ])
        .expect(0);
    let mut orphan = Command::new("setsid");
    orphan
        .args([EXE, "__module", "--say", "older"])
        .current_dir(&dir)
        .env_clear()
        .env("PORT", port.to_string());
    let mut orphan = Guarded(
        orphan
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until_true("the orphan's port", || listens(port));
    let ran = sandbox.say("start x").expect(0);
    assert!(ran.err.contains("earlier life"), "{}", ran.err);
    until_true("the end of the orphan", || {
        orphan.0.try_wait().unwrap().is_some()
    });
    assert_eq!(sandbox.row("x")["state"], "active");
}

#[test]
fn two_starts_at_once_make_one_process() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &["--bind-after", "200"]);
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = sandbox.command(["start", "x", "--json"]);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut dids = Vec::new();
    for child in children.drain(..) {
        let ran: crate::sandbox::Ran = child.wait_with_output().unwrap().into();
        dids.push(ran.expect(0).json()["changes"][0].clone());
    }
    let started: Vec<_> = dids.iter().filter(|c| c["did"] == "started").collect();
    assert_eq!(started.len(), 1, "{dids:?}");
    assert!(
        dids.iter().all(|c| c["pid"] == started[0]["pid"]),
        "{dids:?}"
    );
    let mark = format!("PARACHUTE_HOME={}", sandbox.home().display());
    let running = crate::sandbox::pids().into_iter().filter(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&b| b == 0).any(|v| v == mark.as_bytes())
    });
    assert_eq!(running.count(), 1);
}

#[test]
fn restarts_at_once_leave_one_process_that_is_tracked() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    let children: Vec<_> = (0..4)
        .map(|_| {
            sandbox
                .command(["restart", "x"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let row = sandbox.row("x");
    assert_eq!(
        (row["state"].as_str(), row["pid"].as_u64()),
        (Some("active"), Some(u64::from(sandbox.pid("x"))))
    );
    sandbox.say("stop").expect(0);
    assert!(!listens(port));
}

#[test]
fn modules_without_a_start_command_are_not_a_box_without_modules() {
    let sandbox = Sandbox::new();
    sandbox.module("a", &[]);
    sandbox.say("start").expect(0);
    fs::remove_file(sandbox.at("a/.parachute/module.json")).unwrap();
    let lines = ["start", "restart", "start --dry-run", "restart --dry-run"];
    for line in lines {
        let ran = sandbox.say(line).expect(1);
        assert!(
            ran.err.contains("passing over a")
                && ran
                    .err
                    .contains("the one module of this box, a, has no start command")
                && ran.err.contains("`parachute add a --port"),
            "{line}: {}",
            ran.err
        );
    }
    sandbox
        .run(["add", "b", "--port", &free_port().to_string()])
        .expect(0);
    for line in lines {
        let ran = sandbox.run(line.split(' ').chain(["--json"])).expect(1);
        let error = &ran.json()["error"];
        assert_eq!(error["code"], "no_start_cmd", "{error}");
        assert_eq!(
            error["message"], "none of the 2 modules of this box has a start command",
            "{error}"
        );
    }
    sandbox.say("stop").expect(0);
}

#[test]
fn start_on_a_clean_box_says_what_to_do_next() {
    let sandbox = Sandbox::new();
    for line in ["start", "start --dry-run", "restart"] {
        let ran = sandbox.say(line).expect(3);
        assert!(
            ran.err.contains("nothing is installed") && ran.err.contains("`parachute add"),
            "{}",
            ran.err
        );
        assert_eq!(ran.out, "");
    }
    let ran = sandbox.say("start vault").expect(3);
    assert!(
        ran.err.contains("no module `vault`") && ran.err.contains("parachute add vault"),
        "{}",
        ran.err
    );
    assert!(!sandbox.home().exists(), "a start of nothing made the home");
    sandbox.registry(r#"{"services":[]}"#);
    sandbox.say("start").expect(3);
}

#[test]
fn dry_runs_of_start_and_restart_do_nothing() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    let ran = sandbox.say("start --dry-run").expect(0);
    assert!(
        ran.out.contains(&format!("start x on port {port}")) && ran.out.contains("__module"),
        "{}",
        ran.out
    );
    assert!(!sandbox.at("x/run").exists() && !sandbox.at("x/logs").exists() && !listens(port));
    sandbox.say("start").expect(0);
    let pid = sandbox.pid("x");
    assert!(
        sandbox
            .say("start --dry-run")
            .expect(0)
            .out
            .contains("leave x running")
    );
    let document = sandbox.say("restart --dry-run --json").expect(0).json();
    assert_eq!(document["dry_run"], true);
    let steps: Vec<&str> = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["would"].as_str().unwrap())
        .collect();
    assert!(
        steps.len() == 2 && steps[0].starts_with("stop x") && steps[1].starts_with("start x"),
        "{steps:?}"
    );
    assert!(
        sandbox
            .say("stop --dry-run")
            .expect(0)
            .out
            .contains("stop x")
    );
    assert!(alive(pid) && sandbox.pid("x") == pid);
    let document = sandbox
        .say("start nobody --dry-run --json")
        .expect(3)
        .json();
    assert_eq!(document["steps"][0]["error"]["code"], "not_installed");
}

#[test]
fn restart_starts_what_did_not_run_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    assert_eq!(change(&sandbox, "restart x", 0, "x")["did"], "started");
    let pid = sandbox.pid("x");
    let again = change(&sandbox, "restart x", 0, "x");
    assert_eq!(again["did"], "restarted");
    assert_eq!(again["pid"], sandbox.pid("x"));
    assert_ne!(sandbox.pid("x"), pid);
    assert!(!alive(pid));
}

#[test]
fn a_failure_after_a_stop_is_a_failure_again() {
    let sandbox = Sandbox::new();
    sandbox.add("x", &["no-such-program-at-all"]);
    sandbox.say("start x").expect(1);
    assert_eq!(sandbox.row("x")["state"], "failing");
    sandbox.say("stop x").expect(0);
    assert_eq!(sandbox.row("x")["state"], "inactive");
    sandbox.say("start x").expect(1);
    assert_eq!(sandbox.row("x")["state"], "failing");
}

#[test]
fn limits_and_signals_are_handed_on_as_found() {
    let sandbox = Sandbox::new();
    let to = sandbox.user_dir().join("limits");
    let text = format!(
        "#!/bin/sh\nulimit -Sn > {0}\ngrep -E 'Sig(Blk|Ign)' /proc/self/status >> {0}\nexec {EXE} __module\n",
        to.display()
    );
    let script = sandbox.script("server", &text);
    sandbox.add("x", &[&script]);
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("trap '' HUP INT; ulimit -Sn 777; exec {EXE} start x"),
    ]);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none");
    assert!(command.output().unwrap().status.success());
    let text = fs::read_to_string(to).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "777");
    // Signals beyond 31 are nobody's here.
    let bits = |line: &str| {
        u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap() & 0x7fff_ffff
    };
    assert!(lines[1..].iter().all(|line| bits(line) == 0), "{lines:?}");
}
