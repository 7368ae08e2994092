//! Runs launchctl(1): found on PATH, in the C locale, for a bounded time, with bounded output, and
//! killed when its time is up. Knows no verb's meaning.

use crate::{
    error::{Code, Error, Result},
    os::spawn::{self, Found},
};
use std::{
    ffi::{OsStr, OsString},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::{Instant, timeout_at},
};

/// Of each stream this much is kept; the record of a job has about 4 KiB.
pub const OUTPUT_LIMIT: usize = 256 * 1024;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; `None` when a signal ended it.
    pub exit: Option<i32>,
    /// Standard output; odd bytes replaced.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// More was written than [`OUTPUT_LIMIT`]; the rest is lost, and so is the exit code.
    pub cut: bool,
}

impl Answer {
    /// Everything it said in one line, for messages.
    pub fn said(&self) -> String {
        let text = if self.err.trim().is_empty() {
            &self.out
        } else {
            &self.err
        };
        let words = text.lines().map(str::trim).filter(|l| !l.is_empty());
        let mut said: String = words
            .collect::<Vec<_>>()
            .join(": ")
            .chars()
            .take(300)
            .collect();
        if said.is_empty() {
            said = match self.exit {
                Some(code) => format!("nothing, exit {code}"),
                None => "nothing, and was killed".into(),
            };
        }
        said
    }
}

/// How launchctl is called.
#[derive(Clone, Debug)]
pub struct Ctl {
    path: OsString,
    env: Vec<(OsString, OsString)>,
}

impl Ctl {
    /// With a PATH to look it up in, of which only absolute folders count, and more variables.
    pub fn new(path: &OsStr, env: Vec<(OsString, OsString)>) -> Self {
        let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        let path = std::env::join_paths(folders).unwrap_or_default();
        Self { path, env }
    }

    /// Runs `launchctl <args>`; an error when it is missing, was killed or did not answer in time.
    pub async fn run(&self, args: &[&str], until: Instant) -> Result<Answer> {
        let program = self.find("launchctl", "/bin/launchctl")?;
        self.call("launchctl", program, args, until).await
    }

    /// Runs another of the system's programs in the same way, `/usr/bin/<name>` unless PATH has it.
    pub async fn run_other(&self, name: &str, args: &[&str], until: Instant) -> Result<Answer> {
        let program = self.find(name, &format!("/usr/bin/{name}"))?;
        self.call(name, program, args, until).await
    }

    async fn call(
        &self,
        name: &str,
        program: PathBuf,
        args: &[&str],
        until: Instant,
    ) -> Result<Answer> {
        let shown = format!("{name} {}", args.join(" "));
        let mut child = Command::new(program)
            .args(args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("LANG", "C")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                unreachable(format!("cannot run `{name}`: {}", crate::error::reason(&e)))
            })?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let answer = timeout_at(until, async {
            let ((out, cut_out), (err, cut_err)) = tokio::join!(read(out), read(err));
            if cut_out || cut_err {
                child.start_kill().ok();
            }
            let status = child.wait().await;
            (status, out, err, cut_out || cut_err)
        })
        .await;
        match answer {
            Err(_) => Err(Error::new(
                Code::ManagerUnreachable,
                format!("`{shown}` does not answer"),
            )
            .hint(format!(
                "run `{shown}` yourself; when it hangs too, restart the Mac"
            ))),
            Ok((Err(error), ..)) => Err(unreachable(format!(
                "`{shown}` cannot be waited for: {}",
                crate::error::reason(&error)
            ))),
            Ok((Ok(status), out, err, cut)) => {
                if let (Some(signal), false) = (status.signal(), cut) {
                    return Err(unreachable(format!(
                        "`{shown}` was killed by signal {signal}"
                    )));
                }
                Ok(Answer {
                    exit: status.code(),
                    out,
                    err,
                    cut,
                })
            }
        }
    }

    /// The program: on PATH, else where every Mac has it.
    fn find(&self, name: &str, usual: &str) -> Result<PathBuf> {
        for program in [name, usual] {
            if let Found::Executable(path) = spawn::find(program, None, &self.path) {
                return Ok(path);
            }
        }
        Err(
            unreachable(format!("`{name}` is not on this machine's PATH"))
                .hint("launchd is macOS's; elsewhere run `PARACHUTE_MANAGER=none parachute …`"),
        )
    }
}

fn unreachable(message: String) -> Error {
    Error::new(Code::ManagerUnreachable, message)
}

/// Reads to the end or to the limit.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> (String, bool) {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read before an error is all there is.
        stream
            .take(OUTPUT_LIMIT as u64 + 1)
            .read_to_end(&mut bytes)
            .await
            .ok();
    }
    let cut = bytes.len() > OUTPUT_LIMIT;
    bytes.truncate(OUTPUT_LIMIT);
    (String::from_utf8_lossy(&bytes).into_owned(), cut)
}

/// A point in time `wait` from now.
pub fn within(wait: Duration) -> Instant {
    Instant::now() + wait
}
