//! How things stood before `add` wrote anything: to put a manifest's place back as it was, and to
//! say whether a module that runs would be launched in another way now.

use super::Planned;
use crate::{
    error::Result,
    home::{Home, rel},
    modules::{
        launch,
        manifest::{self, LIMIT},
        registry::Row,
    },
    os::files,
};
use std::path::PathBuf;

/// Taken with the registry's lock held, after everything that refuses has been asked.
pub(super) struct Before {
    /// Where a manifest is about to be written, when one is.
    manifest: Option<PathBuf>,
    /// What was there.
    text: Option<Vec<u8>>,
    /// The folders above it that were not there, the innermost first.
    folders: Vec<PathBuf>,
    /// The row that is replaced, and its start command.
    old: Option<(Row, Option<Vec<String>>)>,
}

impl Before {
    pub(super) fn of(home: &Home, planned: &Planned) -> Result<Self> {
        let old = planned.replaces.clone();
        let mut before = Self {
            manifest: None,
            text: None,
            folders: Vec::new(),
            old: old.map(|row| {
                let command = command(home, &row);
                (row, command)
            }),
        };
        if planned.manifest.is_some() {
            let path = rel::manifest(planned.row.short());
            before.text = files::read(home, &path, LIMIT)?;
            before.folders = files::missing_folders(home, &path)?;
            before.manifest = Some(path);
        }
        Ok(before)
    }

    /// Puts the manifest's place back as it was, as far as that can be done.
    pub(super) fn restore(&self, home: &Home) {
        let Some(path) = &self.manifest else { return };
        let _ = match &self.text {
            Some(text) => files::replace(home, path, 0o644, text),
            None => files::remove(home, path),
        };
        for folder in &self.folders {
            let _ = files::remove_folder(home, folder);
        }
    }

    /// Is there a row that was replaced, and is the module launched from anything else now: its
    /// port, folder or command. What only clients see of a row changes no process.
    pub(super) fn launches_anew(&self, home: &Home, row: &Row) -> bool {
        self.old.as_ref().is_some_and(|(old, was)| {
            old.port != row.port || old.install_dir != row.install_dir || *was != command(home, row)
        })
    }
}

fn command(home: &Home, row: &Row) -> Option<Vec<String>> {
    let manifest = manifest::read(home, row).ok()?;
    launch::command(row, manifest.as_ref()).ok()
}
