//! Files beneath a home, opened so that no link leads out of it, written whole or not at all.
//! Nothing here blocks on, or reads, what is no regular file. The home itself may be a link.

mod folders;
mod lock;

pub use self::{
    folders::{missing_folders, remove_folder},
    lock::{lock, lock_if_writable, locked},
};

use self::folders::{make_folders, others};
use crate::{
    error::{Code, Error, Result, reason},
    home::Home,
};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt, PermissionsExt},
};
use rustix::fs::OFlags;
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    path::{Component, Path},
};

/// The bytes of a file beneath the home; `None` when it is not there. At most `limit` bytes; more
/// is an error.
pub fn read(home: &Home, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>> {
    let path = path.as_ref();
    let Some(file) = open(home, path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", &home.at(path), &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Error::new(
            Code::Io,
            format!("{} is larger than {limit} bytes", home.at(path).display()),
        ));
    }
    Ok(Some(bytes))
}

/// The first `most` bytes of a file beneath the home, whatever its size.
pub fn read_start(home: &Home, path: impl AsRef<Path>, most: usize) -> Result<Option<Vec<u8>>> {
    let path = path.as_ref();
    let Some(file) = open(home, path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", &home.at(path), &error))?;
    Ok(Some(bytes))
}

/// Opens for reading; `None` when it is not there.
pub fn open(home: &Home, path: impl AsRef<Path>) -> Result<Option<File>> {
    let path = inside(home, path.as_ref())?;
    let Some(root) = root(home)? else {
        return Ok(None);
    };
    match regular(&root, path, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(fault("read", home, path, &error)),
    }
}

/// Opens for appending, made with `mode` when it is not there, folders too (0755; 0700 when `mode`
/// lets nobody else read).
pub fn append(home: &Home, path: impl AsRef<Path>, mode: u32) -> Result<File> {
    let path = inside(home, path.as_ref())?;
    let root = made_root(home)?;
    make_folders(&root, home, path, mode)?;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(mode);
    regular(&root, path, &mut options).map_err(|error| fault("write", home, path, &error))
}

/// Replaces a file by a temp file in the same folder, fsync and rename. Folders as in [`append`].
/// A file that is there keeps its mode unless `mode` is narrower. A link at that place is itself
/// replaced, not what it points to.
pub fn replace(home: &Home, path: impl AsRef<Path>, mode: u32, bytes: &[u8]) -> Result<()> {
    put(home, path.as_ref(), mode, bytes, true)
}

/// As [`replace`], without fsync: whole or not at all for every reader, for what means nothing any
/// more after a power failure.
pub fn replace_for_now(home: &Home, path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    put(home, path, mode, bytes, false)
}

fn put(home: &Home, path: &Path, mode: u32, bytes: &[u8], sync: bool) -> Result<()> {
    let path = inside(home, path)?;
    let fault = |error: io::Error| fault("write", home, path, &error);
    let root = made_root(home)?;
    make_folders(&root, home, path, mode)?;
    let (folder, name) = folder_of(&root, path).map_err(fault)?;
    let mode = match folder.symlink_metadata(name) {
        Ok(there) if there.is_dir() => return Err(fault(ErrorKind::IsADirectory.into())),
        Ok(there) if there.is_file() => there.permissions().mode() & mode,
        _ => mode,
    };
    let mut temp = Temp::new(&folder, mode & 0o777).map_err(fault)?;
    temp.file.write_all(bytes).map_err(fault)?;
    if sync {
        temp.file.sync_all().map_err(fault)?;
    }
    temp.become_file(name).map_err(fault)?;
    if sync {
        sync_folder(&folder);
    }
    Ok(())
}

/// Removes a file; none there is fine. A link is itself removed.
pub fn remove(home: &Home, path: impl AsRef<Path>) -> Result<()> {
    let path = inside(home, path.as_ref())?;
    let Some(root) = root(home)? else {
        return Ok(());
    };
    match root.remove_file(path) {
        Err(error) if !absent(&error) && !nothing_there(&root, path, &error) => {
            Err(fault("remove", home, path, &error))
        }
        _ => Ok(()),
    }
}

/// A read-only file system refuses a removal before it looks whether there is anything to remove.
fn nothing_there(root: &Dir, path: &Path, error: &io::Error) -> bool {
    error.kind() == ErrorKind::ReadOnlyFilesystem
        && root
            .symlink_metadata(path)
            .is_err_and(|error| absent(&error))
}

/// Renames within the home; the folder of `to` must be there. Replaces what is there.
pub fn rename(home: &Home, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let from = inside(home, from.as_ref())?;
    let to = inside(home, to.as_ref())?;
    let root = made_root(home)?;
    root.rename(from, &root, to)
        .map_err(|error| fault("rename", home, from, &error))
}

/// The names of what is in a folder beneath the home, in no order; none when it is not there.
pub fn list(home: &Home, path: impl AsRef<Path>) -> Result<Vec<std::ffi::OsString>> {
    let path = inside(home, path.as_ref())?;
    let Some(root) = root(home)? else {
        return Ok(Vec::new());
    };
    let entries = match root.read_dir(path) {
        Ok(entries) => entries,
        Err(error) if absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(fault("list", home, path, &error)),
    };
    let names: io::Result<Vec<_>> = entries.map(|e| e.map(|e| e.file_name())).collect();
    names.map_err(|error| fault("list", home, path, &error))
}

fn absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// Paths are relative to the home. An absolute one that lies beneath it as written will do too.
fn inside<'p>(home: &Home, path: &'p Path) -> Result<&'p Path> {
    let relative = path.strip_prefix(home.root()).unwrap_or(path);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if relative.as_os_str().is_empty() || !relative.components().all(plain) {
        return Err(Error::new(
            Code::HomeUnusable,
            format!(
                "{} is not beneath the home {}",
                path.display(),
                home.root().display()
            ),
        ));
    }
    Ok(relative)
}

