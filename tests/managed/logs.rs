//! `logs` of a managed box: our hub's files, other makes' buffer and `[short]` lines, and following
//! across a restart of the hub.

use super::{detached, other_make};
use crate::{
    fakes::hub::{Make, Streams, running},
    sandbox::{Guarded, Sandbox, until, until_true},
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    sync::mpsc::{Receiver, TryRecvError, channel},
};

/// `logs -f` and its lines as they come.
struct Followed {
    lines: Receiver<String>,
    seen: Vec<String>,
    child: Guarded,
}

impl Followed {
    fn of(sandbox: &Sandbox, line: &str) -> Self {
        let mut command = sandbox.command(line.split(' '));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = to.send(line);
            }
        });
        Self {
            lines,
            seen: Vec::new(),
            child: Guarded(child),
        }
    }

    /// Waits until a line holds this.
    #[track_caller]
    fn wait(&mut self, what: &str) {
        until(what, || {
            self.seen.extend(self.lines.try_iter());
            self.seen
                .iter()
                .any(|line| line.contains(what))
                .then_some(())
        });
    }

    /// Waits until it ends by itself; gives its exit status.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let child = &mut self.child.0;
        let status = until("the end", || child.try_wait().unwrap());
        until_true("the last line", || {
            loop {
                match self.lines.try_recv() {
                    Ok(line) => self.seen.push(line),
                    Err(error) => break error == TryRecvError::Disconnected,
                }
            }
        });
        status.code()
    }

    fn count(&mut self, what: &str) -> usize {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().filter(|line| line.contains(what)).count()
    }
}

#[test]
fn a_managed_modules_log_is_what_its_hub_wrote() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &["--say", "first line"]);
    detached(&sandbox);
    until_true("the line", || {
        sandbox.say("logs web").out.contains("first line")
    });
    let hub = sandbox.say("logs hub").expect(0).out;
    assert!(hub.contains("listening on http://127.0.0.1:"), "{hub}");
    let all = sandbox.say("logs").expect(0).out;
    assert!(all.contains("web | first line"), "{all}");
    assert!(all.contains("hub | "), "{all}");
    // With the hub down, what it wrote is there still.
    sandbox.say("stop").expect(0);
    assert!(sandbox.say("logs web").expect(0).out.contains("first line"));
}

#[test]
fn following_goes_on_across_a_restart_of_the_hub() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &["--say", "a life begins"]);
    detached(&sandbox);
    until_true("web to be up", || sandbox.row("web")["state"] == "active");
    let mut followed = Followed::of(&sandbox, "logs -f web");
    followed.wait("a life begins");
    sandbox.say("restart hub").expect(0);
    until_true("the next life", || followed.count("a life begins") == 2);
    sandbox.say("restart web").expect(0);
    until_true("the third life", || followed.count("a life begins") == 3);
    sandbox.say("stop").expect(0);
}

#[test]
fn other_makes_give_their_buffer_and_follow() {
    for make in Make::ALL {
        let sandbox = Sandbox::new();
        let (hub, _kept, _) = other_make(&sandbox, make);
        hub.module("vault", |m| {
            m.state = Some(running(4711));
            m.lines = vec!["one".into(), "two".into()];
        });
        assert_eq!(
            sandbox.say("logs vault").expect(0).out,
            "one\ntwo\n",
            "{make:?}"
        );
        assert_eq!(
            sandbox.say("logs vault -n 1").expect(0).out,
            "two\n",
            "{make:?}"
        );
        let mut followed = Followed::of(&sandbox, "logs vault -f");
        followed.wait("two");
        hub.module("vault", |m| m.lines.push("three".into()));
        followed.wait("three");
    }
}

