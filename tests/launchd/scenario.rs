//! The contract's scenario on a Mac that is none: the program that ships, its real hub and real
//! modules, kept by the stand-in; installed by `init`, driven by the verbs.

use super::mac::{Mac, alive, fakes};
use crate::sandbox::{EXE, Ran, free_port};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A Mac with a person at it who is not root, `parachute` installed for them.
struct Person {
    mac: Mac,
    uid: u32,
    port: u16,
    alpha: u16,
    beta: u16,
}

impl Person {
    fn new(gui: bool) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let uid = if own == 0 { 501 } else { own };
        let mac = Mac::with(json!({"gui": gui, "uid": uid, "throttle": 1}));
        let person = Self {
            port: free_port(),
            alpha: free_port(),
            beta: free_port(),
            uid,
            mac,
        };
        fs::create_dir(person.bin()).unwrap();
        person.upgrade();
        fs::copy(fakes().join("launchctl"), person.bin().join("launchctl")).unwrap();
        if own == 0 {
            give(person.mac.root(), uid);
        }
        person
    }

    fn bin(&self) -> PathBuf {
        self.mac.root().join("bin")
    }

    /// The program, put into place by rename: another file of the same content and its own end.
    fn upgrade(&self) {
        let temp = self.bin().join("new");
        fs::copy(EXE, &temp).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&temp).unwrap();
        let stamp = format!("{:?}", Instant::now());
        std::io::Write::write_all(&mut file, stamp.as_bytes()).unwrap();
        fs::rename(temp, self.bin().join("parachute")).unwrap();
    }

    fn run(&self, line: &str) -> Ran {
        let mut command = Command::new(self.bin().join("parachute"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin().display()))
            .env("HOME", self.mac.user_dir())
            .env("PARACHUTE_MANAGER", "launchd")
            .env("FAKE_LAUNCHD_STATE", self.mac.state())
            .env("FAKE_LAUNCHD_OWNER", std::process::id().to_string())
            .current_dir(self.mac.user_dir())
            .stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(self.uid).gid(self.uid);
        }
        command.output().unwrap().into()
    }

    #[track_caller]
    fn ok(&self, line: &str) -> Ran {
        self.run(line).expect(0)
    }

    /// Done, or begun and not there in time: a loaded machine is slower than people's patience.
    #[track_caller]
    fn goes(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert!([0, 6].contains(&ran.code), "{ran:?}");
        ran
    }

    fn add(&self, name: &str, port: u16, habits: &str) {
        let exe = self.bin().join("parachute");
        self.ok(&format!(
            "add {name} --force --port {port} -- {} __module {habits}",
            exe.display()
        ));
    }

    fn status(&self) -> Value {
        self.run("status --json").json()
    }

    #[track_caller]
    fn row(&self, name: &str) -> Value {
        let status = self.status();
        if name == "hub" {
            return status["hub"].clone();
        }
        let rows = status["modules"].as_array().unwrap();
        rows.iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {status}"))
            .clone()
    }

    fn pid(&self, name: &str) -> u32 {
        self.row(name)["pid"]
            .as_u64()
            .and_then(|pid| pid.try_into().ok())
            .unwrap_or(0)
    }

    /// The hub and both modules are active, once this or that has come back.
    #[track_caller]
    fn comes_up(&self) {
        let until = Instant::now() + super::mac::PATIENCE;
        loop {
            let status = self.status();
            let active = |row: &Value| row["state"] == "active";
            let modules = status["modules"].as_array().unwrap();
            if active(&status["hub"]) && modules.len() == 2 && modules.iter().all(active) {
                assert_eq!(
                    (&status["way"], &status["manager"]),
                    (&json!("managed"), &json!("launchd"))
                );
                return;
            }
            assert!(Instant::now() < until, "never up: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Person {
    /// Ends modules that outlived a hub of theirs; the Mac's own end follows.
    fn drop(&mut self) {
        self.run("stop");
    }
}

fn give(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            give(&path, uid);
        } else {
            chown(&path, Some(uid), Some(uid)).unwrap();
        }
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_token_of_a_hub_that_a_unit_of_other_make_keeps_is_left_alone() {
    let p = Person::new(true);
    p.add("alpha", p.alpha, "");
    let other = format!(
        "<plist version=\"1.0\"><dict><key>Label</key><string>computer.parachute.hub</string>\
         <key>ProgramArguments</key><array><string>/opt/bun</string><string>/opt/hub.ts</string></array>\
         <key>EnvironmentVariables</key><dict><key>PORT</key><string>{}</string></dict></dict></plist>",
        p.port
    );
    fs::create_dir_all(p.mac.place().folder()).unwrap();
    fs::write(p.mac.place().plist(), other).unwrap();
    let home = p.mac.home();
    let (token, home) = (home.at("operator.token"), home.root().display());
    let theirs =
        crate::fakes::hub::jwt(&json!({"iss": "https://a.example", "exp": 4_000_000_000_u64}));
    fs::write(&token, &theirs).unwrap();
    give(p.mac.root(), p.uid);
    for verb in ["rotate-operator", "rotate-key"] {
        let ran = p.run(&format!("--home {home} auth {verb}")).expect(1);
        assert!(ran.err.contains("computer.parachute.hub.plist"), "{ran:?}");
        assert_eq!(fs::read_to_string(&token).unwrap(), theirs);
    }
    let ran = p.ok(&format!("--home {home} auth status"));
    assert!(
        ran.out.contains("a token of the hub of this box"),
        "{ran:?}"
    );
}

/// What every way to keep a hub must do.
fn the_contract(gui: bool) {
    let p = Person::new(gui);
    p.add("alpha", p.alpha, "");
    p.add("beta", p.beta, "");
    let told = p.goes(&format!("init --force --port {}", p.port));
    assert!(
        told.code == 6 || told.out.contains("hub started"),
        "{told:?}"
    );
    p.comes_up();
    let hub = p.row("hub");
    assert_eq!(hub["unit"]["scope"], "user");
    assert_eq!(hub["unit"]["enabled"], true);
    assert_eq!(hub["port"], p.port);
    let domain = if gui { "gui" } else { "user" };
    let target = format!("{domain}/{}/computer.parachute.hub", p.uid);
    assert_eq!(
        p.mac.launchctl(&["print", &target]).0,
        0,
        "loaded in {domain}"
    );

    // Up already: nothing is started twice, nothing is installed twice.
    assert!(p.ok("start").out.contains("already running"));
    assert!(
        p.ok(&format!("init --force --port {}", p.port))
            .out
            .contains("nothing to do")
    );
    assert_eq!(p.row("hub")["pid"], hub["pid"]);

    // One module.
    let before = p.pid("alpha");
    p.ok("stop alpha");
    assert_eq!(p.row("alpha")["state"], "inactive");
    assert!(!alive(before));
    p.goes("start alpha");
    p.comes_up();
    let before = p.pid("beta");
    p.goes("restart beta");
    p.comes_up();
    assert!(!alive(before) && p.pid("beta") != before);

    // The hub: back once the verb returns, its modules with it.
    p.ok("restart hub --timeout 60");
    assert_ne!(p.row("hub")["pid"], hub["pid"]);
    p.comes_up();

    // A module dies, then the hub: each comes back.
    kill(p.pid("alpha"));
    p.comes_up();
    let before = p.pid("hub");
    kill(before);
    p.comes_up();
    assert_ne!(p.pid("hub"), before);

    // A new program: pinned by launchd, so loaded anew.
    let before = p.pid("hub");
    p.upgrade();
    p.ok("restart --timeout 60");
    p.comes_up();
    assert_ne!(p.pid("hub"), before);

    // Down, and what that means for one of its modules.
    let (hub, alpha) = (p.pid("hub"), p.pid("alpha"));
    p.ok("stop");
    assert!(!alive(hub) && !alive(alpha));
    let status = p.ok("status --json").json();
    assert_eq!(status["hub"]["state"], "inactive", "{status}");
    assert_eq!(status["modules"][0]["state"], "inactive", "{status}");
    assert!(p.ok("stop alpha").out.contains("already stopped"));
    assert_eq!(p.row("hub")["state"], "inactive", "asking starts nothing");
    p.ok("start --timeout 60");
    p.comes_up();
    let logs = p.ok("logs hub -n 200");
    assert!(logs.out.contains("listening on"), "{logs:?}");

    let (hub, alpha) = (p.pid("hub"), p.pid("alpha"));
    p.ok("uninstall-unit");
    assert!(!alive(hub) && !alive(alpha));
    assert_eq!(p.mac.launchctl(&["print", &target]).0, 113);
    assert!(!p.mac.place().plist().exists());
}

#[test]
fn a_user_at_the_screen() {
    the_contract(true);
}

#[test]
fn a_user_over_ssh() {
    the_contract(false);
}

#[test]
fn a_hub_that_cannot_boot_is_failing_with_its_reason() {
    let p = Person::new(true);
    p.add("alpha", p.alpha, "");
    p.ok(&format!("init --force --no-start --port {}", p.port));
    let squatter = std::net::TcpListener::bind(("127.0.0.1", p.port)).unwrap();
    let failed = p.run("start");
    assert_ne!(failed.code, 0, "{failed:?}");
    let until = Instant::now() + super::mac::PATIENCE;
    loop {
        let status = p.status();
        let hub = &status["hub"];
        if hub["state"] == "failing" && hub["notes"].to_string().contains("exit") {
            break;
        }
        assert!(Instant::now() < until, "never failing: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(squatter);
    p.ok("start --timeout 60");
    assert_eq!(p.row("hub")["state"], "active");
}
