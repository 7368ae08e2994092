//! The registry's file, which alone in the home may be a link to elsewhere: its bytes, or why they
//! cannot be had. Changes nothing and knows nothing of what is in it.

use crate::{
    error::{Code, Error, Result},
    home::Home,
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    fs::{self, File},
    io::Read,
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
