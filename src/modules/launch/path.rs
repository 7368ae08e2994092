//! The PATH that a module gets: a unit's is so short that it hides what people installed for
//! themselves.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Where Homebrew puts programs on a platform, by its own documentation.
fn brew(os: &str) -> &'static [&'static str] {
    match os {
        "macos" => &["/opt/homebrew/bin", "/usr/local/bin"],
        _ => &["/home/linuxbrew/.linuxbrew/bin"],
    }
}

/// What execvp(3) looks through when there is no PATH, and where people install programs.
const DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// The folders that a PATH is extended by and that exist.
pub(super) fn extension(user_dir: Option<&Path>) -> Vec<PathBuf> {
    let local = user_dir.map(|dir| dir.join(".local/bin"));
    let bun = user_dir.map(|dir| dir.join(".bun/bin"));
    local
        .into_iter()
        .chain(brew(std::env::consts::OS).iter().map(PathBuf::from))
        .chain(bun)
        .filter(|dir| dir.is_dir())
        .collect()
}

/// `PARACHUTE_EXTRA_PATH`, the spawner's PATH, and those of `extension` that are missing.
pub(super) fn extended(env: &BTreeMap<OsString, OsString>, extension: &[PathBuf]) -> OsString {
    let var = |name: &str| env.get(OsStr::new(name)).filter(|value| !value.is_empty());
    let mut path = var("PARACHUTE_EXTRA_PATH").cloned().unwrap_or_default();
    let base = var("PATH").map_or(OsStr::new(DEFAULT), OsString::as_os_str);
    append(&mut path, base);
    for dir in extension {
        let dir = dir.as_os_str();
        // A colon would make two folders of it.
        if !dir.as_bytes().contains(&b':') && !has(&path, dir) {
            append(&mut path, dir);
        }
    }
    path
}

fn append(path: &mut OsString, part: &OsStr) {
    if !path.is_empty() {
        path.push(":");
    }
    path.push(part);
}

fn has(path: &OsStr, dir: &OsStr) -> bool {
    std::env::split_paths(path).any(|other| other == Path::new(dir))
}
