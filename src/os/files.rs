//! Files beneath a home, opened so that no link leads out of it, written whole or not at all.

use crate::{error::Result, home::Home};
use std::{fs::File, path::Path};

/// The bytes of a file beneath the home; `None` when it is not there. At most `limit` bytes; more
/// is an error.
pub fn read(home: &Home, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>> {
    todo!("{home:?} {:?} {limit}", path.as_ref())
}

/// Opens for reading; `None` when it is not there.
pub fn open(home: &Home, path: impl AsRef<Path>) -> Result<Option<File>> {
    todo!("{home:?} {:?}", path.as_ref())
}

/// Opens for appending, made with `mode` when it is not there, folders too (0755; 0700 when `mode`
/// lets nobody else read).
pub fn append(home: &Home, path: impl AsRef<Path>, mode: u32) -> Result<File> {
    todo!("{home:?} {:?} {mode}", path.as_ref())
}

/// Replaces a file by a temp file in the same folder, fsync and rename. Folders as in [`append`].
/// A file that is there keeps its mode unless `mode` is narrower.
pub fn replace(home: &Home, path: impl AsRef<Path>, mode: u32, bytes: &[u8]) -> Result<()> {
    todo!("{home:?} {:?} {mode} {bytes:?}", path.as_ref())
}

/// Removes a file; none there is fine.
pub fn remove(home: &Home, path: impl AsRef<Path>) -> Result<()> {
    todo!("{home:?} {:?}", path.as_ref())
}

/// Renames within the home.
pub fn rename(home: &Home, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    todo!("{home:?} {:?} {:?}", from.as_ref(), to.as_ref())
}

/// An exclusive lock on a file beneath the home (flock(2)): it goes with its holder, however that
/// ends. Waits at most `bound`; then an error that says who may hold it.
pub fn lock(home: &Home, path: impl AsRef<Path>, bound: std::time::Duration) -> Result<File> {
    todo!("{home:?} {:?} {bound:?}", path.as_ref())
}
