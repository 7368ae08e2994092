//! The place of a manifest before `add` wrote one there, to put it back as it was.

use super::Planned;
use crate::{
    error::Result,
    home::{Home, rel},
    modules::manifest::LIMIT,
    os::files,
};
use std::path::PathBuf;

/// Taken with the registry's lock held.
pub(super) struct Before {
    path: PathBuf,
    /// What was there.
    text: Option<Vec<u8>>,
    /// The folders above it that were not there, the innermost first.
    folders: Vec<PathBuf>,
}

impl Before {
    pub(super) fn of(home: &Home, planned: &Planned) -> Result<Self> {
        let path = rel::manifest(planned.row.short());
        Ok(Self {
            text: files::read(home, &path, LIMIT)?,
            folders: files::missing_folders(home, &path)?,
            path,
        })
    }

    /// As far as that can be done.
    pub(super) fn restore(&self, home: &Home) {
        let _ = match &self.text {
            Some(text) => files::replace(home, &self.path, 0o644, text),
            None => files::remove(home, &self.path),
        };
        for folder in &self.folders {
            let _ = files::remove_folder(home, folder);
        }
    }
}
