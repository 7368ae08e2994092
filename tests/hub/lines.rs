//! What modules write: never lost on the way to where it is kept, never too much, waited for by nobody.

use super::{
    Hub, is_ready, module, one, pid_of, registry,
    wire::{Stream, connect},
};
use crate::sandbox::{EXE, Sandbox, free_port, until_true};
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

/// Numbered lines of a module's log, rotated files too, in order.
fn in_files(sandbox: &Sandbox, short: &str) -> Vec<u64> {
    let mut text = Vec::new();
    for n in (0..=5).rev() {
        let name = if n == 0 {
            String::new()
        } else {
            format!(".{n}")
        };
        let file = sandbox.at(format!("{short}/logs/{short}.log{name}"));
        text.extend(fs::read(file).unwrap_or_default());
    }
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|l| l.strip_prefix("line ")?.split(' ').next()?.parse().ok())
        .collect()
}

fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Notes 33 and 41: chatty modules, with and without newlines. `HUB_PRINT` is how many MiB each.
#[test]
fn a_chatty_module_fills_neither_memory_nor_disk_and_no_line_is_lost() {
    let mebibytes: u64 = std::env::var("HUB_PRINT")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(48);
    let sandbox = Sandbox::new();
    let count = mebibytes * 1024 * 1024 / 100;
    let numbered = format!(
        "awk 'BEGIN {{ for (i = 0; i < {count}; i++) printf \"line %d %080d\\n\", i, i }}'; echo all said; exec {EXE} __module"
    );
    let endless = format!(
        "head -c {} /dev/zero | tr '\\0' x; exec {EXE} __module",
        mebibytes * 1024 * 1024
    );
    registry(
        &sandbox,
        &[
            ("numbered", free_port(), &["/bin/sh", "-c", &numbered]),
            ("endless", free_port(), &["/bin/sh", "-c", &endless]),
        ],
    );
    let hub = Hub::serve(&sandbox);
    // However much it is, and however slow the machine: as long as there is more to come.
    let size = |short: &str| {
        fs::metadata(sandbox.at(format!("{short}/logs/{short}.log"))).map_or(0, |m| m.len())
    };
    let ready = |short: &str| {
        while !hub.state(short).is_some_and(|state| is_ready(&state)) {
            let before = (size("numbered"), size("endless"));
            until_true("more to come, or the end", || {
                before != (size("numbered"), size("endless"))
                    || hub.state(short).is_some_and(|state| is_ready(&state))
            });
        }
    };
    ready("numbered");
    ready("endless");
    until_true("the last line", || {
        hub.logs("numbered").contains("all said")
    });
    let kept = hub.logs("numbered");
    assert!(kept.len() < 80 * 1024, "{}", kept.len());
    assert!(rss(hub.pid()) < 64 * 1024, "{} KiB", rss(hub.pid()));
    // The files hold the last lines, without a gap, and no more than six files.
    let numbers = in_files(&sandbox, "numbered");
    assert!(
        numbers.windows(2).all(|two| two[1] == two[0] + 1),
        "a line is missing"
    );
    assert_eq!(numbers.last(), Some(&(count - 1)));
    let expected = count.min(50 * 1024 * 1024 / 100);
    assert!(
        numbers.len() as u64 >= expected.min(count),
        "{} of {count}",
        numbers.len()
    );
    for (short, most) in [("numbered", 62), ("endless", 62)] {
        let all: u64 = fs::read_dir(sandbox.at(format!("{short}/logs")))
            .unwrap()
            .map(|e| e.unwrap().metadata().unwrap().len())
            .sum();
        assert!(all < most * 1024 * 1024, "{short}: {all}");
    }
    let pieces = hub.logs("endless");
    assert!(pieces.lines().all(|line| line.len() <= 64 * 1024 + 10));
}

/// Note 41: following goes on when the ring is full, and ends with the module.
#[test]
fn following_loses_no_line_and_ends_with_the_module() {
    let sandbox = Sandbox::new();
    let talk = r#"
import os, socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(os.environ["PORT"]))); s.listen()
print("begun", flush=True)
print("y" * 200000, flush=True)
s.accept()
for i in range(3000):
    print("line", i, "x" * 100, flush=True)
    if i % 100 == 99: time.sleep(0.005)
