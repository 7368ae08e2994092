//! The packages on real systemds with the real dpkg, apt and rpm: what a machine is like after each
//! step. The packages are put together from what `packaging/` and Cargo.toml say, around the program
//! under test. Needs what boxes need, and dpkg; else tests say so and pass.
#![allow(clippy::print_stdout)]

mod files;
mod formula;
mod pid1;
mod rpm;
mod script;
mod trouble;

use crate::systemd::{Box, Done, UID, USER};
use serde_json::Value;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const REPO: &str = env!("CARGO_MANIFEST_DIR");
const OURS: &str = "/usr/bin/parachute";
const HOME: &str = "/var/lib/parachute";
const LINK: &str = "/etc/systemd/system/multi-user.target.wants/parachute-hub.service";

fn has(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists())
}

/// Puts a package together on this machine.
fn assemble(kind: &str, version: &str, to: &Path) -> PathBuf {
    let output = Command::new("/usr/bin/python3")
        .arg(format!("{REPO}/tests/packages/assemble"))
        .args([kind, env!("CARGO_BIN_EXE_parachute"), version])
        .arg(to)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

impl Box {
    /// A box in which nothing but a package brings the program; the packages lie in `/opt/p`.
    fn bare() -> Option<Self> {
        if !has("dpkg-deb") || !has("deb-systemd-helper") || !has("python3") {
            println!("skipped: needs dpkg, init-system-helpers and python3");
            return None;
        }
        let b = Self::start()?;
        b.sh(
            "cp /usr/local/bin/parachute /opt/legacy; umount /usr/local/bin/parachute
              rm -f /usr/sbin/policy-rc.d /var/lib/man-db/auto-update; mkdir -p /opt/p
              echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/box",
        );
        Some(b)
    }

    fn put(&self, file: &Path, at: &str) {
        let mut command = self.command("sh");
        command.args(["-c", "cat >\"$1\"", "put", at]);
        command.stdin(Stdio::from(File::open(file).unwrap()));
        assert!(command.status().unwrap().success());
    }

    fn with_debs(versions: &[&str]) -> Option<Self> {
        let b = Self::bare()?;
        let dir = tempfile::tempdir().unwrap();
        for version in versions {
            let deb = assemble("deb", version, dir.path());
            b.put(&deb, &format!("/opt/p/parachute_{version}.deb"));
        }
        let built = Command::new(format!("{REPO}/packaging/examples/clock/build"))
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
        b.put(
            &dir.path().join("parachute-clock_1.0.0_all.deb"),
            "/opt/p/clock.deb",
        );
        Some(b)
    }

    /// Installs it; the transaction must succeed.
    #[track_caller]
    fn dpkg(&self, args: &[&str]) -> Done {
        let mut command = self.command("dpkg");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        Done::from(command.output().unwrap()).exits(0)
    }

    fn deb(&self, version: &str) -> Done {
        self.dpkg(&["-i", &format!("/opt/p/parachute_{version}.deb")])
    }

    fn is(&self, word: &str) -> String {
        let verb = format!("is-{word}");
        self.exec(&["systemctl", &verb, "parachute-hub"])
            .out
            .trim()
            .to_owned()
    }

    fn told(&self) -> Value {
        let done = self.exec(&[OURS, "status", "--json"]);
        serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {done:?}"))
    }

    fn version(&self) -> String {
        let ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:1939/health', timeout=20).read().decode())";
        let answer: Value =
            serde_json::from_str(&self.sh(&format!("python3 -c \"{ask}\""))).unwrap();
        answer["version"].as_str().unwrap().to_owned()
    }

    /// Waits until the example module serves, as the program says.
    fn clock_serves(&self) {
        self.exec(&[OURS, "wait", "clock", "--timeout", "30"])
            .exits(0);
        let state = self.told();
        assert_eq!(state["modules"][0]["name"], "clock", "{state}");
        assert_eq!(state["modules"][0]["state"], "active", "{state}");
    }
}

/// What a hook printed.
fn words(done: &Done) -> Vec<String> {
    let all = format!("{}{}", done.out, done.err);
    let lines = all.lines().filter(|line| line.starts_with("parachute"));
    lines.map(str::to_owned).collect()
}

#[test]
fn from_install_to_purge_and_back() {
    let Some(b) = Box::with_debs(&["0.8.0", "0.8.1"]) else {
        return;
    };
    let mut apt = b.command("apt-get");
    apt.args(["install", "-y", "/opt/p/parachute_0.8.0.deb"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    let done = Done::from(apt.output().unwrap()).exits(0);
    assert_eq!(words(&done).len(), 1, "{done:?}");
    assert!(words(&done)[0].contains("runs on port 1939"), "{done:?}");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("active".into(), "enabled".into())
    );
    assert_eq!(b.sh(&format!("stat -c '%U %a' {HOME}")), "parachute 755\n");

    // Root and anybody see the same box.
    let state = b.told();
    assert_eq!(state["home"], HOME);
    assert_eq!(state["manager"], "systemd");
    assert_eq!(state["hub"]["state"], "active");
    b.user(false);
    let theirs = b.as_user(&[OURS, "status", "--json"]);
    let theirs: Value = serde_json::from_str(&theirs.exits(0).out).unwrap();
    assert_eq!(theirs["home"], HOME);
    assert_eq!(theirs["hub"]["state"], "active");

    b.dpkg(&["-i", "/opt/p/clock.deb"]);
    b.clock_serves();

    // The new version answers, with the same modules.
    let done = b.deb("0.8.1");
    assert!(
        words(&done).iter().any(|l| l.contains("version 0.8.1")),
        "{done:?}"
    );
    assert_eq!(b.version(), "0.8.1");
    b.clock_serves();

    // What was stopped stays stopped; back to the older one.
    b.sh("systemctl stop parachute-hub");
    let done = b.deb("0.8.0");
    assert_eq!(b.is("active"), "inactive", "{done:?}");
    assert_eq!(b.is("enabled"), "enabled");
    b.sh("systemctl start parachute-hub");
    assert_eq!(b.version(), "0.8.0");

    // What the operator has disabled stays so.
    b.sh("systemctl disable --now parachute-hub");
    b.deb("0.8.1");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("inactive".into(), "disabled".into())
    );
    b.sh("systemctl enable --now parachute-hub");

    b.dpkg(&["-r", "parachute"]);
    b.exec(&["test", "-L", LINK]).exits(1);
    b.exec(&["pgrep", "-u", "parachute"]).exits(1);
    assert_eq!(b.is("active"), "inactive");
    assert!(b.sh(&format!("cat {HOME}/services.json")).contains("clock"));

    let done = b.dpkg(&["-P", "parachute"]);
    assert!(
        words(&done)
            .iter()
            .any(|l| l.contains("modules are registered")),
        "{done:?}"
    );
    assert!(b.sh(&format!("cat {HOME}/services.json")).contains("clock"));

    b.deb("0.8.0");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("active".into(), "enabled".into())
    );
    b.clock_serves();
    b.dpkg(&["-P", "parachute-clock"]);
    assert_eq!(b.told()["modules"], serde_json::json!([]));
    let done = b.dpkg(&["-P", "parachute"]);
    assert_eq!(b.exec(&["test", "-e", HOME]).code, 1, "{done:?}");
    assert_eq!(b.is("enabled"), "");
}

