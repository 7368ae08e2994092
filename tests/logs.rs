//! `logs`: the last lines, following across everything that can become of a file, and harmless on
//! a terminal.

use crate::sandbox::{EXE, Guarded, PATIENCE, Ran, Sandbox, free_port, until};
use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

/// A box with a module of this name and a log of this text; nothing runs.
fn with_log(name: &str, text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .run(["add", name, "--port", &free_port().to_string()])
        .expect(0);
    sandbox.file(&format!("{name}/logs/{name}.log"), text);
    sandbox
}

fn numbered(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

fn append(sandbox: &Sandbox, name: &str, text: &str) {
    let path = sandbox.at(format!("{name}/logs/{name}.log"));
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// `logs -f`, and the lines that it prints as they come.
struct Followed {
    lines: Receiver<String>,
    _child: Guarded,
}

impl Followed {
    fn new(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut all = vec!["logs", "-f"];
        all.extend(args);
        let mut child = sandbox
            .command(all)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| to.send(line))
        });
        Self {
            lines,
            _child: Guarded(child),
        }
    }

    #[track_caller]
    fn next(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no further line"),
            Err(RecvTimeoutError::Disconnected) => panic!("it has ended"),
        }
    }

    #[track_caller]
    fn expect(&self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            assert_eq!(self.next(), line);
        }
    }
}

#[test]
fn the_last_200_lines_unless_told_otherwise() {
    let sandbox = with_log("x", &numbered(0..500));
    assert_eq!(sandbox.say("logs x").expect(0).out, numbered(300..500));
    assert_eq!(sandbox.say("logs x -n 3").expect(0).out, numbered(497..500));
    assert_eq!(sandbox.say("logs x -n 0").expect(0).out, "");
    assert_eq!(
        sandbox.say("logs x -n 100000").expect(0).out,
        numbered(0..500)
    );
    let document = sandbox.say("logs x -n 2 --json").expect(0).json();
    assert_eq!(document["logs"][0]["name"], "x");
    assert_eq!(
        document["logs"][0]["lines"],
        serde_json::json!(["line 498", "line 499"])
    );
}

#[test]
fn a_last_line_without_its_end_and_odd_bytes_are_shown() {
    let sandbox = with_log("x", "");
    fs::write(sandbox.at("x/logs/x.log"), b"one\r\ntwo \xff\nhalf").unwrap();
    let out = sandbox.say("logs x").expect(0).out;
    assert!(
        out.contains("two \u{fffd}\n") && out.ends_with("half\n"),
        "{out:?}"
    );
}

#[test]
fn nothing_written_yet_is_said() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    let ran = sandbox.say("logs x").expect(0);
    assert_eq!(ran.out, "");
    assert!(
        ran.err.contains("nothing has been written by x yet"),
        "{}",
        ran.err
    );
    assert_eq!(
        sandbox.say("logs x --json").expect(0).json()["logs"][0]["lines"],
        serde_json::json!([])
    );
}

#[test]
fn silence_is_explained_and_never_made_up() {
    let sandbox = Sandbox::new();
    for (line, said) in [
        ("logs", "nothing to show"),
        ("logs -f", "nothing to follow"),
    ] {
        let ran = sandbox.say(line).expect(0);
        assert_eq!(ran.out, "");
        assert!(
            ran.err.contains(said) && ran.err.contains("no module yet"),
            "{line}: {}",
            ran.err
        );
    }
    assert_eq!(
        sandbox.say("logs --json").expect(0).json()["logs"],
        serde_json::json!([])
    );
    let sandbox = with_log("x", "2026-01-01T00:00:00Z a line\n");
    assert_eq!(sandbox.say("logs -n 0").expect(0).err, "");
    let ran = sandbox.say("logs --since 2026-02-01T00:00:00Z").expect(0);
    assert_eq!(ran.out, "");
    assert!(
        ran.err.contains("nothing has been written by x since then"),
        "{}",
        ran.err
    );
}

#[test]
fn unknown_names_are_said_and_follow_has_no_document() {
    let sandbox = with_log("x", "a\n");
    assert!(
        sandbox
            .say("logs nobody")
            .expect(3)
            .err
            .contains("no module `nobody`")
    );
    assert!(
        sandbox
            .say("logs -f nobody")
            .expect(3)
            .err
            .contains("no module `nobody`")
    );
    assert_eq!(
        sandbox.say("logs -f x --json").expect(2).json()["error"]["code"],
        "usage"
    );
    sandbox.say("logs ../../etc").expect(3);
}

