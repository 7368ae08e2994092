//! However things die: no orphan, no zombie, and the state is true within a second or so.

use super::{Hub, is_ready, kill, module, pid_of, registry, spawned, zombies};
use crate::sandbox::{EXE, Sandbox, alive, free_port, until, until_true};
use std::time::{Duration, Instant};

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// `HUB_KILLS` rounds, by default enough to meet every case.
#[test]
fn no_death_leaves_anything_behind() {
    let rounds: u32 = std::env::var("HUB_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(24);
    let seed = std::env::var("HUB_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0x005e_ed0f_0001);
    let mut dice = Dice(seed);
    let sandbox = Sandbox::new();
    registry(
        &sandbox,
        &[
            ("plain", free_port(), &module(&[])),
            (
                "wrapped",
                free_port(),
                &["/bin/sh", "-c", &format!("{EXE} __module & wait")],
            ),
            (
                "forker",
                free_port(),
                &[
                    "/bin/sh",
                    "-c",
                    &format!("sleep 1000 & {EXE} __module --ignore-term & exit 0"),
                ],
            ),
        ],
    );
    let shorts = ["plain", "wrapped", "forker"];
    let mut hub = Hub::serve(&sandbox);
    for round in 0..rounds {
        for short in shorts {
            hub.until_ready(short);
        }
        let all = spawned(&sandbox);
        let how = dice.roll(3);
        let context = format!("round {round}, seed {seed:#x}, case {how}");
        if how != 1 {
            let victim = all[usize::try_from(dice.roll(all.len() as u64)).unwrap()];
            kill("KILL", victim);
            let died = Instant::now();
            until_true(&context, || !alive(victim));
            if how == 0 {
                // No state says that the dead one runs.
                until_true(&context, || hub.states().iter().all(|s| s["pid"] != victim));
                assert!(died.elapsed() < Duration::from_secs(20), "{context}");
                until_true(&context, || zombies(hub.pid()).is_empty());
                for short in shorts {
                    let state = hub.until(short, "up", |s| is_ready(s) || s["status"] == "crashed");
                    if state["status"] == "crashed" {
                        assert!(is_ready(&hub.start(short)), "{context}");
                    } else {
                        assert!(alive(pid_of(&state)), "{context}");
                    }
                }
                continue;
            }
        }
        hub.signal("KILL");
        hub.wait();
        until_true(
            &format!("{context}: everything of a dead hub is gone"),
            || spawned(&sandbox).is_empty(),
        );
        drop(hub);
        hub = Hub::serve(&sandbox);
        assert!(!hub.sandbox.text("hub-instance.json").is_empty());
    }
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    assert!(spawned(&sandbox).is_empty());
}

/// Note 12, and the worst case of it: the guardian dies first, then the hub.
#[test]
fn the_guardian_is_kept_and_without_it_the_next_hub_reclaims() {
    let sandbox = Sandbox::new();
    registry(
        &sandbox,
        &[(
            "wrapped",
            free_port(),
            &["/bin/sh", "-c", &format!("{EXE} __module & wait")],
        )],
    );
    let mut hub = Hub::serve(&sandbox);
    hub.until_ready("wrapped");
    let guardian = |hub: &Hub| {
        crate::sandbox::pids().into_iter().find(|pid| {
            let text = |file| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let stat = String::from_utf8_lossy(&text("stat")).into_owned();
            let parent = stat
                .rsplit(") ")
                .next()
                .and_then(|r| r.split(' ').nth(1).map(str::to_owned));
            parent == Some(hub.pid().to_string()) && text("cmdline").ends_with(b"__guardian\0")
        })
    };
    let first = until("a guardian", || guardian(&hub));
    // It is deaf to what is meant for the hub.
    kill("TERM", first);
    kill("INT", first);
    kill("KILL", first);
    let second = until("another guardian", || {
        guardian(&hub).filter(|pid| *pid != first)
    });
    kill("STOP", second);
    hub.signal("KILL");
    hub.wait();
    kill("KILL", second);
    drop(hub);
    let left = spawned(&sandbox);
    let hub = Hub::serve(&sandbox);
    hub.until_ready("wrapped");
    until_true("what was left to be gone", || {
        left.iter().all(|pid| !alive(*pid))
    });
    assert_eq!(spawned(&sandbox).len(), 2);
}

/// Note 46: as the first process of a container, with nobody else to reap.
#[test]
fn as_the_first_process_it_reaps_and_zombies_are_not_alive() {
    crate::needs_root!();
    let sandbox = Sandbox::new();
    registry(
        &sandbox,
        &[(
            "forker",
            free_port(),
            &[
                "/bin/sh",
                "-c",
                &format!("(sleep 0.1; exit 3) & (sleep 0.1 & exit 0); exec {EXE} __module"),
            ],
        )],
    );
    let serve = super::command(&sandbox);
    let mut command = std::process::Command::new("/usr/bin/unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env_clear();
    for (name, value) in serve.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(sandbox.user_dir());
    command.stdout(std::fs::File::create(sandbox.user_dir().join("hub.out")).unwrap());
    command.stderr(std::fs::File::create(sandbox.user_dir().join("hub.err")).unwrap());
    let hub = Hub::of(&sandbox, &mut command);
    hub.until_ready("forker");
    let begun = Instant::now();
    assert_eq!(hub.stop("forker")["state"]["status"], "stopped");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "zombies were waited for"
    );
    let children = crate::sandbox::pids()
        .into_iter()
        .find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/status"))
                .unwrap_or_default()
                .contains(&format!("PPid:\t{}\n", hub.pid()))
        })
        .unwrap();
    until_true("everything to be reaped", || zombies(children).is_empty());
}

/// A detached module that a hub finds is taken over by name, and its record goes.
#[test]
fn what_ran_detached_is_named_and_its_record_goes() {
    let sandbox = Sandbox::new();
    sandbox.module("good", &[]);
    sandbox.say("start good").expect(0);
    let pid = sandbox.pid("good");
    let hub = Hub::serve(&sandbox);
    until_true("the detached one to be gone", || !alive(pid));
    assert_ne!(hub.until_ready("good"), pid);
    until_true("its record to be gone", || {
        !sandbox.at("good/run/good.pid").exists()
    });
    let said = hub.err();
    let line = said.lines().find(|line| line.contains("detached"));
    assert!(
        line.is_some_and(|line| line.contains("module=\"good\"")),
        "{said}"
    );
    assert!(!said.contains("earlier life of this hub"), "{said}");
}
