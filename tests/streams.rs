//! What becomes of the program's words: a reader that leaves, a full disk, text that other programs
//! read.

use crate::sandbox::{EXE, Ran, Sandbox};
use std::process::{Command, Stdio};

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let sandbox = Sandbox::new();
    for at in 0..5 {
        sandbox.module(&format!("m{at}"), &[]);
    }
    let log: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    sandbox.file("m0/logs/m0.log", log);
    for line in [
        "status",
        "status --json",
        "logs m0 -n 20000",
        "logs m0 -n 20000 --json",
        "--help",
        "man",
        "man start --json",
        "completions bash",
        "start --dry-run",
    ] {
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                &format!("{EXE} {line} | head -c 5 >/dev/null; exit ${{PIPESTATUS[0]}}"),
            ])
            .env_clear();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", sandbox.user_dir())
            .env("PARACHUTE_MANAGER", "none")
            .stdin(Stdio::null());
        let ran: Ran = command.output().unwrap().into();
        let ran = ran.expect(0);
        assert_eq!(ran.err, "", "{line}");
    }
}

#[test]
fn what_could_not_be_written_is_a_failure_and_said() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    for line in [
        "status",
        "is-active x --json",
        "is-installed x --json",
        "wait x --json",
        "man",
        "completions fish",
        "--help",
        "--version",
        "--version --json",
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = sandbox.command(line.split(' '));
        let ran: Ran = command.stdout(full.unwrap()).output().unwrap().into();
        let ran = ran.expect(1);
        assert!(
            ran.err.contains("cannot write to stdout"),
            "{line}: {ran:?}"
        );
    }
    // A verb that has failed already keeps its word.
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = sandbox.command(["is-active", "nobody", "--json"]);
    let ran: Ran = command.stdout(full.unwrap()).output().unwrap().into();
    assert!(ran.expect(3).err.contains("cannot write to stdout"));
    sandbox.say("stop").expect(0);
}

#[test]
fn text_for_other_programs_is_one_document_where_json_was_asked_for() {
    let sandbox = Sandbox::new();
    for (line, key, says) in [
        ("completions bash --json", "script", "PARACHUTE_COMPLETE"),
        ("man --json", "page", ".TH parachute"),
        ("--json man status", "page", "parachute\\-status"),
        ("--help --json", "help", "Usage: parachute"),
        ("--json start --help", "help", "Usage: parachute start"),
        ("--version --json", "version", env!("CARGO_PKG_VERSION")),
        (
            match crate::sandbox::root() {
                true => "init --print --force --run-as root --json",
                false => "init --print --force --json",
            },
            "unit",
            "serve",
        ),
    ] {
        let ran = sandbox.say(line).expect(0);
        assert_eq!(ran.err, "", "{line}");
        let document = ran.json();
        assert_eq!(document["schema"], 1, "{line}");
        let text = document[key].as_str().unwrap();
        assert!(
            text.contains(says) && !text.contains('\x1b'),
            "{line}: {text}"
        );
    }
}
