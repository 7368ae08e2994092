//! The rpm's scriptlets, by the real rpm with a database of its own.

use super::{HOME, LINK, OURS, assemble, has, words};
use crate::systemd::{Box, Done};

impl Box {
    fn with_rpms(versions: &[&str]) -> Option<Self> {
        if !has("rpm") || !has("rpmbuild") {
            println!("skipped: needs rpm and rpmbuild");
            return None;
        }
        let b = Self::bare()?;
        let dir = tempfile::tempdir().unwrap();
        for version in versions {
            let rpm = assemble("rpm", version, dir.path());
            b.put(&rpm, &format!("/opt/p/parachute-{version}.rpm"));
        }
        Some(b)
    }

    #[track_caller]
    fn rpm(&self, args: &[&str]) -> Done {
        let all = [&["rpm", "--dbpath", "/opt/rpmdb", "--nodeps"], args].concat();
        self.exec(&all).exits(0)
    }
}

#[test]
fn an_rpm_is_installed_upgraded_and_erased() {
    let Some(b) = Box::with_rpms(&["0.8.0", "0.8.1"]) else {
        return;
    };
    let done = b.rpm(&["-i", "/opt/p/parachute-0.8.0.rpm"]);
    assert!(
        words(&done).iter().any(|l| l.contains("runs on port 1939")),
        "{done:?}"
    );
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("active".into(), "enabled".into())
    );
    b.exec(&[OURS, "status"]).exits(0);
    let done = b.rpm(&["-U", "/opt/p/parachute-0.8.1.rpm"]);
    assert_eq!(b.version(), "0.8.1", "{done:?}");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("active".into(), "enabled".into())
    );
    b.sh("systemctl stop parachute-hub");
    b.rpm(&["-U", "--oldpackage", "/opt/p/parachute-0.8.0.rpm"]);
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("inactive".into(), "enabled".into())
    );
    b.sh("systemctl start parachute-hub");
    b.rpm(&["-e", "parachute"]);
    b.exec(&["test", "-L", LINK]).exits(1);
    b.exec(&["test", "-e", OURS]).exits(1);
    b.exec(&["pgrep", "-u", "parachute"]).exits(1);
    b.sh(&format!("test -d {HOME}"));
}

#[test]
fn an_rpm_in_another_root_is_enabled_there_and_starts_nothing() {
    let Some(b) = Box::with_rpms(&["0.8.0"]) else {
        return;
    };
    let done = b.exec(&[
        "unshare",
        "-m",
        "sh",
        "-euc",
        "mkdir -p /opt/c && mount --bind / /opt/c && mount --bind /dev /opt/c/dev
         rpm --root /opt/c --dbpath /opt/rpmdb --nodeps -i /opt/p/parachute-0.8.0.rpm",
    ]);
    let done = done.exits(0);
    assert!(
        words(&done)[0].contains("starts at the next boot"),
        "{done:?}"
    );
    b.sh(&format!("test -L {LINK} && id parachute && test -d {HOME}"));
    assert_eq!(b.is("active"), "inactive");
}
