//! The library's own systemd room, driven inside a box: the test binary is run there once more and
//! told what to do. For what no verb shows by itself.

use super::Box;
use parachute::{
    error::Error,
    manager::{
        Scope, ServiceManager, Tail,
        systemd::{Caller, Systemd, look_for_user, stale_units},
    },
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ACT: &str = "PARACHUTE_TEST_ACT";

/// Who drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    Root,
    User,
    /// The user, without `XDG_RUNTIME_DIR`.
    Cron,
}

impl Box {
    /// `look|start|stop|restart|logs|find system|user`, …: what it gave, or its error.
    #[track_caller]
    pub fn drive(&self, who: As, act: &str) -> Result<Value, Value> {
        let it = "/usr/local/bin/it";
        let mut command = match who {
            As::Root => self.command(it),
            As::User => self.command_as_user(true, it),
            As::Cron => self.command_as_user(false, it),
        };
        command.args(["systemd::driver::act", "--exact", "--nocapture"]);
        let output = command.env(ACT, act).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix(">>> "));
        let line = line.unwrap_or_else(|| panic!("no answer: {output:?}"));
        let answer: Value = serde_json::from_str(line).unwrap();
        match answer.get("ok") {
            Some(value) => Ok(value.clone()),
            None => Err(answer["error"].clone()),
        }
    }
}

fn answer<T: serde::Serialize>(result: Result<T, Error>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": {
            "code": error.code.as_str(), "message": error.message, "hint": error.hint,
            "log": error.log,
        }}),
    }
}

/// Does nothing unless a box runs it.
#[test]
fn act() {
    let Ok(act) = std::env::var(ACT) else { return };
    let env = |name: &str| std::env::var_os(name).map(Into::into);
    let caller = Caller {
        uid: parachute::os::identity::euid(),
        runtime_dir: env("XDG_RUNTIME_DIR"),
        user_dir: env("HOME"),
        command: "parachute start".into(),
        ..Caller::default()
    };
    let (verb, scope) = act.split_once(' ').unwrap();
    let manager = match scope {
        "system" => Systemd::new(Scope::System, &caller),
        _ => Systemd::new(Scope::User, &caller),
    };
    let tail = Tail {
        lines: 10,
        since: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        match verb {
            "look" => answer(manager.look().await),
            "find" => {
                let found = Systemd::find(manager.scope(), &caller).await;
                answer(found.map(|found| found.map(|(_, unit)| unit)))
            }
            "start" => answer(manager.start().await),
            "stop" => answer(manager.stop().await),
            "restart" => answer(manager.restart().await),
            "logs" => answer(manager.logs(&tail).await),
            "stale" => {
                let units = stale_units(&caller, &["vault", "notes", "hub"]).await;
                let told = units.iter().map(|u| {
                    json!({"name": u.name, "scope": u.scope, "running": u.running,
                           "enabled": u.enabled, "command": u.command})
                });
                answer(Ok(told.collect::<Vec<_>>()))
            }
            "for-user" => {
                let user = parachute::os::identity::user(super::UID).unwrap();
                let exe = "/usr/local/bin/parachute".as_ref();
                answer(look_for_user(&user, exe).await)
            }
            "change" => {
                let mut changes = manager.changes().await.unwrap().unwrap();
                std::fs::write("/run/watching", "").unwrap();
                answer(Ok(changes.next().await))
            }
            // As a person at a terminal.
            "ask-start" => {
                let caller = Caller {
                    terminal: true,
                    ..caller
                };
                answer(Systemd::new(Scope::System, &caller).start().await)
            }
            // Not of the room: what shell has no word for.
            "squat" => {
                let port: u16 = scope.parse().unwrap();
                let _listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
                std::thread::sleep(Duration::from_secs(600));
                answer(Ok(()))
            }
            // Microseconds that a command takes, of fifty runs, sorted.
            "clock" => {
                let mut took = Vec::new();
                for _ in 0..50 {
                    let mut command = std::process::Command::new("sh");
                    command.args(["-c", &format!("exec {scope}")]);
                    let since = Instant::now();
                    let output = command.output().unwrap();
                    took.push(since.elapsed().as_micros());
                    assert!(output.status.success(), "{output:?}");
                }
                took.sort();
                answer(Ok(took))
            }
            "oom-mark" => {
                for name in ["user.oomd_ooms", "user.oomd_kill"] {
                    let flags = rustix::fs::XattrFlags::empty();
                    rustix::fs::setxattr(scope, name, b"1", flags).unwrap();
                }
                answer(Ok(()))
            }
            // How long a connection and a look take, in microseconds, each time anew.
            "time" => {
                let mut took = Vec::new();
                for _ in 0..50 {
                    let since = Instant::now();
                    Systemd::find(manager.scope(), &caller).await.unwrap();
                    took.push(since.elapsed());
                }
                took.sort();
                answer(Ok(took.iter().map(Duration::as_micros).collect::<Vec<_>>()))
            }
            other => panic!("no act {other}"),
        }
    });
    println!("\n>>> {answer}");
}
