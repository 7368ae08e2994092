//! Locks beneath a home: flocks, which go with their holder. Every wait has a bound.

use super::{append, open};
use crate::{
    error::{Code, Error, Result},
    home::Home,
};
use rustix::{fs::Access, io::Errno};
use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

/// An exclusive lock on a file beneath the home (flock(2)): it goes with its holder, however that
/// ends. Waits at most `bound`, and blocks the thread meanwhile; then an error that says who may
/// hold it.
pub fn lock(home: &Home, path: impl AsRef<Path>, bound: Duration) -> Result<File> {
    let path = path.as_ref();
    take(home, path, lock_file(home, path)?, bound)
}

/// As [`lock`]; none where there is no lock file and the home's file system is read-only: nobody
/// has begun there, nor can anybody, what the lock would keep apart.
pub fn lock_if_writable(
    home: &Home,
    path: impl AsRef<Path>,
    bound: Duration,
) -> Result<Option<File>> {
    let path = path.as_ref();
    match lock_file(home, path) {
        Ok(file) => take(home, path, file, bound).map(Some),
        Err(_) if read_only(home) && matches!(open(home, path), Ok(None)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_only(home: &Home) -> bool {
    rustix::fs::access(home.root(), Access::WRITE_OK) == Err(Errno::ROFS)
}

/// The file to lock. On a file system that has become full or read-only, one that is there will do
/// as it is.
fn lock_file(home: &Home, path: &Path) -> Result<File> {
    match append(home, path, 0o644) {
        Err(error) if error.code == Code::Io => open(home, path)?.ok_or(error),
        opened => opened,
    }
}

fn take(home: &Home, path: &Path, file: File, bound: Duration) -> Result<File> {
    let deadline = Instant::now() + bound;
    let mut pause = Duration::from_millis(5);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(Error::io("lock", &home.at(path), &error));
            }
            Err(std::fs::TryLockError::WouldBlock) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let place = home.at(path);
            return Err(Error::new(
                Code::TimedOut,
                format!("{} is locked by another parachute", place.display()),
            )
            .hint(format!(
                "try again; `fuser -v {}` shows who holds it",
                place.display()
            )));
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Does somebody hold [`lock`] on this file. Where that is nobody, it is held for the moment that the
/// question takes.
pub fn locked(home: &Home, path: impl AsRef<Path>) -> bool {
    let Ok(Some(file)) = open(home, path) else {
        return false;
    };
    matches!(
        file.try_lock_shared(),
        Err(std::fs::TryLockError::WouldBlock)
    )
}
