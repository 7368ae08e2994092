//! The programs through which a package's hook works: dpkg's own helpers where dpkg calls, since
//! they keep books of what the operator has enabled and ask policy-rc.d; else `systemctl`. Every
//! call is bounded, and ended when its hook is.

use super::ground::Ground;
use crate::{
    error::{Code, Error, Result},
    manager::systemd::UNIT,
};
use std::{ffi::OsStr, path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

/// A job of systemd's: the unit's own bounds are shorter.
const JOB: Duration = Duration::from_secs(50);
/// Everything that only changes files.
const SOON: Duration = Duration::from_secs(20);

/// What a program gave.
pub(super) struct Done {
    pub(super) code: i32,
    said: String,
}

/// Runs it without input. Its last words are kept for a failure.
pub(super) async fn run<A: AsRef<OsStr>>(argv: &[A], bound: Duration) -> Result<Done> {
    let called = || {
        let words: Vec<_> = argv.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        words.join(" ")
    };
    let [program, rest @ ..] = argv else {
        return Err(Error::new(Code::Usage, "no program to run"));
    };
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(bound, command.output()).await {
        Ok(Ok(output)) => Ok(Done {
            code: output.status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
        Ok(Err(error)) => Err(Error::new(
            Code::Io,
            format!("cannot run `{}`: {error}", called()),
        )),
        Err(_) => Err(Error::new(
            Code::TimedOut,
            format!("`{}` did not end within {} s", called(), bound.as_secs()),
        )),
    }
}

async fn must<A: AsRef<OsStr>>(argv: &[A], bound: Duration, again: &str) -> Result<()> {
    let hint = format!("`{again}`");
    let done = run(argv, bound).await.map_err(|e| e.hint(hint.clone()))?;
    if done.code == 0 {
        return Ok(());
    }
    let words: Vec<_> = argv.iter().map(|a| a.as_ref().to_string_lossy()).collect();
    let said = match done.said.lines().last() {
        Some(last) => last.to_owned(),
        None => format!("exit {}", done.code),
    };
    Err(Error::new(
        Code::UnitFailed,
        format!("`{}` failed: {said}", words.join(" ")),
    )
    .hint(hint))
}

/// Is a program of that name on the search path of packages' scripts (deb-policy: `/usr/sbin` …).
pub(super) fn exists(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists())
}

/// systemd reads its units anew.
pub(super) async fn reload() -> Result<()> {
    must(
        &["systemctl", "--system", "daemon-reload"],
        SOON,
        "systemctl daemon-reload",
    )
    .await
}

/// Has it start at boot. `false`: nothing is here that could.
pub(super) async fn enable(ground: &Ground) -> Result<bool> {
    let again = format!("systemctl enable --now {UNIT}");
    if ground.deb {
        // Where a unit was removed and comes back, an older package may have left it masked.
        must(&["deb-systemd-helper", "unmask", UNIT], SOON, &again).await?;
        must(&["deb-systemd-helper", "enable", UNIT], SOON, &again).await?;
        Ok(true)
    } else {
        systemctl(ground, "enable", &again).await
    }
}

/// What the operator decided about it since, stays decided.
pub(super) async fn keep_enabled(ground: &Ground) -> Result<()> {
    if !ground.deb {
        return Ok(());
    }
    let was = run(
        &["deb-systemd-helper", "--quiet", "was-enabled", UNIT],
        SOON,
    )
    .await?;
    let verb = if was.code == 0 {
        "enable"
    } else {
        "update-state"
    };
    let again = format!("systemctl is-enabled {UNIT}");
    must(&["deb-systemd-helper", verb, UNIT], SOON, &again).await
}

/// Enters in dpkg's books that the unit is there and was not enabled: an upgrade will not do it.
pub(super) async fn remember(ground: &Ground) -> Result<()> {
    if !ground.deb {
        return Ok(());
    }
    let again = format!("systemctl is-enabled {UNIT}");
    must(&["deb-systemd-helper", "update-state", UNIT], SOON, &again).await
}

/// Has it no longer start at boot.
pub(super) async fn disable(ground: &Ground) -> Result<()> {
    let again = format!("systemctl disable {UNIT}");
    if ground.deb {
        must(&["deb-systemd-helper", "disable", UNIT], SOON, &again).await?;
    }
    if ground.deb && !ground.live {
        return Ok(());
    }
    // Enabled by hand, it is not in dpkg's books.
    systemctl(ground, "disable", &again).await.map(drop)
}

/// `start`, `stop` or `restart`.
pub(super) async fn invoke(ground: &Ground, action: &str) -> Result<()> {
    let again = format!("systemctl {action} {UNIT}");
    let tool = if ground.deb {
        "deb-systemd-invoke"
    } else {
        "systemctl"
    };
    must(&[tool, action, UNIT], JOB, &again).await
}

/// Works on files alone where no systemd runs (systemctl(1), `--root`). `false`: there is none.
async fn systemctl(ground: &Ground, verb: &str, again: &str) -> Result<bool> {
    if !exists("systemctl") {
        return Ok(false);
    }
    let root = format!("--root={}", ground.root.display());
    let mut argv = vec!["systemctl", "--quiet"];
    if !ground.live {
        argv.push(&root);
    }
    argv.extend([verb, UNIT]);
    must(&argv, SOON, again).await?;
    Ok(true)
}
