//! What makes the program pleasant: `status --watch`, `logs --since`, completions, manual pages.
// A test that cannot run here says so.
#![allow(clippy::print_stderr)]

use crate::sandbox::{EXE, Guarded, Ran, Sandbox, until};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

fn interrupt(pid: u32) {
    let sent = Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// What a child writes, as it comes.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = to.send(line);
        }
    });
    lines
}

#[test]
fn in_a_pipe_a_watched_status_is_a_block_for_each_change() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let mut command = sandbox.command(["status", "--watch"]);
    let mut child = Guarded(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = lines(child.0.stdout.take().unwrap());
    let mut seen: Vec<String> = Vec::new();
    let mut wait = |what: &str| {
        until(what, || {
            seen.extend(lines.try_iter());
            seen.iter()
                .any(|line| line.contains(what))
                .then(|| seen.clone())
        })
    };
    wait("inactive");
    sandbox.say("start").expect(0);
    // From the first look that finds it up to many later ones, nothing changes but the time.
    wait(" active");
    sandbox.say("stop").expect(0);
    let all = until("the last block", || {
        let all = wait("SERVICE");
        (all.iter().filter(|line| line.contains(" inactive")).count() == 2).then_some(all)
    });
    assert_eq!(
        all.iter().filter(|line| line.contains("SERVICE")).count(),
        3,
        "{all:#?}"
    );
    assert!(all.iter().all(|line| !line.contains('\x1b')), "{all:#?}");
    interrupt(child.0.id());
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
}

#[test]
fn on_a_terminal_a_watched_status_has_a_screen_of_its_own_and_leaves_it() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let typescript = sandbox.user_dir().join("typescript");
    // script(1) gives the program a terminal.
    let line = format!("{EXE} status --watch");
    let mut command = Command::new("script");
    command
        .args(["-qefc", &line])
        .arg(&typescript)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("TERM", "xterm")
        .env("PARACHUTE_MANAGER", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let Ok(child) = command.spawn() else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    let mut child = Guarded(child);
    let text = || String::from_utf8_lossy(&fs::read(&typescript).unwrap_or_default()).into_owned();
    until("the first screen", || {
        text().contains("inactive").then_some(())
    });
    assert!(text().contains("\x1b[?1049h"), "{:?}", text());
    let watching = until("the program", || {
        crate::sandbox::pids().into_iter().find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let home = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let home = String::from_utf8_lossy(&home).into_owned();
            line.starts_with(EXE.as_bytes()) && home.contains(sandbox.user_dir().to_str().unwrap())
        })
    });
    sandbox.say("start").expect(0);
    until("the second screen", || {
        text().contains("mactive").then_some(())
    });
    interrupt(watching);
    let status = child.0.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let text = text();
    assert_eq!(text.matches("\x1b[?1049h").count(), 1);
    assert_eq!(text.matches("\x1b[?1049l").count(), 1, "{text:?}");
    assert!(!text.contains("\x1b[2J"), "it flickers: {text:?}");
}

#[test]
fn watching_is_not_one_document_and_looks_not_too_often() {
    let sandbox = Sandbox::new();
    let ran = sandbox.say("status --watch --json").expect(2);
    assert_eq!(ran.json()["error"]["code"], "usage");
    sandbox.say("status --watch --interval 0").expect(2);
    sandbox.say("status --interval 5").expect(2);
}

#[test]
fn since_takes_spans_and_times_and_refuses_the_rest() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.file(
        "web/logs/web.log",
        "2020-01-01T00:00:00Z long ago\n  of long ago\n2999-01-01T00:00:00Z not yet\n  of not yet\n",
    );
    for when in ["10m", "2h", "3d", "2026-01-01", "2026-01-01T12:00:00Z"] {
        let ran = sandbox.run(["logs", "web", "--since", when]).expect(0);
        assert_eq!(
            ran.out, "2999-01-01T00:00:00Z not yet\n  of not yet\n",
            "{when}"
        );
        assert_eq!(ran.err, "");
    }
    for bad in ["soon", "-5m", ""] {
        let ran = sandbox
            .run(["logs", "web", &format!("--since={bad}")])
            .expect(2);
        assert!(!ran.err.is_empty());
    }
}

#[test]
fn since_says_so_where_lines_carry_no_time() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    sandbox.file("web/logs/web.log", "one\ntwo\n");
    let ran = sandbox.say("logs web --since 1h").expect(0);
    assert_eq!(ran.out, "one\ntwo\n");
    assert!(
        ran.err.contains("the lines of web carry no time"),
        "{}",
        ran.err
    );
}