print("said", flush=True)
while True: time.sleep(60)
"#;
    let script = sandbox.script("talk.py", talk);
    let port = one(&sandbox, "talk", &["/usr/bin/python3", &script]);
    let hub = Hub::serve(&sandbox);
    hub.until_ready("talk");
    let mut stream = Stream::follow(hub.port, &hub.token(), "talk");
    // A second reader that takes nothing keeps nobody waiting.
    let mut idle = connect(hub.port);
    write!(idle, "GET /api/modules/talk/logs?follow=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", hub.token()).unwrap();
    drop(connect(port));
    let text = stream.until("[talk] said\n");
    let numbers: Vec<u32> = text
        .lines()
        .filter_map(|l| {
            l.strip_prefix("[talk] line ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    if text.contains("went by") {
        assert!(numbers.is_sorted());
    } else {
        assert_eq!(numbers, (0..3000).collect::<Vec<_>>());
    }
    assert!(text.contains("[talk] begun") || text.contains("went by") || text.contains("yyyy"));
    hub.stop("talk");
    assert!(stream.rest().ends_with("[talk] said\n"));
    // Of a module that does not run, there is only what is kept.
    assert!(
        Stream::follow(hub.port, &hub.token(), "talk")
            .rest()
            .ends_with("[talk] said\n")
    );
}

#[test]
fn following_goes_on_across_crash_restarts() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&["--say", "hello"]));
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    let mut stream = Stream::follow(hub.port, &hub.token(), "good");
    stream.until("[good] listening");
    super::kill("KILL", pid);
    hub.until("good", "respawned", |s| is_ready(s) && pid_of(s) != pid);
    let text = stream.until("listening on port");
    assert!(text.contains("hello"));
    hub.stop("good");
    assert_eq!(stream.rest().matches("[good] hello\n").count(), 2);
}

#[test]
fn any_bytes_are_lines() {
    let sandbox = Sandbox::new();
    let bytes = r"printf 'caf\303\251\n\377\376 odd\n\000nul\n\n\033[31mred\r\nlast'; sleep 0.2; exec sleep 1000";
    one(&sandbox, "odd", &["/bin/sh", "-c", bytes]);
    let hub = Hub::serve(&sandbox);
    until_true("the lines", || {
        hub.state("odd").is_some() && hub.logs("odd").contains("red")
    });
    hub.stop("odd");
    let text = hub.logs("odd");
    assert_eq!(
        text,
        "[odd] café\n[odd] \u{fffd}\u{fffd} odd\n[odd] \0nul\n[odd] \n[odd] \x1b[31mred\r\n[odd] last\n"
    );
    assert_eq!(
        fs::read(sandbox.at("odd/logs/odd.log")).unwrap(),
        b"caf\xc3\xa9\n\xff\xfe odd\n\0nul\n\n\x1b[31mred\r\nlast\n"
    );
    assert!(hub.out().contains("[odd] café\n"), "{}", hub.out());
}

#[test]
fn a_blocked_stdout_of_the_hub_blocks_no_module() {
    let sandbox = Sandbox::new();
    let talk =
        format!("head -c 3000000 /dev/zero | tr '\\0' '\\n'; echo done; exec {EXE} __module");
    let port = one(&sandbox, "talk", &["/bin/sh", "-c", &talk]);
    let hub_port = free_port();
    let mut command: Command = super::command(&sandbox);
    command
        .env("PORT", hub_port.to_string())
        .stdout(Stdio::piped());
    // Nobody reads that pipe.
    let child = crate::sandbox::Guarded(command.spawn().unwrap());
    until_true("the module to be up", || crate::sandbox::listens(port));
    let hub = Hub {
        sandbox: &sandbox,
        port: hub_port,
        child,
    };
    hub.until_ready("talk");
    until_true("its last line", || {
        hub.logs("talk").contains("[talk] done\n")
    });
}
