//! Hooks on a machine where things go wrong: no space, no answer, no end. The transaction succeeds all
//! the same, and says what to run; a package that fails by itself takes no hub down.

use super::{HOME, words};
use crate::systemd::{Box, Done};
use std::time::Instant;

const BOOKS: &str = "/var/lib/systemd/deb-systemd-helper-enabled";

impl Box {
    /// Installs it, and gives what was said on stderr; the package must be all there afterwards.
    #[track_caller]
    fn installed_but(&self) -> String {
        let done = self.deb("0.8.0");
        let state = self.sh("dpkg-query -W -f '${Status}' parachute");
        assert_eq!(state, "install ok installed", "{done:?}");
        done.err
    }

    /// A program of dpkg's that behaves otherwise.
    fn tool(&self, name: &str, script: &str) {
        let path = format!("/usr/local/sbin/{name}");
        self.write(&path, &format!("#!/bin/sh\n{script}\n"));
        self.sh(&format!("chmod 755 {path}"));
    }

    fn hub_pid(&self) -> String {
        self.sh("systemctl show -p MainPID --value parachute-hub.service")
    }
}

#[test]
fn a_full_disk_fails_no_transaction() {
    let Some(b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    // Books that take no more entries: the unit cannot be enabled.
    b.sh(&format!(
        "mkdir -p {BOOKS}; mount -t tmpfs -o nr_inodes=1 tmpfs {BOOKS}"
    ));
    let said = b.installed_but();
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("systemctl enable --now"), "{said}");
    b.sh(&format!("umount {BOOKS}"));
    b.dpkg(&["-P", "parachute"]);

    // A box that takes no more files: the hub cannot start.
    b.sh(&format!(
        "mkdir -p {HOME}; mount -t tmpfs -o nr_inodes=1 tmpfs {HOME}; chown parachute {HOME}"
    ));
    let said = b.installed_but();
    assert!(said.contains("systemctl"), "{said}");
    b.sh("systemctl stop parachute-hub; systemctl reset-failed parachute-hub || true");
    b.dpkg(&["-P", "parachute"]);
}

#[test]
fn a_hook_that_is_killed_fails_no_transaction() {
    let Some(b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    b.tool("deb-systemd-invoke", "kill -9 $PPID");
    let said = b.installed_but();
    assert!(said.contains("systemctl enable --now"), "{said}");
    assert_eq!(b.is("active"), "inactive");
    // What it says to run does what is missing.
    b.sh("rm /usr/local/sbin/deb-systemd-invoke; systemctl enable --now parachute-hub.service");
    assert_eq!(b.version(), "0.8.0");
}

/// One call that never ends is given up; many that are slow are, too.
#[test]
fn a_hook_ends_within_its_minute_whatever_hangs() {
    let Some(b) = Box::with_debs(&["0.8.0"]) else {
        return;
    };
    b.tool(
        "deb-systemd-helper",
        "sleep 15; exec /usr/bin/deb-systemd-helper \"$@\"",
    );
    b.tool("deb-systemd-invoke", "exec sleep 1000");
    let begun = Instant::now();
    let mut command = b.command_within(120, "dpkg");
    let done = Done::from(
        command
            .args(["-i", "/opt/p/parachute_0.8.0.deb"])
            .output()
            .unwrap(),
    )
    .exits(0);
    assert!(done.err.contains("did not end within 60 s"), "{done:?}");
    assert!(done.err.contains("systemctl enable --now"), "{done:?}");
    assert!(begun.elapsed().as_secs() < 110, "{:?}", begun.elapsed());
}

#[test]
fn a_package_that_fails_by_itself_and_a_full_disk_leave_the_hub_as_it_runs() {
    let Some(b) = Box::with_debs(&["0.8.0", "0.8.1"]) else {
        return;
    };
    b.deb("0.8.0");
    let before = b.hub_pid();
    b.sh("dpkg-deb -R /opt/p/parachute_0.8.1.deb /opt/x
          printf '#!/bin/sh\nexit 1\n' >/opt/x/DEBIAN/preinst; chmod 755 /opt/x/DEBIAN/preinst
          dpkg-deb -Znone -b /opt/x /opt/p/broken.deb");
    let upgrade = |deb: &str| -> Done { b.exec(&["dpkg", "-i", deb]) };
    let done = upgrade("/opt/p/broken.deb").exits(1);
    assert_eq!(words(&done), Vec::<String>::new());
    assert_eq!((b.hub_pid(), b.version()), (before.clone(), "0.8.0".into()));

    b.sh("mount -t tmpfs -o size=4k tmpfs /usr/share/man/man1");
    let done = upgrade("/opt/p/parachute_0.8.1.deb").exits(1);
    assert!(done.err.contains("No space left on device"), "{done:?}");
    assert_eq!((b.hub_pid(), b.version()), (before.clone(), "0.8.0".into()));
    b.sh("umount /usr/share/man/man1");
    b.deb("0.8.1");
    assert_eq!(b.version(), "0.8.1");
    assert_ne!(b.hub_pid(), before);
}