#[test]
fn a_modules_package_may_come_first_and_the_operators_drop_in_wins() {
    let Some(b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    b.write(
        "/etc/systemd/system/parachute-hub.service.d/port.conf",
        "[Service]\nEnvironment=PORT=2939\n",
    );
    let done = b.dpkg(&["-i", "/opt/p/clock.deb"]);
    assert_eq!(words(&done), Vec::<String>::new());
    let done = b.deb("0.8.0");
    assert!(
        words(&done).iter().any(|l| l.contains("port 2939")),
        "{done:?}"
    );
    b.clock_serves();
    assert_eq!(b.told()["hub"]["port"], 2939);
}

#[test]
fn a_policy_that_says_no_is_heard() {
    let Some(b) = Box::with_debs(&["0.8.0", "0.8.1"]) else {
        return;
    };
    b.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
    b.sh("chmod +x /usr/sbin/policy-rc.d");
    let done = b.deb("0.8.0");
    assert!(words(&done)[0].contains("policy-rc.d says no"), "{done:?}");
    assert!(words(&done).len() <= 2, "{done:?}");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("inactive".into(), "disabled".into())
    );
    // What the words say to run does it.
    b.sh("systemctl enable --now parachute-hub.service");
    let done = b.deb("0.8.1");
    assert_eq!(b.version(), "0.8.0", "{done:?}");
    assert!(
        words(&done)[0].contains("the version of before"),
        "{done:?}"
    );
    b.sh("rm /usr/sbin/policy-rc.d");
    b.deb("0.8.1");
    assert_eq!(b.version(), "0.8.1");
}

