//! A Mac for one test: a folder for its user, a state folder for its launchd, a hub to run.

// Shared by the files beside it.
#![allow(unreachable_pub)]

use parachute::{
    home::Home,
    manager::{
        ServiceManager, Unit, UnitState,
        launchd::{Launchd, ctl::Ctl, domain::Place},
    },
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A hub that ends at SIGTERM, with 0.
pub const POLITE: &str = "trap 'exit 0' TERM; echo up; sleep 600 & wait";
/// A hub that takes a moment to end.
pub const SLOW: &str = "trap 'sleep 1; exit 0' TERM; echo up; sleep 600 & wait";
/// A hub that never comes up.
pub const BROKEN: &str = "echo the port is taken; exit 3";

/// The folder that goes on PATH.
pub fn fakes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes")
}

/// One Mac.
pub struct Mac {
    dir: tempfile::TempDir,
    settings: Value,
}

impl Mac {
    /// The newest system, somebody logged in at the screen, uid 501, an impatient launchd.
    pub fn new() -> Self {
        Self::with(json!({}))
    }

    /// With other settings of the stand-in.
    pub fn with(settings: Value) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("parachute-mac-")
            .tempdir()
            .unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::create_dir_all(dir.path().join("home")).unwrap();
        let mut mac = Self {
            dir,
            settings: json!({"uid": 501, "throttle": 0.3}),
        };
        mac.set(settings);
        mac.hub(POLITE);
        mac
    }

    /// Changes settings of the stand-in.
    pub fn set(&mut self, settings: Value) {
        let have = self.settings.as_object_mut().unwrap();
        have.extend(settings.as_object().unwrap().clone());
        let (path, temp) = (
            self.state().join("settings.json"),
            self.state().join("settings.new"),
        );
        fs::write(&temp, self.settings.to_string()).unwrap();
        fs::rename(temp, path).unwrap();
    }

    /// The next `times` calls of a verb are answered so.
    pub fn fault(&mut self, verb: &str, times: u32, exit: i32, out: &str, err: &str) {
        self.set(json!({"faults": [{"verb": verb, "times": times, "exit": exit, "out": out, "err": err}]}));
    }

    /// The folder with everything in it.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The state folder of the stand-in.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The user's folder.
    pub fn user_dir(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The hub's program.
    pub fn binary(&self) -> PathBuf {
        self.dir.path().join("parachute")
    }

    /// Puts another hub in its place, by rename.
    pub fn hub(&self, lines: &str) {
        let temp = self.dir.path().join("parachute.new");
        fs::write(&temp, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&temp, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(temp, self.binary()).unwrap();
    }

    pub fn home(&self) -> Home {
        Home::new(self.user_dir().join(".parachute"))
    }

    pub fn unit(&self) -> Unit {
        Unit {
            binary: self.binary(),
            home: self.home(),
            port: 2039,
            bind: [127, 0, 0, 1].into(),
            path: "/usr/bin:/bin".into(),
            user: None,
        }
    }

    pub fn place(&self) -> Place {
        Place::user(501, &self.user_dir())
    }

    /// The manager, as the library makes it.
    pub fn launchd(&self) -> Launchd {
        self.launchd_at(self.place())
    }

    pub fn launchd_at(&self, place: Place) -> Launchd {
        let env = vec![
            ("FAKE_LAUNCHD_STATE".into(), self.state().into()),
            (
                "FAKE_LAUNCHD_OWNER".into(),
                std::process::id().to_string().into(),
            ),
            ("PATH".into(), path().into()),
        ];
        let mut launchd = Launchd::new(place, Ctl::new(path().as_ref(), env), self.binary(), 501);
        // A loaded machine starts a python now and then late.
        launchd.patience.look = Duration::from_secs(30);
        launchd.patience.call = Duration::from_secs(30);
        launchd.patience.start = Duration::from_secs(30);
        launchd.patience.drain = Duration::from_secs(30);
        launchd
    }

    /// With the unit installed.
    pub async fn installed(&self) -> Launchd {
        let launchd = self.launchd();
        let plan = launchd.plan_install(&self.unit()).await.unwrap();
        launchd.apply(&plan).await.unwrap();
        launchd
    }

    /// launchctl, by hand: exit code, stdout, stderr.
    pub fn launchctl(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(fakes().join("launchctl"))
            .args(args)
            .env("FAKE_LAUNCHD_STATE", self.state())
            .env("FAKE_LAUNCHD_OWNER", std::process::id().to_string())
            .env("PATH", path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The calls that change something, in order, with their exit codes: `kickstart gui/501/… 0`.
    pub fn deeds(&self) -> Vec<String> {
        let log = fs::read_to_string(self.state().join("calls.log")).unwrap_or_default();
        let calls = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let shown = calls.map(|call| {
            let words: Vec<&str> = call["argv"]
                .as_array()
                .unwrap()
                .iter()
                .map(|w| w.as_str().unwrap())
                .collect();
            let line = words
                .join(" ")
                .replace(self.place().plist().to_str().unwrap(), "PLIST")
                .replace("/computer.parachute.hub", "");
            format!("{line} {}", call["exit"])
        });
        shown
            .filter(|line| !line.starts_with("print") && !line.starts_with("list"))
            .collect()
    }

    /// Forgets the calls so far.
    pub fn forget(&self) {
        fs::remove_file(self.state().join("calls.log")).ok();
    }
}

impl Drop for Mac {
    fn drop(&mut self) {
        Command::new(fakes().join("launchctl"))
            .arg("--shutdown")
            .env("FAKE_LAUNCHD_STATE", self.state())
            .env("PATH", path())
            .status()
            .ok();
    }
}

/// The system's own python before others: a shim of a version manager takes ten times as long.
pub fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{}:/usr/bin:/bin:{own}", fakes().display())
}

/// Runs a test's future.
pub fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

pub async fn state(launchd: &Launchd) -> UnitState {
    launchd.look().await.unwrap().state
}

/// The pid of the running hub.
pub async fn pid(launchd: &Launchd) -> u32 {
    match state(launchd).await {
        UnitState::Running { pid, .. } => pid,
        other => panic!("{other:?}"),
    }
}

/// Asks until the state is one that is waited for.
pub async fn until(launchd: &Launchd, what: &str, met: impl Fn(&UnitState) -> bool) -> UnitState {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = state(launchd).await;
        if met(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "never {what}: {now:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn alive(pid: u32) -> bool {
    parachute::os::process::look(pid)
        .is_ok_and(|process| process.is_some_and(|process| !process.zombie))
}
