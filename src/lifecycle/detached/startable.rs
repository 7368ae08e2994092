//! Which rows can be started at all when everything is meant, and what to say when none can.

use super::Detached;
use crate::{
    error::{Code, Error, Result},
    lifecycle::{Change, Targets},
    modules::{launch, registry::Row},
};

impl Detached {
    /// Everything: rows that nothing says how to start are passed over, and said. An error when
    /// none is left, and none has failed already.
    pub(super) fn startable(
        &self,
        rows: Vec<Row>,
        failed: &[Change],
        targets: &Targets,
    ) -> Result<Vec<Row>> {
        if *targets != Targets::Everything {
            return Ok(rows);
        }
        let (bare, rows): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| self.bare(row));
        for row in &bare {
            self.tell.say(&format!(
                "passing over {}: nothing says how to start it",
                row.short()
            ));
        }
        if !rows.is_empty() || !failed.is_empty() {
            return Ok(rows);
        }
        Err(match bare.as_slice() {
            [] => nothing_installed(),
            bare => nothing_startable(bare),
        })
    }

    /// Is there no start command for it.
    fn bare(&self, row: &Row) -> bool {
        let Ok(inputs) = launch::gather(&self.home, row, &self.spawner) else {
            return false;
        };
        launch::command(row, inputs.manifest.as_ref())
            .is_err_and(|e| e.code == Code::NoStartCommand)
    }
}

/// `start` on a box with nothing on it.
fn nothing_installed() -> Error {
    Error::new(Code::NotInstalled, "nothing is installed on this box yet").hint(
        "put a module on it with `parachute add NAME --port N -- COMMAND…`, or see it all at work with `parachute demo`",
    )
}

/// `start` on a box whose modules have no start command.
fn nothing_startable(rows: &[Row]) -> Error {
    let (message, name, port) = match rows {
        [row] => (
            format!(
                "the one module of this box, {}, has no start command",
                row.short()
            ),
            row.short(),
            row.port.to_string(),
        ),
        rows => (
            format!(
                "none of the {} modules of this box has a start command",
                rows.len()
            ),
            "NAME",
            "N".to_owned(),
        ),
    };
    Error::new(Code::NoStartCommand, message).hint(format!(
        "give it a command: `parachute add {name} --port {port} --replace -- COMMAND`"
    ))
}