#[test]
fn several_names_have_a_prefix_each() {
    let sandbox = with_log("web", "w1\nw2\n");
    sandbox
        .run(["add", "database", "--port", &free_port().to_string()])
        .expect(0);
    sandbox.file("database/logs/database.log", "d1\n");
    let ran = sandbox.say("logs web database").expect(0);
    assert_eq!(ran.out, "web      | w1\nweb      | w2\ndatabase | d1\n");
    assert_eq!(sandbox.say("logs").expect(0).out, ran.out);
    assert_eq!(sandbox.say("logs web database web").expect(0).out, ran.out);
    let coloured = sandbox.say("logs --color always").expect(0).out;
    assert!(
        coloured.contains("\x1b[36mweb      |\x1b[0m w1")
            && coloured.contains("\x1b[33mdatabase |"),
        "{coloured:?}"
    );
    let follow = Followed::new(&sandbox, &["web", "database", "-n", "1"]);
    follow.expect(["web      | w2".to_owned(), "database | d1".to_owned()]);
    append(&sandbox, "database", "d2\n");
    follow.expect(["database | d2".to_owned()]);
    append(&sandbox, "web", "w3\n");
    follow.expect(["web      | w3".to_owned()]);
}

#[test]
fn a_terminal_is_not_driven_by_a_modules_output() {
    let sandbox = with_log(
        "x",
        "\x1b[2J\x1b]0;title\x07 colour \x1b[31mred\x1b[0m\u{202e}\ttab\u{8}\n",
    );
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("{EXE} logs x"), "/dev/null"])
        .env_clear()
        .stdin(Stdio::null());
    command
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none")
        .env("TERM", "xterm");
    let ran: Ran = command.output().unwrap().into();
    let out = ran.expect(0).out;
    assert!(
        !out.contains(['\x1b', '\x07', '\u{8}', '\u{202e}']),
        "{out:?}"
    );
    assert!(
        out.contains("\\u{1b}[31mred") && out.contains("\ttab"),
        "{out:?}"
    );
}

#[test]
fn in_a_pipe_it_is_as_the_module_wrote_it() {
    // A title sequence without its end would swallow what follows, were sequences stripped.
    let text = "\x1b[31mred\x1b[0m\n\x1b]0;title\nnext\n";
    let sandbox = with_log("x", text);
    assert_eq!(sandbox.say("logs x").expect(0).out, text);
    let follow = Followed::new(&sandbox, &["x"]);
    follow.expect(text.lines().map(str::to_owned));
}

#[test]
fn follow_shows_the_last_lines_and_then_each_new_one() {
    let sandbox = with_log("x", &numbered(0..10));
    let follow = Followed::new(&sandbox, &["x", "-n", "2"]);
    follow.expect(numbered(8..10).lines().map(str::to_owned));
    append(&sandbox, "x", "half");
    append(&sandbox, "x", " a line\n\nnext\n");
    follow.expect(["half a line".to_owned(), String::new(), "next".to_owned()]);
}

#[test]
fn follow_begins_before_there_is_a_log() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &["--say", "hello"]);
    let follow = Followed::new(&sandbox, &["x"]);
    sandbox.say("start").expect(0);
    follow.expect(["hello".to_owned()]);
}

#[test]
fn follow_loses_no_line_across_rotation() {
    let sandbox = with_log("x", "first\n");
    let follow = Followed::new(&sandbox, &["x"]);
    follow.expect(["first".to_owned()]);
    // Written to while it is rotated, as modules that never restart do.
    let log = sandbox.at("x/logs/x.log");
    let mut old = OpenOptions::new().append(true).open(&log).unwrap();
    for round in 0..30 {
        let line = |n: usize| format!("round {round} line {n}\n");
        old.write_all(line(1).as_bytes()).unwrap();
        for number in (1..5).rev() {
            let _ = fs::rename(rotated(&log, number), rotated(&log, number + 1));
        }
        fs::rename(&log, rotated(&log, 1)).unwrap();
        old.write_all(line(2).as_bytes()).unwrap();
        let mut new = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        new.write_all(line(3).as_bytes()).unwrap();
        old = new;
        // Two rotations may go by unseen between two looks; not more than are kept.
        if round % 3 == 2 {
            follow.expect(
                (round - 2..=round)
                    .flat_map(|r| (1..=3).map(move |n| format!("round {r} line {n}"))),
            );
        }
    }
}

