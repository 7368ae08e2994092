//! The hub's property list on disk: whether it is there, whether launchd would use it, what it
//! says, and whose hub that makes it. Reads only.

use super::{
    bounded::FILE_LIMIT,
    domain::Place,
    plist::{self, Job},
};
use crate::{
    api::HUB_PORT,
    home::Home,
    manager::{Environment, Scope},
};
use ::plist::Dictionary;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A property list as found.
#[derive(Clone, Debug)]
pub(super) enum OnDisk {
    /// No such file.
    Absent,
    /// A file that launchd would refuse; why, for people.
    Unusable(String),
    /// One that launchd would use.
    Usable(Box<Usable>),
}

/// A property list that launchd would use.
#[derive(Clone, Debug)]
pub(super) struct Usable {
    /// All of it.
    pub dict: Dictionary,
    /// What it would run.
    pub job: Job,
    /// When it was last changed, in seconds since 1970.
    pub changed: i64,
}

/// Looks at the file of a place.
pub(super) fn look(place: &Place) -> OnDisk {
    let path = place.plist();
    match open(&path) {
        Ok(None) => OnDisk::Absent,
        Err(error) => OnDisk::Unusable(format!(
            "it cannot be read: {}",
            crate::error::reason(&error)
        )),
        Ok(Some((bytes, meta))) => match usable(place, &bytes, &meta) {
            Ok(usable) => OnDisk::Usable(Box::new(usable)),
            Err(why) => OnDisk::Unusable(why),
        },
    }
}

/// The bytes, one more than the limit at most; a link is followed, as launchd does.
pub(super) fn open(path: &Path) -> io::Result<Option<(Vec<u8>, std::fs::Metadata)>> {
    // A fifo would block the open: look first.
    match path.metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(None);
        }
        Err(e) => return Err(e),
        Ok(meta) if !meta.is_file() => return Err(io::Error::other("not a regular file")),
        Ok(_) => {}
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some((bytes, meta)))
}

fn usable(place: &Place, bytes: &[u8], meta: &std::fs::Metadata) -> Result<Usable, String> {
    let dict = plist::read(bytes)?;
    let job = plist::job(&dict)?;
    // launchd answers 122 to these ("Path had bad ownership/permissions").
    if meta.uid() != place.uid && meta.uid() != 0 {
        return Err(format!(
            "it belongs to uid {}, not {}",
            meta.uid(),
            place.uid
        ));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!(
            "its mode {:04o} lets others write it",
            meta.mode() & 0o7777
        ));
    }
    Ok(Usable {
        dict,
        job,
        changed: meta.ctime(),
    })
}

/// The port that a unit's environment says.
pub(super) fn port(env: &Environment) -> u16 {
    env.get("PORT")
        .and_then(|port| port.trim().parse().ok())
        .filter(|&port| port != 0)
        .unwrap_or(HUB_PORT)
}

/// The home of our own `--home`, else of the unit's environment, else of the user it runs as.
pub(super) fn home(given: Option<&str>, env: &Environment, dir: Option<&Path>) -> Option<Home> {
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    given
        .and_then(absolute)
        .or_else(|| absolute(env.get("PARACHUTE_HOME")?))
        .or_else(|| Some(absolute(env.get("HOME")?)?.join(".parachute")))
        .or_else(|| Some(dir?.join(".parachute")))
        .map(Home::new)
}

/// The user that it runs as: uid and folder, where they can be known.
pub(super) fn user(place: &Place, name: Option<&str>) -> (Option<u32>, Option<PathBuf>) {
    match (place.scope, name) {
        (Scope::User, _) => (Some(place.uid), place.user_dir.clone()),
        (Scope::System, name) => {
            let user = match name {
                Some(name) => crate::os::identity::user_named(name),
                None => crate::os::identity::user(0),
            };
            (user.as_ref().map(|u| u.uid), user.map(|u| u.dir))
        }
    }
}
