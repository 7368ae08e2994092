//! How a module is launched: argv, working directory, environment (contract, section 3). Pure but
//! for [`gather`], which reads the files; both ways of running a module use it, at every spawn.

use super::{manifest::Manifest, registry::Row};
use crate::{api::StartError, error::Result, home::Home, os::spawn::Plan};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// What the spawner itself brings.
#[derive(Clone, Debug, Default)]
pub struct Spawner {
    /// Its environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The user's own folder, for `~/.local/bin` and `~/.bun/bin`.
    pub user_dir: Option<PathBuf>,
    /// The port of a hub that runs here, for the origin of last resort.
    pub hub_port: Option<u16>,
    /// `NOTIFY_SOCKET` for the module, from our hub.
    pub notify_socket: Option<PathBuf>,
}

/// Everything a launch is made from.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The home.
    pub home: Home,
    /// The row.
    pub row: Row,
    /// Its manifest, where there is one.
    pub manifest: Option<Manifest>,
    /// Its `.env`, in order.
    pub dotenv: Vec<(OsString, OsString)>,
    /// The hub's origin from `hub/origin` or `expose-state.json`.
    pub origin: Option<String>,
    /// Folders of the PATH extension that exist.
    pub extra_path: Vec<PathBuf>,
    /// What was odd about the files, for people.
    pub warnings: Vec<String>,
}

/// Reads the files that a launch is made from. A known module whose manifest cannot be read falls
/// back to its default command, with a warning; for any other that is an error.
pub fn gather(home: &Home, row: &Row, spawner: &Spawner) -> Result<Inputs> {
    todo!("{home:?} {row:?} {spawner:?}")
}

/// The start command: the manifest's, else the first-party one; none is an error
/// ([`crate::error::Code::NoStartCommand`]).
pub fn command(row: &Row, manifest: Option<&Manifest>) -> Result<Vec<String>> {
    todo!("{row:?} {manifest:?}")
}

/// argv, cwd and environment, less the program's place on this machine. Pure.
pub fn plan(inputs: &Inputs, spawner: &Spawner, spawn_id: &str) -> Result<Launch> {
    todo!("{inputs:?} {spawner:?} {spawn_id}")
}

/// A launch whose executable has not been looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The command, non-empty.
    pub argv: Vec<String>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
    /// Its whole environment; no name twice.
    pub env: BTreeMap<OsString, OsString>,
}

/// Looks the executable and the folder up, before anything is spawned: missing
/// (`missing_dependency`), without its x bit (`non_executable`), folder gone (`spawn_failed`).
pub fn preflight(launch: &Launch) -> Result<Plan, StartError> {
    todo!("{launch:?}")
}