fn rotated(log: &std::path::Path, number: usize) -> PathBuf {
    PathBuf::from(format!("{}.{number}", log.display()))
}

#[test]
fn follow_goes_on_after_truncation() {
    let sandbox = with_log("x", &numbered(0..100));
    let follow = Followed::new(&sandbox, &["x", "-n", "1"]);
    follow.expect(["line 99".to_owned()]);
    for round in 0..5 {
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(sandbox.at("x/logs/x.log"))
            .unwrap();
        append(&sandbox, "x", &format!("r{round}\n"));
        follow.expect([format!("r{round}")]);
    }
    fs::remove_file(sandbox.at("x/logs/x.log")).unwrap();
    append(&sandbox, "x", "made anew\n");
    follow.expect(["made anew".to_owned()]);
}

#[test]
fn follow_stands_a_line_of_a_megabyte_and_many_lines() {
    let sandbox = with_log("x", "");
    let follow = Followed::new(&sandbox, &["x"]);
    append(&sandbox, "x", &format!("{}\n", "y".repeat(1 << 20)));
    let mut got = 0;
    while got < 1 << 20 {
        let line = follow.next();
        assert!(
            line.len() <= 64 * 1024 && line.bytes().all(|b| b == b'y'),
            "{}",
            line.len()
        );
        got += line.len();
    }
    let text = numbered(0..20_000);
    append(&sandbox, "x", &text);
    let mut lines = std::iter::from_fn(|| Some(follow.next())).skip_while(String::is_empty);
    assert!(text.lines().all(|line| lines.next().unwrap() == line));
}

#[test]
fn follow_ends_on_ctrl_c_and_with_its_reader() {
    let sandbox = with_log("x", "a\n");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{EXE} logs -f x | head -n 1")])
        .env_clear()
        .stdin(Stdio::null());
    command
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe is found broken at the next line.
    until("its end", || {
        append(&sandbox, "x", "b\n");
        child.try_wait().unwrap()
    });
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("a\n", ""));

    let mut child = sandbox
        .command(["logs", "-f", "x", "-n", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut first)
        .unwrap();
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let status = until("its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_log_over_10_mib_is_rotated_at_the_next_start_and_5_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &["--say", "new life"]);
    let big = |mark: &str| format!("{mark}\n{}", "z".repeat(10 << 20));
    for life in 0..7 {
        sandbox.file("x/logs/x.log", big(&format!("life {life}")));
        sandbox.say("restart x").expect(0);
        assert!(sandbox.text("x/logs/x.log").starts_with("new life\n"));
    }
    let log = sandbox.at("x/logs/x.log");
    for number in 1..=5 {
        let text = fs::read_to_string(rotated(&log, number)).unwrap();
        assert!(
            text.starts_with(&format!("life {}\n", 7 - number)),
            "{number}: {}",
            &text[..20]
        );
    }
    let files = fs::read_dir(sandbox.at("x/logs")).unwrap().count();
    assert_eq!(files, 6);
    // The last lines reach back over the rotation.
    let out = sandbox.say("logs x -n 3").expect(0).out;
    assert!(
        out.ends_with("listening on port ".to_owned().as_str()) || out.contains("new life"),
        "{}",
        out.len()
    );
}

#[test]
fn a_log_just_under_10_mib_is_not_rotated() {
    let sandbox = Sandbox::new();
    sandbox.module("x", &[]);
    sandbox.file("x/logs/x.log", "z".repeat((10 << 20) - 1));
    sandbox.say("start x").expect(0);
    assert!(!sandbox.at("x/logs/x.log.1").exists());
    let _ = Duration::ZERO;
}

#[test]
fn the_tail_reaches_over_rotated_files() {
    let sandbox = with_log("x", &numbered(8..10));
    fs::write(sandbox.at("x/logs/x.log.1"), numbered(4..8)).unwrap();
    fs::write(sandbox.at("x/logs/x.log.2"), numbered(0..4)).unwrap();
    assert_eq!(sandbox.say("logs x -n 7").expect(0).out, numbered(3..10));
    assert_eq!(sandbox.say("logs x").expect(0).out, numbered(0..10));
}
