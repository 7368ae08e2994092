//! Homebrew's formula, carried out by a stand-in: it installs the program, manual and completions, its
//! own test passes, and its service is the hub on loopback.

use super::{REPO, has};
use crate::sandbox::{EXE, Sandbox};
use serde_json::Value;
use std::process::Command;

#[test]
fn homebrews_formula_installs_tests_and_serves() {
    if !has("ruby") {
        println!("skipped: needs ruby");
        return;
    }
    let sandbox = Sandbox::new();
    let prefix = sandbox.user_dir().join("brew");
    let output = Command::new("ruby")
        .arg(format!("{REPO}/tests/fakes/formula.rb"))
        .arg(format!("{REPO}/packaging/homebrew/parachute.rb"))
        .arg(EXE)
        .arg(&prefix)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.user_dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    let service = &told["service"];
    assert_eq!(service["run"][1], "serve");
    assert_eq!(service["keep_alive"], true);
    assert_eq!(
        service["environment_variables"]["PARACHUTE_BIND_HOST"],
        "127.0.0.1"
    );
    for file in [
        "bin/parachute",
        "share/man/man1/parachute-start.1",
        "etc/bash_completion.d/parachute",
        "share/zsh/site-functions/_parachute",
        "share/fish/vendor_completions.d/parachute.fish",
    ] {
        assert!(prefix.join("Cellar").join(file).exists(), "{file}");
    }
}
