//! `module.json` (contract, section 3), and writing one for a command given to `add`.

use super::registry::Row;
use crate::{error::Result, home::Home};

/// What a manifest says that we use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// `displayName`
    pub display_name: Option<String>,
    /// `tagline`
    pub tagline: Option<String>,
    /// `startCmd`, non-empty.
    pub start_cmd: Option<Vec<String>>,
}

/// The manifest of a row: what `add` wrote for its command under the home, else the one of its
/// `installDir`; `None` when there is none.
pub fn read(home: &Home, row: &Row) -> Result<Option<Manifest>> {
    todo!("{home:?} {row:?}")
}
