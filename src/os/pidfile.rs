//! The record of a process that we spawned (contract, section 1): pid, start time, boot, spawn id.

use crate::{error::Result, home::Home};
use std::path::Path;

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

/// Reads a pidfile's text; `None` when it names no possible process (empty, 0, 1, negative,
/// huge, our own pid). Only the first 4 KiB count.
pub fn parse(text: &[u8]) -> Option<Record> {
    todo!("{text:?}")
}

/// The text of a pidfile.
pub fn render(record: &Record) -> String {
    todo!("{record:?}")
}

/// The record at a path under the home; `None` when there is no file or no possible process in it.
pub fn read(home: &Home, path: &Path) -> Result<Option<Record>> {
    todo!("{home:?} {path:?}")
}

/// Writes the record, by temp file and rename, folders made as needed.
pub fn write(home: &Home, path: &Path, record: &Record) -> Result<()> {
    todo!("{home:?} {path:?} {record:?}")
}

/// Removes the pidfile; none there is fine.
pub fn remove(home: &Home, path: &Path) -> Result<()> {
    todo!("{home:?} {path:?}")
}
