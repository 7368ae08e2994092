//! A module's log file: opened for appending, rotated by size (10 MiB, 5 kept: `<short>.log.1` is
//! the newest), its last lines read from the end. The supervisor rotates while it writes, the
//! detached way at the next start.

use crate::{error::Result, home::Home};
use std::{fs::File, path::Path};

/// Rotation happens at this size, in bytes.
pub const ROTATE_AT: u64 = 10 * 1024 * 1024;
/// How many old files are kept.
pub const KEEP: usize = 5;

/// Shifts `path` to `path.1` and so on when it has reached [`ROTATE_AT`]; the sixth goes. Says whether it did.
pub fn rotate_if_due(home: &Home, path: &Path) -> Result<bool> {
    todo!("{home:?} {path:?}")
}

/// The last `count` lines, oldest first, over rotated files too, without their newlines; bytes that
/// are no UTF-8 are replaced. Reads from the end, never the whole file. No file: none.
pub fn tail(home: &Home, path: &Path, count: usize) -> Result<Vec<String>> {
    todo!("{home:?} {path:?} {count}")
}

/// Opens the log for appending (0640), its folder made as needed.
pub fn open(home: &Home, path: &Path) -> Result<File> {
    todo!("{home:?} {path:?}")
}