#[test]
fn an_image_without_systemd_gets_a_hub_that_starts_at_its_first_boot() {
    let Some(mut b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    let done = b.exec(&[
        "unshare",
        "-m",
        "sh",
        "-euc",
        "mkdir -p /opt/c && mount --bind / /opt/c && mount --bind /dev /opt/c/dev
         chroot /opt/c dpkg -i /opt/p/parachute_0.8.0.deb",
    ]);
    let done = done.exits(0);
    assert!(
        words(&done)[0].contains("starts at the next boot"),
        "{done:?}"
    );
    assert_eq!(b.is("active"), "inactive");
    b.sh(&format!("test -L {LINK} && id parachute && test -d {HOME}"));
    b.reboot();
    assert_eq!(b.is("active"), "active");
    b.sh("umount /usr/local/bin/parachute");
    assert_eq!(b.version(), "0.8.0");
}

#[test]
fn another_root_gets_its_files_set_right_and_nothing_runs() {
    let Some(b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    let done = b.exec(&[
        "unshare",
        "-m",
        "sh",
        "-euc",
        "mkdir -p /opt/c && mount --bind / /opt/c
         dpkg --root=/opt/c --force-script-chrootless -i /opt/p/parachute_0.8.0.deb",
    ]);
    let done = done.exits(0);
    assert_eq!(words(&done), Vec::<String>::new());
    b.sh(&format!("test -L {LINK} && id parachute && test -d {HOME}"));
    b.sh("systemctl daemon-reload");
    assert_eq!(b.is("active"), "inactive");
}

#[test]
fn a_hub_of_other_make_is_left_as_it_is() {
    let Some(b) = Box::with_debs(&["0.8.0", "0.8.1"]) else {
        return;
    };
    b.write(
        "/etc/systemd/system/parachute-hub.service",
        "[Service]\nExecStart=/usr/bin/python3 -m http.server 1939 --bind 127.0.0.1\n[Install]\nWantedBy=multi-user.target\n",
    );
    b.sh("systemctl daemon-reload; systemctl enable --now parachute-hub.service");
    let pid = || b.sh("systemctl show -p MainPID --value parachute-hub.service");
    let before = pid();
    let done = b.deb("0.8.0");
    assert!(
        words(&done)[0].contains("neither enabled nor started"),
        "{done:?}"
    );
    assert!(words(&done)[0].contains("of other make"), "{done:?}");
    let done = b.deb("0.8.1");
    assert!(words(&done)[0].contains("left alone"), "{done:?}");
    let done = b.dpkg(&["-P", "parachute"]);
    assert_eq!(pid(), before, "{done:?}");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("active".into(), "enabled".into())
    );
}

#[test]
fn a_hub_that_answers_on_the_port_and_a_users_unit_are_named() {
    let Some(b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    b.sh("systemd-run --unit=squatter -q python3 -m http.server 1939 --bind 127.0.0.1");
    b.wait_for("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 1939))'");
    let done = b.deb("0.8.0");
    assert!(words(&done)[0].contains("listens on port 1939"), "{done:?}");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("inactive".into(), "disabled".into())
    );
    b.dpkg(&["-P", "parachute"]);
    b.sh("systemctl stop squatter");
    b.user(false);
    let unit = format!("/home/{USER}/.config/systemd/user/parachute-hub.service");
    b.write(&unit, "[Service]\nExecStart=/bin/true\n");
    let done = b.deb("0.8.0");
    assert!(words(&done)[0].contains(&unit), "{done:?}");
    assert_eq!(b.is("enabled"), "disabled");
}

#[test]
fn a_legacy_detached_box_is_not_disturbed() {
    let Some(b) = Box::with_debs(&["0.8.0", "0.8.1"]) else {
        return;
    };
    b.user(false);
    b.sh("chmod 755 /opt/legacy");
    b.as_user(&[
        "/opt/legacy",
        "add",
        "old",
        "--port",
        "2100",
        "--start",
        "--",
        "/opt/legacy",
        "__module",
    ])
    .exits(0);
    let pid = || {
        b.sh(&format!(
            "head -n 1 /home/{USER}/.parachute/old/run/old.pid"
        ))
    };
    let before = pid();
    b.deb("0.8.0");
    assert_eq!(b.is("active"), "active");
    let theirs = b.as_user(&[OURS, "status", "--json"]).exits(0);
    let theirs: Value = serde_json::from_str(&theirs.out).unwrap();
    assert_eq!(theirs["home"], format!("/home/{USER}/.parachute"));
    assert_eq!(theirs["modules"][0]["state"], "active");
    b.deb("0.8.1");
    b.dpkg(&["-P", "parachute"]);
    assert_eq!(pid(), before);
    b.sh(&format!("kill -0 {before}"));
    b.as_user(&["/opt/legacy", "stop"]).exits(0);
    assert_ne!(UID, 0);
}
