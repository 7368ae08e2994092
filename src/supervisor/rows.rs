//! The registry as the supervisor knows it: read again whenever the file has changed, and beside it
//! what was last acted upon. A registry that is suddenly gone never reads as "no modules", and a row
//! that has gone bad reads as it last was.

use crate::{
    error::{Code, Error, Result},
    home::Home,
    modules::registry::{Registry, Row},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What tells one state of the file from another: device, inode, size, mtime and its nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

#[derive(Default)]
struct Known {
    read: Option<(Stamp, Arc<Registry>)>,
    acted: Arc<Registry>,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Rows(Mutex<Known>);

impl Known {
    /// The row of a module that is acted upon, as it could last be read.
    fn last(&self, short: &str) -> Option<&Row> {
        let acted = self.acted.find(short)?;
        let read = self.read.as_ref().and_then(|(_, read)| read.find(short));
        Some(read.unwrap_or(acted))
    }

    /// Puts the rows that are there and cannot be read in their old places, as they were.
    fn keep(&self, registry: &mut Registry) {
        for short in &registry.left_out {
            let Some(row) = self.last(short).filter(|_| registry.find(short).is_none()) else {
                continue;
            };
            let known = self.acted.rows.iter();
            let after: Vec<&Row> = known.skip_while(|row| row.short() != short).collect();
            let follows = |row: &Row| after.iter().any(|later| later.short() == row.short());
            let at = registry.rows.iter().position(follows);
            let at = at.unwrap_or(registry.rows.len());
            registry.rows.insert(at, row.clone());
        }
    }
}

fn stamp(home: &Home) -> Option<Stamp> {
    let meta = fs::metadata(home.registry()).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
    ))
}

impl Rows {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry as the file has it now; read only when the file has changed.
    pub(super) fn now(&self, home: &Home) -> Result<Arc<Registry>> {
        let stamp = stamp(home);
        let mut known = self.known();
        if let (Some((old, registry)), Some(stamp)) = (&known.read, stamp)
            && *old == stamp
        {
            return Ok(registry.clone());
        }
        let mut registry = Registry::read(home)?;
        if stamp.is_none() && !known.acted.rows.is_empty() {
            return Ok(known.acted.clone());
        }
        known.keep(&mut registry);
        let registry = Arc::new(registry);
        known.read = stamp.map(|stamp| (stamp, registry.clone()));
        Ok(registry)
    }

    /// As [`Rows::now`]; the last good one when the file cannot be read.
    pub(super) fn latest(&self, home: &Home) -> Arc<Registry> {
        self.now(home).unwrap_or_else(|_| {
            let known = self.known();
            match &known.read {
                Some((_, registry)) => registry.clone(),
                None => known.acted.clone(),
            }
        })
    }

    /// Reads the registry to act upon it.
    pub(super) fn load(&self, home: &Home) -> Result<Arc<Registry>> {
        let registry = self.now(home)?;
        self.known().acted = registry.clone();
        Ok(registry)
    }

    /// What was acted upon before, and what is to be from now on.
    pub(super) fn reload(&self, home: &Home) -> Result<(Arc<Registry>, Arc<Registry>)> {
        let before = self.known().acted.clone();
        if stamp(home).is_none() && !before.rows.is_empty() {
            let file = home.registry();
            return Err(Error::new(
                Code::RegistryBroken,
                format!(
                    "{} is gone; its modules are kept as they are",
                    file.display()
                ),
            ));
        }
        Ok((before, self.load(home)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(dir: &tempfile::TempDir) -> Home {
        Home::new(dir.path())
    }

    /// Rows by name and port; port 0 makes a bad one.
    fn write(home: &Home, rows: &[(&str, u16)]) {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, port)| {
                serde_json::json!({"name": name, "port": port, "paths": [], "health": "/",
                    "version": "1"})
            })
            .collect();
        let text = serde_json::json!({ "services": rows }).to_string();
        // By another name first: a new inode each time, whatever the clock's grain is.
        let new = home.at("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, home.registry()).unwrap();
    }

    fn read(registry: &Registry) -> Vec<(&str, u16)> {
        let rows = registry.rows.iter();
        rows.map(|row| (row.short(), row.port)).collect()
    }

    #[test]
    fn a_row_that_has_gone_bad_reads_as_it_was_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (home, rows) = (home(&dir), Rows::default());
        write(&home, &[("a", 1), ("parachute-vault", 2), ("c", 3)]);
        rows.load(&home).unwrap();
        // Read since, and not acted upon: the newest of what could be read.
        write(&home, &[("a", 1), ("parachute-vault", 4), ("c", 3)]);
        rows.now(&home).unwrap();
        for _ in 0..2 {
            write(&home, &[("vault", 0), ("c", 3), ("bad", 0), ("vault", 0)]);
            let now = rows.now(&home).unwrap();
            assert_eq!(read(&now), [("vault", 4), ("c", 3)]);
            assert_eq!((now.warnings.len(), now.left_out.len()), (3, 3));
        }
        let (before, after) = rows.reload(&home).unwrap();
        assert_eq!(read(&before), [("a", 1), ("vault", 2), ("c", 3)]);
        assert_eq!(read(&after), [("vault", 4), ("c", 3)]);
        write(&home, &[("c", 3), ("parachute-vault", 5)]);
        let (before, after) = rows.reload(&home).unwrap();
        assert_eq!(read(&before), [("vault", 4), ("c", 3)]);
        assert_eq!(read(&after), [("c", 3), ("vault", 5)]);
        write(&home, &[("c", 3)]);
        assert_eq!(read(&rows.now(&home).unwrap()), [("c", 3)]);
        // The name of a good row, twice: the good one counts.
        write(&home, &[("c", 3), ("c", 7)]);
        let now = rows.now(&home).unwrap();
        assert_eq!((read(&now), now.left_out.len()), (vec![("c", 3)], 0));
    }
}
