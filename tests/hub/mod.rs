//! `parachute serve`: the real program on a free port, spoken to over real sockets.

mod bad_input;
mod death;
mod inherited;
mod lines;
mod many;
mod presence;
mod reloads;
mod routes;
mod strays;
mod supervision;
mod tokens;
mod wire;

use crate::sandbox::{Guarded, Sandbox, alive, free_port, pids, until};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
pub use wire::{Answer, ask, ask_raw};

/// A hub that serves a sandbox; killed, guardian and all, at the end of the test.
pub struct Hub<'a> {
    pub sandbox: &'a Sandbox,
    pub port: u16,
    pub child: Guarded,
}

/// A hub's command in a sandbox, on any free port, its streams in files.
pub fn command(sandbox: &Sandbox) -> Command {
    fs::create_dir_all(sandbox.user_dir()).unwrap();
    let mut command = sandbox.command(["serve"]);
    command
        .env("PORT", "0")
        .env("PARACHUTE_HOME", sandbox.home())
        .stdout(File::create(out(sandbox)).unwrap())
        .stderr(
            File::options()
                .append(true)
                .create(true)
                .open(err(sandbox))
                .unwrap(),
        );
    command
}

fn out(sandbox: &Sandbox) -> PathBuf {
    sandbox.user_dir().join("hub.out")
}

fn err(sandbox: &Sandbox) -> PathBuf {
    sandbox.user_dir().join("hub.err")
}

impl<'a> Hub<'a> {
    /// Starts one and waits until it listens.
    pub fn serve(sandbox: &'a Sandbox) -> Self {
        Self::of(sandbox, &mut command(sandbox))
    }

    /// The same with a command of the test's making.
    pub fn of(sandbox: &'a Sandbox, command: &mut Command) -> Self {
        let child = Guarded(command.spawn().unwrap());
        let port = until("the hub to listen", || {
            let text = fs::read_to_string(out(sandbox)).unwrap_or_default();
            let line = text
                .lines()
                .find(|line| line.starts_with("[hub] listening"))?;
            line.rsplit_once(':')?.1.parse().ok()
        });
        Self {
            sandbox,
            port,
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What the hub wrote on stdout: its modules' lines.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(out(self.sandbox)).unwrap_or_default()).into_owned()
    }

    /// What the hub wrote on stderr: its own lines.
    pub fn err(&self) -> String {
        fs::read_to_string(err(self.sandbox)).unwrap_or_default()
    }

    pub fn token(&self) -> String {
        let token = until("the operator's token", || {
            fs::read_to_string(self.sandbox.at("operator.token")).ok()
        });
        token.trim().to_owned()
    }

    /// A request with the operator's token.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        let token = format!("Bearer {}", self.token());
        ask(self.port, method, path, &[("Authorization", &token)])
    }

    pub fn post(&self, path: &str) -> Answer {
        self.ask("POST", path)
    }

    pub fn start(&self, short: &str) -> Value {
        self.post(&format!("/api/modules/{short}/start"))
            .expect(200)["state"]
            .clone()
    }

    pub fn stop(&self, short: &str) -> Value {
        self.post(&format!("/api/modules/{short}/stop")).expect(200)
    }

    pub fn restart(&self, short: &str) -> Value {
        self.post(&format!("/api/modules/{short}/restart"))
            .expect(200)["state"]
            .clone()
    }

    /// All states by short name.
    pub fn states(&self) -> Vec<Value> {
        let list = self.ask("GET", "/api/modules").expect(200);
        list["supervised"].as_array().unwrap().clone()
    }

    /// One module's state, when it is supervised.
    pub fn state(&self, short: &str) -> Option<Value> {
        self.states()
            .into_iter()
            .find(|state| state["short"] == short)
    }

    /// Waits until a module's state is what is wanted.
    #[track_caller]
    pub fn until(&self, short: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = Instant::now() + crate::sandbox::PATIENCE;
        loop {
            if let Some(state) = self.state(short) {
                if wanted(&state) {
                    return state;
                }
                last = state;
            }
            assert!(
                Instant::now() < deadline,
                "{short} was never {what}; last {last}\n{}\n{}",
                self.out(),
                self.err()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until a module is ready; gives its pid.
    #[track_caller]
    pub fn until_ready(&self, short: &str) -> u32 {
        let state = self.until(short, "ready", is_ready);
        pid_of(&state)
    }

    pub fn logs(&self, short: &str) -> String {
        let logs = self
            .ask("GET", &format!("/api/modules/{short}/logs"))
            .expect(200);
        logs["text"].as_str().unwrap().to_owned()
    }

    /// Sends the hub itself a signal.
    pub fn signal(&self, name: &str) {
        kill(name, self.pid());
    }

    /// Waits for the hub's own end; gives its exit code, 128+n for a signal.
    pub fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        until("the hub to end", || {
            let status = self.child.0.try_wait().unwrap()?;
            status.code().or(status.signal().map(|n| 128 + n))
        })
    }
}

pub fn is_ready(state: &Value) -> bool {
    state["status"] == "running" && state["startError"].is_null() && state["pid"].is_u64()
}

pub fn pid_of(state: &Value) -> u32 {
    state["pid"].as_u64().unwrap().try_into().unwrap()
}

pub fn kill(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .output()
        .unwrap();
    assert!(sent.status.success() || !alive(pid), "cannot signal {pid}");
}

/// Everything that was spawned for a home and still lives.
pub fn spawned(sandbox: &Sandbox) -> Vec<u32> {
    let home = format!("PARACHUTE_HOME={}", sandbox.home().display());
    pids()
        .into_iter()
        .filter(|&pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = |mark: &[u8]| environ.split(|&b| b == 0).any(|v| v.starts_with(mark));
            has(home.as_bytes()) && has(b"PARACHUTE_SPAWN_ID=") && alive(pid)
        })
        .collect()
}

/// Children of a process that have ended and were not reaped.
pub fn zombies(parent: u32) -> Vec<u32> {
    pids()
        .into_iter()
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let rest = stat.rsplit(") ").next().unwrap_or_default();
            let mut words = rest.split(' ');
            words.next() == Some("Z") && words.next() == Some(&parent.to_string())
        })
        .collect()
}

/// A row of services.json.
pub fn row(name: &str, port: u16, dir: &str) -> Value {
    serde_json::json!({"name": name, "port": port, "paths": [], "health": "/health",
        "version": "1.0.0", "installDir": dir})
}

/// Writes a registry of modules that each have a folder of their own and run this command.
pub fn registry(sandbox: &Sandbox, modules: &[(&str, u16, &[&str])]) {
    let rows: Vec<Value> = modules
        .iter()
        .map(|(name, port, command)| {
            let dir = sandbox.user_dir().join("installed").join(name);
            fs::create_dir_all(dir.join(".parachute")).unwrap();
            let manifest = serde_json::json!({"name": name, "manifestName": name, "port": port,
                "paths": [], "health": "/health", "startCmd": command});
            fs::write(dir.join(".parachute/module.json"), manifest.to_string()).unwrap();
            row(name, *port, dir.to_str().unwrap())
        })
        .collect();
    sandbox.registry(serde_json::json!({ "services": rows }).to_string());
}

/// A registry with one module; gives its port.
pub fn one(sandbox: &Sandbox, name: &str, command: &[&str]) -> u16 {
    let port = free_port();
    registry(sandbox, &[(name, port, command)]);
    port
}

/// This program's own module with these habits, as a command.
pub fn module<'a>(habits: &[&'a str]) -> Vec<&'a str> {
    let mut command = vec![crate::sandbox::EXE, "__module"];
    command.extend(habits);
    command
}
