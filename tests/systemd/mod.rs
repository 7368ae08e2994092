//! A real systemd to test against: each [`Box`] boots one in namespaces of its own, over a throwaway
//! overlay of this machine's root, in about half a second. Boxes run in parallel, share nothing and
//! leave nothing behind: they end with their value, and with this process however it ends. Needs
//! root, util-linux, iproute2, systemd and dbus; where it cannot run, tests say so and pass.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout
)]

mod driver;
mod faults;
mod init;
mod manager;
mod scenario;
mod speed;
mod unit;
mod watch;
mod whose;

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

const KEEPER: &str = include_str!("keeper.sh");
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The user of [`Box::user`].
pub const USER: &str = "alex";
/// Their uid.
pub const UID: u32 = 4242;

/// One running systemd. The program under test is its `/usr/local/bin/parachute`.
pub struct Box {
    keeper: Child,
    verbs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pid: u32,
}

/// What a command in a box did.
#[derive(Debug)]
pub struct Done {
    /// Exit code; 124 when it did not end within a minute.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Standard output of a command that must have worked.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            code: (output.status.code()).unwrap_or(128 + output.status.signal().unwrap_or(0)),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Box {
    /// Boots a box; `None`, said on standard output, where that cannot be done.
    pub fn start() -> Option<Self> {
        Self::with(env!("CARGO_BIN_EXE_parachute").as_ref())
    }

    /// The same with another build of the program.
    pub fn with(exe: &Path) -> Option<Self> {
        static WHY_NOT: OnceLock<Option<String>> = OnceLock::new();
        if let Some(reason) = WHY_NOT.get_or_init(why_not) {
            println!("skipped: {reason}");
            return None;
        }
        let mut keeper = Command::new("unshare")
            .args(["--mount", "bash", "-c", KEEPER, "keeper"])
            .arg(exe)
            .arg(std::env::current_exe().unwrap())
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let answers = BufReader::new(keeper.stdout.take().unwrap());
        let verbs = keeper.stdin.take();
        let mut started = Self {
            keeper,
            verbs,
            answers,
            pid: 0,
        };
        started.reboot();
        Some(started)
    }

    /// A power cut, and a boot from the same root with another boot id. For an orderly end, exec
    /// `systemctl poweroff` before.
    pub fn reboot(&mut self) {
        self.verbs.as_mut().unwrap().write_all(b"boot\n").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        match answer.trim().split_once(' ') {
            Some(("up", pid)) => self.pid = pid.parse().unwrap(),
            _ => panic!("the box did not boot: {answer}"),
        }
    }

    /// A command to be run as root in the box, in an environment without anything of ours.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_within(60, program)
    }

    /// The same, ended after this many seconds.
    pub fn command_within(&self, seconds: u32, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string(), "-a", "-r", "-w"])
            .args(["timeout", &seconds.to_string()])
            .arg(program)
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8")])
            .envs([("HOME", "/root"), ("USER", "root")])
            .stdin(Stdio::null());
        command
    }

    /// The same as [`USER`]; `session` sets `XDG_RUNTIME_DIR`, as a login does and cron does not.
    pub fn command_as_user(&self, session: bool, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("setpriv");
        command
            .arg(format!("--reuid={UID}"))
            .arg(format!("--regid={UID}"))
            .arg("--init-groups")
            .arg(program)
            .envs([("HOME", &*format!("/home/{USER}")), ("USER", USER)]);
        if session {
            command.env("XDG_RUNTIME_DIR", format!("/run/user/{UID}"));
        }
        command
    }

    /// Runs it as root.
    pub fn exec<A: AsRef<OsStr>>(&self, argv: &[A]) -> Done {
        let mut command = self.command(&argv[0]);
        command.args(&argv[1..]).output().unwrap().into()
    }

    /// Runs it as [`USER`], in a session.
    pub fn as_user<A: AsRef<OsStr>>(&self, argv: &[A]) -> Done {
        let mut command = self.command_as_user(true, &argv[0]);
        command.args(&argv[1..]).output().unwrap().into()
    }

    /// Runs a script that must work, as root; its output.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.exec(&["bash", "-euc", script]).ok()
    }

    /// Makes [`USER`]; with `lingering`, its manager runs once this returns, and after a reboot.
    pub fn user(&self, lingering: bool) {
        self.sh(&format!(
            "id {USER} >/dev/null 2>&1 || useradd -m -u {UID} {USER}"
        ));
        if lingering {
            self.sh(&format!("loginctl enable-linger {USER}"));
            self.wait_for(&format!("test -S /run/user/{UID}/bus"));
        }
    }

    /// Puts a file into the box.
    pub fn write(&self, path: &str, text: &str) {
        let mut child = self
            .command("sh")
            .args([
                "-c",
                "mkdir -p \"$(dirname \"$1\")\" && cat >\"$1\"",
                "write",
                path,
            ])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "cannot write {path}");
    }

    /// Stops the box's PID 1 for good: only from outside can it be.
    pub fn stop_pid_1(&self) {
        let kill = Command::new("kill")
            .args(["-STOP", &self.pid.to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits until a script, run as root, succeeds; fails the test after a minute.
    #[track_caller]
    pub fn wait_for(&self, script: &str) {
        let by = Instant::now() + Duration::from_secs(60);
        loop {
            let done = self.exec(&["sh", "-c", script]);
            if done.code == 0 {
                return;
            }
            assert!(Instant::now() < by, "never: {script}: {done:?}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        drop(self.verbs.take());
        let _ = self.keeper.wait();
    }
}

/// Why boxes cannot run here.
fn why_not() -> Option<String> {
    let uid = Command::new("id").arg("-u").output().ok()?.stdout;
    if uid.trim_ascii() != b"0" {
        return Some("needs root".into());
    }
    for tool in ["unshare", "nsenter", "ip", "setpriv", "dbus-daemon"] {
        let there = PATH
            .split(':')
            .any(|dir| Path::new(dir).join(tool).exists());
        if !there {
            return Some(format!("needs {tool}"));
        }
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return Some("needs systemd".into());
    }
    let namespaces = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "true"])
        .stderr(Stdio::null())
        .status();
    match namespaces {
        Ok(status) if status.success() => None,
        _ => Some("needs root with namespaces".into()),
    }
}

#[test]
fn a_box_boots_reboots_on_the_same_root_and_leaves_nothing() {
    let Some(mut a) = Box::start() else { return };
    let b = Box::start().unwrap();
    a.user(true);
    a.write("/etc/kept", "kept");
    let boot = a.sh("cat /proc/sys/kernel/random/boot_id");
    assert_eq!(
        a.as_user(&["systemctl", "--user", "is-system-running"])
            .ok(),
        "running\n"
    );
    assert_eq!(b.exec(&["cat", "/etc/kept"]).code, 1);
    assert!(!Path::new("/etc/kept").exists());
    a.reboot();
    assert_eq!(a.sh("cat /etc/kept"), "kept");
    assert_ne!(a.sh("cat /proc/sys/kernel/random/boot_id"), boot);
    a.wait_for(&format!("test -S /run/user/{UID}/bus"));
    let (pid, keeper) = (a.pid, a.keeper.id());
    drop(a);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!Path::new(&format!("/proc/{keeper}")).exists());
    assert_eq!(b.sh("systemctl is-active dbus.socket"), "active\n");
}
