//! What the program shows where a person looks: how wide, in which colours.
// A test that cannot run here says so.
#![allow(clippy::print_stderr)]

use crate::sandbox::{EXE, Guarded, Ran, Sandbox, until};
use std::{
    fs,
    process::{Command, Stdio},
};

/// script(1), which gives what runs in it a terminal, and writes what comes there to a file.
fn script(sandbox: &Sandbox, line: &str, file: &str) -> Command {
    let mut command = Command::new("script");
    command
        .args(["-qefc", line, file])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("TERM", "xterm")
        .env("PARACHUTE_MANAGER", "none")
        .stdin(Stdio::null());
    command
}

/// What a terminal gets to see of a command line; nothing where there is no script(1).
fn seen(sandbox: &Sandbox, line: &str, exit: i32) -> Option<String> {
    let mut command = script(sandbox, &format!("{EXE} {line}"), "/dev/null");
    let Ok(done) = command.output() else {
        eprintln!("skipped: there is no script(1)");
        return None;
    };
    Some(Ran::from(done).expect(exit).out)
}

/// The last screen that a watched status has drawn at this width, without styles.
fn screen(typescript: &str, width: usize) -> Vec<String> {
    let last = typescript.rsplit("\x1b[H").next().unwrap_or_default();
    let mut rows = vec![String::new()];
    let mut rest = last.chars();
    while let Some(c) = rest.next() {
        let row = rows.last_mut().unwrap();
        match c {
            '\r' => {}
            '\n' => rows.push(String::new()),
            '\x1b' => {
                let end = rest.find(|c| c.is_ascii_alphabetic());
                // The cursor does not leave the row: what is erased begins with its last column.
                if end == Some('K') && row.chars().count() == width {
                    row.pop();
                }
            }
            c => row.push(c),
        }
    }
    rows.retain(|row| !row.is_empty());
    rows
}

#[test]
fn a_watched_status_is_as_wide_as_the_screen_and_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.add("blog", &["no-such-program-at-all"]);
    sandbox.say("start").expect(1);
    let whole = sandbox.say("status").expect(1).out;
    let words: Vec<&str> = whole.split_whitespace().collect();
    assert!(whole.lines().any(|line| line.len() > 80), "{whole}");
    let file = sandbox.user_dir().join("typescript");
    let line = format!("stty cols 40 rows 60; exec {EXE} status --watch");
    let mut command = script(&sandbox, &line, file.to_str().unwrap());
    let Ok(child) = command.stdout(Stdio::null()).spawn() else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    let mut child = Guarded(child);
    let text = || String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into_owned();
    let watching = until("the program", || {
        crate::sandbox::pids().into_iter().find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let home = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let home = String::from_utf8_lossy(&home).into_owned();
            line.starts_with(EXE.as_bytes()) && home.contains(sandbox.user_dir().to_str().unwrap())
        })
    });
    let terminal = fs::read_link(format!("/proc/{watching}/fd/1")).unwrap();
    // One at which a row is exactly full.
    let full = whole.lines().find_map(|line| {
        let (before, _) = line.get(..70)?.rsplit_once(' ')?;
        Some(before.chars().count())
    });
    for width in [40, 80, full.unwrap(), 200, 40] {
        let sized = Command::new("stty")
            .args(["-F", terminal.to_str().unwrap(), "cols", &width.to_string()])
            .status();
        assert!(sized.unwrap().success());
        let screen = until("a screen of that width", || {
            let rows = screen(&text(), width);
            let fits = rows.iter().all(|row| row.chars().count() <= width);
            let filled = rows.iter().any(|row| row.chars().count() > width / 2);
            let there: Vec<&str> = rows.iter().flat_map(|row| row.split_whitespace()).collect();
            (fits && filled && there == words).then_some(rows)
        });
        assert!(
            width < 200 || screen.len() == whole.lines().count(),
            "{screen:#?}"
        );
    }
    let sent = Command::new("kill")
        .args(["-INT", &watching.to_string()])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
}

#[test]
fn never_is_no_colour_anywhere() {
    let sandbox = Sandbox::new();
    sandbox.module("slow", &["--bind-after", "700"]);
    for (line, exit) in [
        ("--color never --help", 0),
        ("status --help --color=never", 0),
        ("--color never frobnicate", 2),
        ("add --color never", 2),
        ("--color never start slow", 0),
        ("status --color never", 0),
    ] {
        let Some(text) = seen(&sandbox, line, exit) else {
            return;
        };
        let coloured = text.split("\x1b[").skip(1).find(|rest| {
            let end = rest.find(|c: char| c.is_ascii_alphabetic());
            end.is_some_and(|end| rest[end..].starts_with('m'))
        });
        assert_eq!(coloured, None, "{line}: {text:?}");
    }
    for (line, exit) in [("--help", 0), ("frobnicate", 2), ("restart slow", 0)] {
        let Some(text) = seen(&sandbox, line, exit) else {
            return;
        };
        assert!(text.contains("\x1b[3"), "{line}: {text:?}");
    }
    sandbox.say("stop").expect(0);
}

#[test]
fn always_is_colour_in_a_pipe_too() {
    let sandbox = Sandbox::new();
    for line in ["--color always --help", "help status --color=always"] {
        let ran = sandbox.say(line);
        assert!(
            ran.out.contains("\x1b[") || ran.err.contains("\x1b["),
            "{line}: {ran:?}"
        );
    }
    let ran = sandbox.say("--color always frobnicate").expect(2);
    assert!(ran.err.contains("\x1b["), "{ran:?}");
    // What follows `--` is the module's.
    let ran = sandbox.say("add -- serve --color always").expect(2);
    assert!(!ran.err.contains('\x1b'), "{ran:?}");
}
