//! The record of a process that we spawned (contract, section 1): pid, start time, boot, spawn id.
//! Says nothing of whether the process lives: that is [`super::group::prove`].

use super::{files, process};
use crate::{error::Result, home::Home};
use std::{fmt::Write, path::Path};

/// What a pidfile says. `pid` alone when another program wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Process id, at least 2.
    pub pid: u32,
    /// `start=`, clock ticks since boot.
    pub start: Option<u64>,
    /// `boot=`, the boot id.
    pub boot: Option<String>,
    /// `spawn=`, the spawn id.
    pub spawn: Option<String>,
}

impl Record {
    /// The record of a process that was spawned just now and has not been reaped.
    pub fn of(pid: u32, spawn: &str) -> std::io::Result<Self> {
        let process = process::look(pid)?.ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, "the process has ended")
        })?;
        Ok(Self {
            pid,
            start: Some(process.start),
            boot: Some(process::boot_id()?),
            spawn: Some(spawn.to_owned()),
        })
    }
}

/// A pidfile is looked at up to here.
const LOOKED_AT: usize = 4096;

/// The kernel's own bound on pids is 2^22 (proc(5), pid_max); beyond it, it was never one.
const HIGHEST: u32 = 1 << 22;

/// Reads a pidfile's text; `None` when it names no possible process (empty, 0, 1, negative,
/// huge, our own pid). Only the first 4 KiB count.
pub fn parse(text: &[u8]) -> Option<Record> {
    let text = text.get(..LOOKED_AT).unwrap_or(text);
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii());
    let first = lines.next()?;
    let digits = first.iter().take_while(|byte| byte.is_ascii_digit());
    let mut pid: u32 = 0;
    for digit in digits {
        pid = pid
            .checked_mul(10)?
            .checked_add(u32::from(digit.checked_sub(b'0')?))?;
    }
    if !(2..=HIGHEST).contains(&pid) || pid == std::process::id() {
        return None;
    }
    let mut record = Record {
        pid,
        start: None,
        boot: None,
        spawn: None,
    };
    for line in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let word = || (!value.is_empty()).then(|| value.to_owned());
        match key {
            "start" => record.start = value.parse().ok(),
            "boot" => record.boot = word(),
            "spawn" => record.spawn = word(),
            _ => {}
        }
    }
    Some(record)
}

/// The text of a pidfile.
pub fn render(record: &Record) -> String {
    let mut text = format!("{}\n", record.pid);
    if let Some(start) = record.start {
        let _ = writeln!(text, "start={start}");
    }
    if let Some(boot) = &record.boot {
        let _ = writeln!(text, "boot={boot}");
    }
    if let Some(spawn) = &record.spawn {
        let _ = writeln!(text, "spawn={spawn}");
    }
    text
}

/// The record at a path under the home; `None` when there is no file or no possible process in it.
pub fn read(home: &Home, path: &Path) -> Result<Option<Record>> {
    Ok(files::read_start(home, path, LOOKED_AT)?.and_then(|text| parse(&text)))
}

/// Writes the record, by temp file and rename, folders made as needed. It proves nothing after the
/// next boot, so it need not outlive a power failure.
pub fn write(home: &Home, path: &Path, record: &Record) -> Result<()> {
    files::replace_for_now(home, path, 0o644, render(record).as_bytes())
}

/// Removes the pidfile; none there is fine.
pub fn remove(home: &Home, path: &Path) -> Result<()> {
    files::remove(home, path)
}

#[cfg(test)]
#[path = "pidfile_tests.rs"]
mod tests;
