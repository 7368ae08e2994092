//! The hub's log: the file that launchd appends its output to, else the system's own log.

use super::{
    Launchd,
    ctl::within,
    file::{self, OnDisk},
};
use crate::{
    error::{Error, Result},
    manager::{Follow, Tail},
};
use jiff::Timestamp;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

/// At most this much is read of a log's end.
const WINDOW: u64 = 1024 * 1024;
/// log(1) searches for seconds.
const LOG_SHOW: Duration = Duration::from_secs(20);

impl Launchd {
    pub(super) async fn log_lines(&self, tail: &Tail) -> Result<Vec<String>> {
        let path = match self.log_file() {
            Some(path) => Some(path),
            None => self.loaded_log_file().await,
        };
        if let Some(path) = path {
            return last_lines(&path, tail);
        }
        let mut call = vec!["show", "--style", "compact", "--last", "1d", "--predicate"];
        let predicate = self.predicate();
        call.push(&predicate);
        let answer = self.ctl.run_other("log", &call, within(LOG_SHOW)).await?;
        Ok(newest(&answer.out, tail))
    }

    pub(super) fn log_follow(&self, _: &Tail) -> Follow {
        match self.log_file() {
            Some(path) => Follow::File(path),
            None => {
                let call = ["log", "stream", "--style", "compact", "--predicate"];
                let mut call: Vec<String> = call.map(str::to_owned).into();
                call.push(self.predicate());
                Follow::Program(call)
            }
        }
    }

    /// StandardOutPath of the property list, when it is somewhere that keeps what is written.
    fn log_file(&self) -> Option<PathBuf> {
        let OnDisk::Usable(file) = file::look(&self.place) else {
            return None;
        };
        kept(file.job.stdout.as_deref())
    }

    /// The same, of the loaded job.
    async fn loaded_log_file(&self) -> Option<PathBuf> {
        let found = self.seek(within(self.patience.look)).await.ok()?;
        let (_, record) = found.jobs.first()?;
        kept(record.printed()?.stdout.as_deref())
    }

    /// What the hub says to the system's log, and what launchd says of it.
    fn predicate(&self) -> String {
        let label = super::LABEL;
        format!(
            "process == \"parachute\" OR (subsystem == \"com.apple.xpc.launchd\" AND eventMessage CONTAINS \"{label}\")"
        )
    }
}

fn kept(path: Option<&str>) -> Option<PathBuf> {
    path.filter(|path| *path != "/dev/null")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// The end of a file; none there is no lines. What is not a regular file is not opened.
fn last_lines(path: &Path, tail: &Tail) -> Result<Vec<String>> {
    let read = || {
        if !path.metadata()?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut file = File::open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        let from = end.saturating_sub(WINDOW);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(WINDOW).read_to_end(&mut bytes)?;
        if from > 0 {
            // The first line of the window has lost its beginning.
            let cut = bytes
                .iter()
                .position(|&b| b == b'\n')
                .map_or(bytes.len(), |at| at + 1);
            bytes.drain(..cut);
        }
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(newest(&String::from_utf8_lossy(&bytes), tail)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", path, &e)),
    }
}

/// The last lines that were asked for. A line without a time of its own belongs to the one before.
fn newest(text: &str, tail: &Tail) -> Vec<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(since) = tail.since {
        let time = |line: &&str| line.split_whitespace().next()?.parse::<Timestamp>().ok();
        match lines
            .iter()
            .position(|line| time(line).is_some_and(|time| time >= since.0))
        {
            Some(first) => drop(lines.drain(..first)),
            None if lines.iter().any(|line| time(line).is_some()) => lines.clear(),
            // No line has a time: all may be new.
            None => {}
        }
    }
    let skip = lines.len().saturating_sub(tail.lines);
    lines.drain(..skip);
    lines.into_iter().map(str::to_owned).collect()
}
