//! The folders above a file beneath a home: made as they are needed, taken away again when nothing
//! came of it. Removes none that has anything in it.

use super::{absent, fault, inside, root};
use crate::{error::Result, home::Home};
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use rustix::process::{Gid, Uid};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The folders above `path` that are not there, the innermost first.
pub fn missing_folders(home: &Home, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = inside(home, path.as_ref())?;
    let root = root(home)?;
    let there = |folder: &Path| {
        root.as_ref()
            .is_some_and(|r| r.symlink_metadata(folder).is_ok())
    };
    Ok(path
        .ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty() && !there(folder))
        .map(Path::to_path_buf)
        .collect())
}

/// Removes a folder that is empty; one that is not, and none there, are fine.
pub fn remove_folder(home: &Home, path: impl AsRef<Path>) -> Result<()> {
    let path = inside(home, path.as_ref())?;
    let Some(root) = root(home)? else {
        return Ok(());
    };
    match root.remove_dir(path) {
        Err(error) if !absent(&error) && error.kind() != ErrorKind::DirectoryNotEmpty => {
            Err(fault("remove the folder", home, path, &error))
        }
        _ => Ok(()),
    }
}

/// Makes the folders above `path`. Those that are there are left as they are.
pub(super) fn make_folders(root: &Dir, home: &Home, path: &Path, mode: u32) -> Result<()> {
    let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    if root.is_dir(parent) {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.mode(if mode & 0o077 == 0 { 0o700 } else { 0o755 });
    let mut so_far = PathBuf::new();
    for part in parent.components() {
        so_far.push(part);
        match root.create_dir_with(&so_far, &builder) {
            Ok(()) => {
                if let Some((user, group)) = others(root) {
                    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                    let _ = rustix::fs::chownat(root, &so_far, Some(user), Some(group), flags);
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fault("make the folder", home, &so_far, &error)),
        }
    }
    Ok(())
}

/// Whose a folder is, when we are root and it is not: what root makes there is that owner's.
pub(super) fn others(folder: &Dir) -> Option<(Uid, Gid)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let stat = rustix::fs::fstat(folder).ok()?;
    (stat.st_uid != 0).then(|| (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)))
}
