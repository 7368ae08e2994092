//! The install script of the tarball: what agrees with its checksum is put under the prefix, all of
//! it goes again, and nothing else is installed.

use super::{HOME, REPO};
use crate::{
    sandbox::{EXE, Ran, Sandbox},
    systemd::Box,
};
use std::{fs, path::Path, process::Command};

/// A release's folder with a tarball of the program under test.
fn release(at: &Path) {
    let version = env!("CARGO_PKG_VERSION");
    let script = format!(
        "set -eu; cd '{}'; t=parachute-{version}-$(uname -m)-linux
         mkdir -p $t/man $t/completions $t/licences $t/systemd
         cp '{EXE}' $t/parachute
         cp {REPO}/packaging/sysusers.conf {REPO}/packaging/tmpfiles.conf $t/systemd
         '{EXE}' man --out $t/man >/dev/null; gzip $t/man/*
         '{EXE}' completions bash >$t/completions/parachute.bash
         '{EXE}' completions zsh >$t/completions/_parachute
         '{EXE}' completions fish >$t/completions/parachute.fish
         echo free >$t/licences/LICENSE
         tar -czf $t.tar.gz $t; rm -r $t; sha256sum $t.tar.gz >SHA256SUMS",
        at.display()
    );
    let done: Ran = shell(&script, at).into();
    done.expect(0);
}

fn shell(script: &str, home: &Path) -> std::process::Output {
    Command::new("sh")
        .args(["-c", script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .output()
        .unwrap()
}

#[test]
fn only_what_agrees_with_its_checksum_is_installed_and_all_of_it_goes_again() {
    let sandbox = Sandbox::new();
    let (home, from) = (
        sandbox.user_dir().join("me"),
        sandbox.user_dir().join("from"),
    );
    fs::create_dir_all(&from).unwrap();
    let foreign = home.join(".local/share/man/man1/parachute-vault.1.gz");
    fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs::write(&foreign, "a module's").unwrap();
    release(&from);
    let install = |args: &str| -> Ran {
        shell(&format!("sh {REPO}/packaging/install.sh {args}"), &home).into()
    };
    let fetch = format!(
        "--from {} --version {}",
        from.display(),
        env!("CARGO_PKG_VERSION")
    );
    install(&fetch).expect(0);
    // A second time is fine.
    install(&fetch).expect(0);
    let program = home.join(".local/bin/parachute");
    let version = Command::new(&program).arg("--version").output().unwrap();
    assert!(version.status.success());
    assert!(home.join(".local/share/man/man1/parachute.1.gz").exists());
    install("--uninstall").expect(0);
    assert!(!program.exists());
    assert!(!home.join(".local/share/man/man1/parachute.1.gz").exists());
    assert!(foreign.exists());

    let sums = fs::read_to_string(from.join("SHA256SUMS")).unwrap();
    let other = match sums.as_bytes()[0] {
        b'0' => "1",
        _ => "0",
    };
    fs::write(from.join("SHA256SUMS"), format!("{other}{}", &sums[1..])).unwrap();
    let refused = install(&fetch).expect(1);
    assert!(
        refused.err.contains("not what SHA256SUMS says"),
        "{refused:?}"
    );
    assert!(!program.exists());
    fs::write(from.join("SHA256SUMS"), "").unwrap();
    assert!(install(&fetch).expect(1).err.contains("no line"));
    assert!(!program.exists());
}

#[test]
fn as_root_with_system_it_does_what_a_package_does_and_takes_it_away_again() {
    let Some(b) = Box::bare() else { return };
    let version = env!("CARGO_PKG_VERSION");
    let dir = tempfile::tempdir().unwrap();
    release(dir.path());
    let name = fs::read_to_string(dir.path().join("SHA256SUMS")).unwrap();
    let name = name.split_whitespace().nth(1).unwrap().to_owned();
    for file in [&name, "SHA256SUMS"] {
        b.put(&dir.path().join(file), &format!("/opt/p/{file}"));
    }
    b.put(
        Path::new(&format!("{REPO}/packaging/install.sh")),
        "/opt/p/install.sh",
    );
    let install = format!("sh /opt/p/install.sh --system --from /opt/p --version {version}");

    b.user(false);
    let refused = b.as_user(&["sh", "-c", &install]);
    assert!(refused.exits(1).err.contains("run it as root"));

    let said = b.sh(&install);
    assert!(said.contains("/usr/local/bin"), "{said}");
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("active".into(), "enabled".into())
    );
    let ours = "/usr/local/bin/parachute";
    let state: serde_json::Value =
        serde_json::from_str(&b.exec(&[ours, "status", "--json"]).ok()).unwrap();
    assert_eq!(state["home"], HOME);
    assert_eq!(state["hub"]["state"], "active");
    assert_eq!(b.sh(&format!("stat -c '%U %a' {HOME}")), "parachute 755\n");

    // Once more, as for a newer release: the hub that runs is the one that was put there, and one that
    // was stopped stays so.
    let before = b.sh("systemctl show -p MainPID --value parachute-hub");
    b.sh(&install);
    assert_eq!(b.is("active"), "active");
    assert_ne!(
        b.sh("systemctl show -p MainPID --value parachute-hub"),
        before
    );
    b.sh(&format!("systemctl stop parachute-hub; {install}"));
    assert_eq!(
        (b.is("active"), b.is("enabled")),
        ("inactive".into(), "enabled".into())
    );

    b.sh("sh /opt/p/install.sh --system --uninstall");
    assert_eq!(b.is("active"), "inactive");
    b.sh(&format!(
        "test ! -e {ours} && test ! -e /etc/systemd/system/parachute-hub.service && test -d {HOME}"
    ));
}
