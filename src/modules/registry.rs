//! `services.json` (contract, section 2): reading it strictly or leniently, and a store that
//! changes only what it means to change.

use crate::{api::StartError, error::Result, home::Home};
use std::path::PathBuf;

/// Who may reach a module from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// `allowed`
    Allowed,
    /// `loopback`
    Loopback,
    /// `auth-required`
    AuthRequired,
}

/// One row, as far as we know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `name`: the service name.
    pub name: String,
    /// `port`, at least 1.
    pub port: u16,
    /// `paths`
    pub paths: Vec<String>,
    /// `health`, starts with `/`.
    pub health: String,
    /// `version`
    pub version: String,
    /// `displayName`
    pub display_name: Option<String>,
    /// `tagline`
    pub tagline: Option<String>,
    /// `installDir`, absolute.
    pub install_dir: Option<PathBuf>,
    /// `publicExposure`
    pub exposure: Option<Exposure>,
    /// `stripPrefix`
    pub strip_prefix: Option<bool>,
    /// `uis` as it stands.
    pub uis: Option<serde_json::Value>,
    /// `lastStartError`; a malformed one reads as none.
    pub last_start_error: Option<StartError>,
}

impl Row {
    /// The name on the command line and in paths: `vault` for `parachute-vault`, else the name.
    pub fn short(&self) -> &str {
        todo!()
    }

    /// Where a client reaches it (contract, section 2).
    pub fn url(&self) -> String {
        todo!()
    }
}

/// The registry at one moment.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Good rows, in the file's order.
    pub rows: Vec<Row>,
    /// What was wrong with the others, for people.
    pub warnings: Vec<String>,
}

impl Registry {
    /// Lenient: bad rows are warnings. A missing file is empty; one that is no registry is an
    /// error ([`crate::error::Code::RegistryBroken`]).
    pub fn read(home: &Home) -> Result<Self> {
        todo!("{home:?}")
    }

    /// The row that a short or service name means.
    pub fn find(&self, name: &str) -> Option<&Row> {
        todo!("{name}")
    }

    /// For a `parachute-vault-*` row on another vault row's port: the row whose process it is
    /// a view of.
    pub fn process_of<'a>(&'a self, row: &'a Row) -> &'a Row {
        todo!("{row:?}")
    }
}

/// Sets or removes a row's `lastStartError`, under the lock; nothing is written when it is so already,
/// nor when there is no such row. For modules on the detached way.
pub fn set_start_error(home: &Home, name: &str, error: Option<&StartError>) -> Result<()> {
    todo!("{home:?} {name} {error:?}")
}