/// The home's folder, links followed; `None` when there is none.
fn root(home: &Home) -> Result<Option<Dir>> {
    match Dir::open_ambient_dir(home.root(), ambient_authority()) {
        Ok(root) => Ok(Some(root)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(home_fault(home, &error)),
    }
}

/// The home's folder, made (0755, parents too) when there is none.
fn made_root(home: &Home) -> Result<Dir> {
    if let Some(root) = root(home)? {
        return Ok(root);
    }
    std::fs::create_dir_all(home.root()).map_err(|error| home_fault(home, &error))?;
    root(home)?.ok_or_else(|| home_fault(home, &ErrorKind::NotFound.into()))
}

fn home_fault(home: &Home, error: &io::Error) -> Error {
    let place = home.root().display();
    match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Error::new(
            Code::HomeUnusable,
            format!("the home {place} is not a directory"),
        )
        .hint("give another one with `--home` or `PARACHUTE_HOME`"),
        ErrorKind::PermissionDenied => Error::new(
            Code::NoPermission,
            format!("cannot open the home {place}: permission denied"),
        )
        .hint("run this as the owner of the home, or with `sudo`"),
        _ => Error::new(
            Code::HomeUnusable,
            format!("cannot open the home {place}: {}", reason(error)),
        ),
    }
}

/// Opens without waiting for the other end of a FIFO, then insists on a regular file.
fn regular(root: &Dir, path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    let file = root.open_with(path, options)?.into_std();
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(not_regular());
    }
    Ok(file)
}

fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}

fn folder_of<'p>(root: &Dir, path: &'p Path) -> io::Result<(Dir, &'p OsStr)> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let folder = match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => root.open_dir(parent)?,
        None => root.try_clone()?,
    };
    Ok((folder, name))
}

/// A file on its way: never readable by more people than it shall be, gone when it is dropped.
struct Temp<'d> {
    folder: &'d Dir,
    name: String,
    file: File,
    done: bool,
}

impl<'d> Temp<'d> {
    fn new(folder: &'d Dir, mode: u32) -> io::Result<Self> {
        let name = format!(".{}.tmp", uuid::Uuid::new_v4().simple());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let file = folder.open_with(&name, &options)?.into_std();
        let temp = Self {
            folder,
            name,
            file,
            done: false,
        };
        // As asked, whatever the umask.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        temp.file.set_permissions(permissions)?;
        if let Some((user, group)) = others(folder) {
            rustix::fs::fchown(&temp.file, Some(user), Some(group))?;
        }
        Ok(temp)
    }

    fn become_file(mut self, name: &OsStr) -> io::Result<()> {
        self.folder.rename(&self.name, self.folder, name)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.folder.remove_file(&self.name);
        }
    }
}

/// The rename is on disk once the folder is. Some file systems refuse it for folders; the rename
/// is atomic all the same.
fn sync_folder(folder: &Dir) {
    if let Ok(opened) = folder.open(".") {
        let _ = opened.sync_all();
    }
}

/// cap-std answers a link that leads out with a refusal of its own, without a number of the
/// operating system, or with EXDEV.
fn escapes(error: &io::Error) -> bool {
    let own = error.kind() == ErrorKind::PermissionDenied && error.raw_os_error().is_none();
    own || error.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error())
}

fn fault(doing: &str, home: &Home, path: &Path, error: &io::Error) -> Error {
    let place = home.at(path);
    if escapes(error) {
        return Error::new(
            Code::HomeUnusable,
            format!(
                "{} is, or is behind, a link that leads out of the home: it is not followed",
                place.display()
            ),
        )
        .hint("put the real file or folder there, or move the whole home");
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::new(
            Code::Io,
            format!("cannot {doing} {}: the disk is full", place.display()),
        )
        .hint(format!(
            "`df -h {}` shows the room left",
            home.root().display()
        )),
        ErrorKind::PermissionDenied => Error::io(doing, &place, error)
            .hint("everything in a home belongs to one user: run this as that user"),
        _ => Error::io(doing, &place, error),
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
