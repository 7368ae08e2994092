//! The registry's file, which alone in the home may be a link to elsewhere: its bytes, and putting
//! a new one in its place. Knows nothing of what is in it.

use crate::{
    error::{Code, Error, Result, reason},
    home::Home,
};
use cap_std::{ambient_authority, fs::Dir};
use cap_tempfile::TempFile;
use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// More than any registry has, in bytes.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The bytes of the registry, at most 64 MiB; `None` when there is no such file.
pub(super) fn read(home: &Home) -> Result<Option<Vec<u8>>> {
    let path = home.registry();
    // A FIFO in its place would block a plain open(2) for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(errno) => return missing(home, errno),
    };
    let failed = |error| Error::io("read", &path, &error);
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        let what = if meta.is_dir() {
            "is a directory, not a file"
        } else {
            "is not a regular file"
        };
        return Err(broken(&path, what).hint(format!("move {} out of the way", path.display())));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(LIMIT)).unwrap_or(0));
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(broken(&path, "is larger than 64 MiB"));
    }
    Ok(Some(bytes))
}

/// Nothing could be opened: is that no registry, or one that cannot be reached?
fn missing(home: &Home, errno: Errno) -> Result<Option<Vec<u8>>> {
    let path = home.registry();
    match errno {
        Errno::NOENT | Errno::LOOP if path.is_symlink() => {
            let target = fs::read_link(&path).unwrap_or_default();
            let what = format!("is a link to {}, which leads nowhere", target.display());
            Err(broken(&path, &what).hint("bring its target back, or remove the link"))
        }
        Errno::NOENT => Ok(None),
        Errno::NOTDIR => Err(Error::new(
            Code::HomeUnusable,
            format!("{} is not a directory", home.root().display()),
        )
        .hint("name another home with `--home`")),
        errno => Err(Error::io("read", &path, &errno.into())),
    }
}

/// A file that is no registry.
pub(super) fn broken(path: &Path, what: &str) -> Error {
    Error::new(Code::RegistryBroken, format!("{} {what}", path.display()))
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The new bytes are the registry now.
    Yes,
    /// Somebody else changed it meanwhile; nothing was done.
    Overtaken,
}

/// Puts `after` in the place of `before`, whole or not at all: temp file in the folder that the
/// file is really in, fsync, a last look, rename, fsync of the folder. Mode and owner are kept; a
/// new file gets 0644 less the umask.
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
    let mut temp = TempFile::new(&dir).map_err(failed)?;
    temp.write_all(after).map_err(failed)?;
    if before.is_some() {
        keep(&fs::metadata(&target).map_err(failed)?, &temp).map_err(failed)?;
    }
    temp.as_file().sync_all().map_err(failed)?;
    if read(home)?.as_deref() != before {
        return Ok(Replaced::Overtaken);
    }
    temp.replace(name).map_err(failed)?;
    // Some file systems cannot sync a folder; the rename has happened all the same.
    if let Ok(folder) = dir.open(".") {
        let _ = folder.sync_all();
    }
    Ok(Replaced::Yes)
}

/// Gives the temp file the owner and the mode of the file that it replaces. Owner first: chown(2)
/// clears mode bits. A group that we may not give stays ours.
fn keep(old: &fs::Metadata, temp: &TempFile<'_>) -> io::Result<()> {
    let file = temp.as_file();
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
    Error::new(
        code,
        format!(
            "cannot write {}: {}; it is as it was",
            path.display(),
            reason(error)
        ),
    )
}
