//! Putting a new registry in the place of the old one, whole or not at all, unless somebody else
//! did so meanwhile. Knows nothing of what is in it.

use super::file::{broken, read};
use crate::{
    error::{Code, Error, Result, reason},
    home::Home,
};
use cap_std::{
    ambient_authority,
    fs::{Dir, File, OpenOptions, OpenOptionsExt},
};
use rustix::{
    fs::{Gid, Mode, RenameFlags, Uid},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The new bytes are the registry now.
    Yes,
    /// Somebody else changed it meanwhile; theirs is there.
    Overtaken,
}

/// Puts `after` in the place of `before`: temp file in the folder that the file is really in,
/// fsync, a last look, rename, fsync of the folder. Mode and owner are kept; a new file gets 0644
/// less the umask.
pub(super) fn replace(home: &Home, before: Option<&[u8]>, after: &[u8]) -> Result<Replaced> {
    let path = home.registry();
    let failed = |error: io::Error| write_error(&path, &error);
    let target = match fs::canonicalize(&path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound && before.is_none() => path.clone(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Replaced::Overtaken),
        Err(error) => return Err(failed(error)),
    };
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(broken(&path, "is not in a folder"));
    };
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
    let mut temp = Temp::new(&dir).map_err(failed)?;
    temp.file.write_all(after).map_err(failed)?;
    if before.is_some() {
        keep(&fs::metadata(&target).map_err(failed)?, &temp.file).map_err(failed)?;
    }
    temp.file.sync_all().map_err(failed)?;
    if read(home)?.as_deref() != before {
        return Ok(Replaced::Overtaken);
    }
    let replaced = temp.swap(name, before, after).map_err(failed)?;
    // Some file systems cannot sync a folder; the rename has happened all the same.
    if let Ok(folder) = dir.open(".") {
        let _ = folder.sync_all();
    }
    Ok(replaced)
}

/// A file that goes with its owner. It needs a name from the beginning: only named files can be exchanged.
struct Temp<'d> {
    dir: &'d Dir,
    name: String,
    file: File,
}

impl<'d> Temp<'d> {
    fn new(dir: &'d Dir) -> io::Result<Self> {
        let name = format!(".services.json.{}", uuid::Uuid::new_v4().simple());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o644);
        let file = dir.open_with(&name, &options)?;
        Ok(Self { dir, name, file })
    }

    /// Puts it in the place of `name`. Between the last look and this somebody may have renamed a
    /// file of theirs there, so the two are exchanged, and exchanged back when what comes out is
    /// not `before`.
    fn swap(&self, name: &OsStr, before: Option<&[u8]>, after: &[u8]) -> io::Result<Replaced> {
        let flags = match before {
            Some(_) => RenameFlags::EXCHANGE,
            None => RenameFlags::NOREPLACE,
        };
        let rename = |flags| rustix::fs::renameat_with(self.dir, &self.name, self.dir, name, flags);
        match rename(flags) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::EXIST) => return Ok(Replaced::Overtaken),
            // A file system, or a kernel, that knows plain renames only.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                self.dir.rename(&self.name, self.dir, name)?;
                return Ok(Replaced::Yes);
            }
            Err(errno) => return Err(errno.into()),
        }
        let is = |bytes: &[u8]| self.dir.read(&self.name).is_ok_and(|there| there == bytes);
        if before.is_none_or(is) {
            return Ok(Replaced::Yes);
        }
        rename(RenameFlags::EXCHANGE)?;
        if !is(after) {
            // Yet another one came while ours was there: it is the newest.
            self.dir.rename(&self.name, self.dir, name)?;
        }
        Ok(Replaced::Overtaken)
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        let _ = self.dir.remove_file(&self.name);
    }
}

/// Gives the temp file the owner and the mode of the file that it replaces. Owner first: chown(2)
/// clears mode bits. A group that we may not give stays ours.
fn keep(old: &fs::Metadata, file: &File) -> io::Result<()> {
    let new = rustix::fs::fstat(file)?;
    if new.st_uid != old.uid() {
        rustix::fs::fchown(file, Some(Uid::from_raw(old.uid())), None)?;
    }
    if new.st_gid != old.gid() {
        let _ = rustix::fs::fchown(file, None, Some(Gid::from_raw(old.gid())));
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode((old.mode() & 0o7777) as _))?;
    Ok(())
}

fn write_error(path: &Path, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => Code::NoPermission,
        _ => Code::Io,
    };
    let failed = Error::new(
        code,
        format!(
            "cannot write {}: {}; it is as it was",
            path.display(),
            reason(error)
        ),
    );
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failed.hint("`df -h` shows the room left")
        }
        io::ErrorKind::PermissionDenied => {
            failed.hint("run this as the user whom that file and its folder belong to")
        }
        _ => failed,
    }
}
