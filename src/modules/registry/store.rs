//! Changing the registry while other programs change it too: under our lock, read anew inside it,
//! looked at again right before the rename. A file that cannot be read is never written over.

use super::{
    Document, file,
    replace::{Replaced, replace},
};
use crate::{
    api::StartError,
    error::{Code, Error, Result},
    home::{Home, rel},
    os::files,
};
use serde_json::Value;
use std::{fs::File, time::Duration};

/// How long to wait for whoever holds the lock.
const LOCK_BOUND: Duration = Duration::from_secs(5);
/// How often an edit is made anew because others changed the file meanwhile.
const ROUNDS: usize = 20;

/// Changes the registry. `change` says whether it changed anything, and may be called several
/// times, each time with the file's newest content; when it changes nothing, nothing is locked or
/// written. Says whether the file was written. A missing file counts as one without rows; the
/// home is made when it is not there. Waits at most 5 s for other writers of ours.
pub fn edit(home: &Home, mut change: impl FnMut(&mut Document) -> Result<bool>) -> Result<bool> {
    if !change(&mut load(home)?)? {
        return Ok(false);
    }
    lock(home)?.edit(change)
}

/// The registry while its lock is ours: what goes with a row is changed by no other program of
/// ours meanwhile either.
pub struct Locked<'h> {
    home: &'h Home,
    _lock: File,
}

/// Takes the registry's lock, which makes the home when it is not there. Waits at most 5 s.
pub fn lock(home: &Home) -> Result<Locked<'_>> {
    std::fs::create_dir_all(home.root()).map_err(|error| Error::io("make", home.root(), &error))?;
    let lock = files::lock(home, rel::REGISTRY_LOCK, LOCK_BOUND)?;
    Ok(Locked { home, _lock: lock })
}

impl Locked<'_> {
    /// As [`edit`]; every call of `change` is made with the lock held.
    pub fn edit(&self, mut change: impl FnMut(&mut Document) -> Result<bool>) -> Result<bool> {
        let home = self.home;
        for _ in 0..ROUNDS {
            let before = file::read(home)?;
            let mut document = parse(home, before.as_deref())?;
            if !change(&mut document)? {
                return Ok(false);
            }
            match replace(home, before.as_deref(), &document.render()?)? {
                Replaced::Yes => return Ok(true),
                Replaced::Overtaken => {}
            }
        }
        Err(Error::new(
            Code::TimedOut,
            format!(
                "{} kept changing while it was to be written",
                home.registry().display()
            ),
        )
        .hint("find out which other program keeps writing it, then try again"))
    }
}

/// The registry as [`edit`] would hand it out, to look at what an edit would do.
pub fn load(home: &Home) -> Result<Document> {
    parse(home, file::read(home)?.as_deref())
}

fn parse(home: &Home, bytes: Option<&[u8]>) -> Result<Document> {
    match bytes {
        Some(bytes) => Document::parse(bytes, &home.registry()),
        None => Ok(Document::default()),
    }
}

/// Sets or removes a row's `lastStartError`, under the lock; nothing is written when it is so already,
/// nor when there is no such row. For modules on the detached way.
pub fn set_start_error(home: &Home, name: &str, error: Option<&StartError>) -> Result<()> {
    const FIELD: &str = "lastStartError";
    let wanted = error
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| Error::new(Code::Io, format!("cannot render a start error: {error}")))?;
    edit(home, |document| {
        let Some(row) = document.row_mut(name) else {
            return Ok(false);
        };
        if row.get(FIELD) == wanted.as_ref() {
            return Ok(false);
        }
        match &wanted {
            Some(value) => row.insert(FIELD.to_owned(), Value::clone(value)),
            // Not `remove`, which would change the order of the others.
            None => row.shift_remove(FIELD),
        };
        Ok(true)
    })
    .map(drop)
}
