//! Making processes: own session and group, standard streams, limits as found, a parent-death
//! signal where there is one. The one place with unsafe code (what runs between fork and exec).

use std::{
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// The executable, absolute.
    pub program: PathBuf,
    /// Its arguments, the zeroth included.
    pub argv: Vec<OsString>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
}

/// Where its output goes; its input is always `/dev/null`.
#[derive(Debug)]
pub enum Output {
    /// Both streams into one file or pipe.
    Both(OwnedFd),
    /// Apart.
    Apart {
        /// Standard output.
        out: OwnedFd,
        /// Standard error.
        err: OwnedFd,
    },
}

/// Spawns in a session and group of its own, soft file limit as it was when we started. With
/// `dies_with_parent`, on Linux, the kernel kills it when the *thread* that called this ends.
pub fn spawn(
    plan: &Plan,
    output: Output,
    dies_with_parent: bool,
) -> io::Result<std::process::Child> {
    todo!("{plan:?} {output:?} {dies_with_parent}")
}

/// Raises our own soft file limit to the hard one; children of [`spawn`] get the old one.
pub fn raise_file_limit() {
    todo!()
}

/// The executable that a program name means: with a `/` relative to `cwd`, else looked up in
/// `path` (a PATH value).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There it is, executable.
    Executable(PathBuf),
    /// There is a file, without its x bit for us.
    NotExecutable(PathBuf),
    /// Nowhere.
    Missing,
}

/// Looks a program up as execvp(3) would.
pub fn find(program: &str, cwd: Option<&Path>, path: &std::ffi::OsStr) -> Found {
    todo!("{program} {cwd:?} {path:?}")
}
