//! The hub's lines in the journal, by journalctl(1): the journal has no bus to ask.

use super::{Systemd, UNIT};
use crate::{
    error::{Code, Error, Result},
    manager::{Scope, Tail},
};
use std::{process::Stdio, time::Duration};

/// Reading the journal of a busy machine takes its time.
const READ: Duration = Duration::from_secs(10);

fn args(scope: Scope, uid: u32, tail: &Tail) -> Vec<String> {
    let mut args: Vec<String> = match scope {
        Scope::System => vec![format!("--unit={UNIT}")],
        // Not `--user`, which opens only the user's own files: without a persistent journal
        // there are none, and the lines are in the machine's.
        Scope::User => vec![format!("--user-unit={UNIT}"), format!("_UID={uid}")],
    };
    args.push("--no-pager".into());
    args.push(match tail.lines {
        usize::MAX => "--lines=all".into(),
        lines => format!("--lines={lines}"),
    });
    if let Some(since) = tail.since {
        args.push(format!("--since=@{}", since.0.as_second()));
    }
    args
}

/// The command line that follows the hub's journal.
pub(super) fn follow(scope: Scope, uid: u32, tail: &Tail) -> Vec<String> {
    let mut argv = vec!["journalctl".to_owned()];
    argv.extend(args(scope, uid, tail));
    argv.extend(["--output=short-iso", "--follow", "--no-hostname"].map(str::to_owned));
    argv
}

impl Systemd {
    /// The last lines, oldest first, in one of journalctl's formats.
    pub(super) async fn journal(&self, tail: &Tail, format: &str) -> Result<Vec<String>> {
        let mut command = tokio::process::Command::new("journalctl");
        command
            .args(args(self.scope, self.caller.uid, tail))
            .arg(format!("--output={format}"))
            .arg("--no-hostname")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match tokio::time::timeout(READ, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                return Err(Error::new(
                    Code::Io,
                    format!("cannot run journalctl: {}", crate::error::reason(&error)),
                ));
            }
            Err(_) => {
                return Err(Error::new(
                    Code::TimedOut,
                    format!("journalctl did not answer within {} s", READ.as_secs()),
                ));
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            // journalctl's own remarks: `-- No entries --`, `-- Boot … --`.
            .filter(|line| !(line.starts_with("-- ") && line.ends_with(" --")))
            .map(str::to_owned)
            .collect();
        let hidden = said.contains("not seeing messages") || said.contains("permission");
        if lines.is_empty() && hidden {
            let error = Error::new(
                Code::NoPermission,
                format!("the journal of {UNIT} is closed to you"),
            );
            return Err(match self.scope {
                Scope::System => error.hint(format!("`sudo {}`", self.caller.command)),
                // Without a persistent journal, users have none of their own.
                Scope::User => error.hint(
                    "join the group `systemd-journal`, or give users journals of their own: \
                     `sudo mkdir /var/log/journal && sudo systemctl restart systemd-journald`",
                ),
            });
        }
        if !output.status.success() && lines.is_empty() && !said.trim().is_empty() {
            return Err(Error::new(Code::Io, format!("journalctl: {}", said.trim())));
        }
        Ok(lines)
    }
}
