//! The registry as the supervisor knows it: read again whenever the file has changed, and beside it
//! what was last acted upon. A registry that is suddenly gone never reads as "no modules".

use crate::{
    error::{Code, Error, Result},
    home::Home,
    modules::registry::Registry,
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
        let registry = Arc::new(Registry::read(home)?);
        if stamp.is_none() && !known.acted.rows.is_empty() {
            return Ok(known.acted.clone());
        }
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
