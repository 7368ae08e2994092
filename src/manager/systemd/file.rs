//! Unit files on disk: read whole within bounds, written whole or not at all.

use super::UNIT;
use crate::error::{Code, Error, Result, reason};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// More than any unit file is.
const LIMIT: u64 = 1 << 20;

/// The text of a unit file; `None` where there is none, or a link that leads nowhere.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, &e)),
    };
    // A mask: a link to /dev/null.
    if !meta.is_file() {
        return Ok(None);
    }
    if meta.len() > LIMIT {
        return Err(Error::new(
            Code::Io,
            format!("{} is no unit file: it is too large", path.display()),
        ));
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) => Err(Error::new(
            Code::Io,
            format!("cannot read {}: {}", path.display(), reason(&e)),
        )),
    }
}

/// Whole or not at all, mode 0644. The temp name does not end in `.service`: systemd reads over it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let temp = folder.join(format!(".{UNIT}.{}", uuid::Uuid::new_v4().simple()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temp)?;
        // The umask may have taken more than systemd and its users need.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        File::open(folder)?.sync_all()
    };
    let done = write();
    if done.is_err() {
        fs::remove_file(&temp).ok();
    }
    done
}