#[test]
fn another_makes_stream_is_taken_up_again_after_its_hub_has_gone() {
    for make in Make::ALL {
        let sandbox = Sandbox::new();
        let (hub, _kept, _) = other_make(&sandbox, make);
        hub.module("vault", |m| {
            m.state = Some(running(4711));
            m.lines = vec!["before".into()];
        });
        let mut followed = Followed::of(&sandbox, "logs vault -f");
        followed.wait("before");
        if make >= Make::V0_7_15 {
            let next = r#"{"instance":"the next boot"}"#;
            sandbox.file("hub-instance.json", next);
            hub.with(|play| play.instance = "the next boot".into());
        }
        // Its next life has not come to the module yet.
        hub.module("vault", |m| m.state = None);
        hub.cut();
        let asked = hub.seen().len();
        until_true("it to be asked again", || {
            let follows = |line: &String| line.ends_with("?follow=1");
            hub.seen().iter().skip(asked).any(follows)
        });
        hub.module("vault", |m| {
            m.state = Some(running(4712));
            m.lines = vec!["after".into()];
        });
        followed.wait("after");
        assert_eq!(followed.count("before"), 1, "{make:?}");
    }
}

#[test]
fn a_stream_that_ends_under_a_hub_that_stays_is_the_end() {
    for make in Make::ALL {
        for streams in [Streams::Once, Streams::Never] {
            let sandbox = Sandbox::new();
            let (hub, _kept, _) = other_make(&sandbox, make);
            hub.module("vault", |m| {
                m.state = Some(running(4711));
                m.lines = vec!["one".into(), "two".into()];
                m.streams = streams;
            });
            let mut followed = Followed::of(&sandbox, "logs vault -f");
            assert_eq!(followed.end(), Some(0), "{make:?} {streams:?}");
            assert_eq!(followed.seen, ["one", "two"], "{make:?} {streams:?}");
            let follows = |line: &&String| line.ends_with("?follow=1");
            assert_eq!(hub.seen().iter().filter(follows).count(), 1, "{make:?}");
        }
    }
}

#[test]
fn what_a_hub_does_not_give_is_followed_in_its_log() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_6_3);
    let log = sandbox.file(
        "hub/logs/hub.log",
        "[notes] old\nhub up\n[notes] first\n[vault] not this\n[notes] second\n",
    );
    let mut followed = Followed::of(&sandbox, "logs notes -f -n 2");
    followed.wait("second");
    let mut log = fs::File::options().append(true).open(log).unwrap();
    log.write_all(b"[notesy] nor this\n[notes] third\n")
        .unwrap();
    followed.wait("third");
    assert_eq!(followed.seen, ["first", "second", "third"]);
    drop(hub);
}

#[test]
fn other_makes_keep_a_modules_lines_in_the_hubs_log() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_5);
    sandbox.file(
        "hub/logs/hub.log",
        "hub up\n[vault] from the log\n[vaulted] not this\n[notes] nor this\n[vault] again\n",
    );
    // Never started in this life of the hub: it has no buffer of it.
    let ran = sandbox.say("logs vault").expect(0);
    assert_eq!(ran.out, "from the log\nagain\n");
    // Nothing anywhere: the hub's own word.
    let ran = sandbox.say("logs scribe").expect(1);
    assert!(
        ran.err
            .contains("has not been started since the hub came up"),
        "{}",
        ran.err
    );
    drop(hub);
    assert_eq!(
        sandbox.say("logs vault").expect(0).out,
        "from the log\nagain\n"
    );
}

#[test]
fn since_goes_by_the_times_in_the_hubs_log() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &["--say", "no time here"]);
    detached(&sandbox);
    until_true("the line", || {
        sandbox.say("logs web").out.contains("no time here")
    });
    let recent = sandbox.say("logs hub --since 10m").expect(0);
    assert!(
        recent.out.contains("spawned module=\"web\""),
        "{}",
        recent.out
    );
    assert_eq!(recent.err, "");
    let future = sandbox
        .say("logs hub --since 2999-01-01T00:00:00Z")
        .expect(0);
    assert!(!future.out.contains("spawned"), "{}", future.out);
    let timeless = sandbox.say("logs web --since 10m").expect(0);
    assert!(timeless.out.contains("no time here"), "{}", timeless.out);
    assert!(
        timeless
            .err
            .contains("warning: the lines of web carry no time"),
        "{}",
        timeless.err
    );
    sandbox.say("stop").expect(0);
}
