//! Users: who owns a home, who called us, and acting as somebody else in a child that has
//! dropped its privileges.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Numeric id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Login name; the number where there is none.
    pub name: String,
    /// Home directory, as the user database has it.
    pub dir: PathBuf,
}

/// Our effective uid.
pub fn euid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user with this uid, when the user database has it.
pub fn user(uid: u32) -> Option<User> {
    todo!("{uid}")
}

/// The user of this name.
pub fn user_named(name: &str) -> Option<User> {
    todo!("{name}")
}

/// Whose a path is, links followed; for one that does not exist, its nearest parent that does.
pub fn owner(path: &Path) -> io::Result<u32> {
    todo!("{path:?}")
}

/// Runs this same binary with `args` as `user`: uid, gid, groups, HOME, USER, LOGNAME set, session
/// and terminal kept; standard streams inherited. Returns its exit status, 128+n for a death by
/// signal n. Signals that reach us meanwhile (SIGINT, SIGTERM, SIGHUP) are passed on.
pub fn run_as(user: &User, args: &[OsString], env: &[(OsString, OsString)]) -> io::Result<i32> {
    todo!("{user:?} {args:?} {env:?}")
}