/// What a shell would offer for a command line that ends in a word that is being typed.
fn offered(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let mut command = sandbox.command(["--", "parachute"]);
    let ran: Ran = command
        .args(words)
        .env("PARACHUTE_COMPLETE", "fish")
        .output()
        .unwrap()
        .into();
    let ran = ran.expect(0);
    assert_eq!(ran.err, "");
    let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    ran.out.lines().map(word).collect()
}

#[test]
fn names_of_modules_are_completed_from_the_box() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    sandbox.module("web", &[]);
    sandbox.module("worker", &[]);
    other.module("elsewhere", &[]);
    assert_eq!(offered(&sandbox, &["start", "w"]), ["web", "worker"]);
    assert_eq!(offered(&sandbox, &["logs", "h"]), ["hub"]);
    assert_eq!(offered(&sandbox, &["remove", "wo"]), ["worker"]);
    assert_eq!(offered(&sandbox, &["remove", "h"]), [""; 0]);
    assert!(offered(&sandbox, &["install", "v"]).contains(&"vault".to_owned()));
    let home = other.home();
    let home = home.to_str().unwrap();
    assert_eq!(
        offered(&sandbox, &["--home", home, "stop", "e"]),
        ["elsewhere"]
    );
    let verbs = offered(&sandbox, &["st"]);
    for verb in ["start", "status", "stop"] {
        assert!(verbs.contains(&verb.to_owned()), "{verbs:?}");
    }
    let verbs = offered(&sandbox, &[""]);
    assert!(
        verbs.iter().all(|verb| !verb.starts_with("__")),
        "{verbs:?}"
    );
    assert!(offered(&sandbox, &["status", "--wa"]).contains(&"--watch".to_owned()));
}

#[test]
fn a_box_that_is_broken_completes_verbs_still() {
    let sandbox = Sandbox::new();
    sandbox.registry("{ not json");
    assert_eq!(offered(&sandbox, &["start", "h"]), ["hub"]);
    assert!(offered(&sandbox, &["st"]).contains(&"start".to_owned()));
    let mut command = sandbox.command([""; 0]);
    let ran: Ran = command
        .env("PARACHUTE_COMPLETE", "bash")
        .output()
        .unwrap()
        .into();
    ran.expect(2);
    let mut command = sandbox.command(["--", "parachute", ""]);
    let ran: Ran = command
        .env("PARACHUTE_COMPLETE", "tcsh")
        .output()
        .unwrap()
        .into();
    ran.expect(2);
}

#[test]
fn every_shell_has_its_completions() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = sandbox.run(["completions", shell]).expect(0);
        assert!(
            ran.out.contains("PARACHUTE_COMPLETE"),
            "{shell}: {}",
            ran.out
        );
        assert!(
            !ran.out.contains(env!("CARGO_MANIFEST_DIR")),
            "{shell}: {}",
            ran.out
        );
    }
    sandbox.run(["completions", "tcsh"]).expect(2);
}

#[test]
fn bash_itself_completes_names() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    let exe = std::path::Path::new(EXE).parent().unwrap();
    let script = "source <(parachute completions bash); \
        COMP_WORDS=(parachute start w); COMP_CWORD=2; COMP_TYPE=9; \
        _clap_complete_parachute parachute w start; echo \"${COMPREPLY[@]}\"";
    let ran: Ran = Command::new("bash")
        .args(["--norc", "-c", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", exe.display()))
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.expect(0).out.trim(), "web");
}

#[test]
fn the_manual_has_a_page_for_every_verb() {
    let sandbox = Sandbox::new();
    let folder = sandbox.user_dir().join("man");
    let ran = sandbox
        .run(["man", "--out", folder.to_str().unwrap()])
        .expect(0);
    assert!(ran.out.contains(" pages in "), "{}", ran.out);
    let help = sandbox.say("--help").expect(0).out;
    for verb in ["status", "start", "logs", "install", "serve", "init", "man"] {
        assert!(help.contains(&format!("  {verb}")), "{help}");
        let page = fs::read_to_string(folder.join(format!("parachute-{verb}.1"))).unwrap();
        assert!(page.starts_with(".ie"), "{page}");
        assert!(page.contains(&format!("parachute\\-{verb}")), "{page}");
    }
    assert!(folder.join("parachute.1").exists());
    let names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.contains("__")), "{names:?}");
    let one = sandbox.say("man status").expect(0).out;
    assert!(one.contains("\\-\\-watch"), "{one}");
    sandbox.say("man nosuch").expect(2);
}
