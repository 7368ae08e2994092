//! What `init` and `uninstall-unit` tell: the steps, as they would be or as they were.

use super::{Draft, Line};
use crate::{
    manager::Scope,
    output::{Report, SCHEMA, style},
};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
};

#[derive(Debug, Serialize)]
struct UnitTold {
    path: PathBuf,
    scope: Scope,
}

/// The report of either verb.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Told {
    schema: u32,
    verb: &'static str,
    dry_run: bool,
    unit: UnitTold,
    steps: Vec<Line>,
    /// `started`, `restarted`, `stopped` or null.
    hub: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    notes: Vec<String>,
    #[serde(skip)]
    starts: bool,
}

impl Told {
    /// Of a plan; `port` is where its hub answers, when it leads to one.
    pub(in crate::commands) fn of(
        verb: &'static str,
        draft: &Draft,
        scope: Scope,
        path: PathBuf,
        port: Option<u16>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            verb,
            dry_run: false,
            unit: UnitTold { path, scope },
            steps: draft.lines.clone(),
            hub: None,
            url: port.map(|port| format!("http://127.0.0.1:{port}")),
            notes: draft.notes.clone(),
            starts: false,
        }
    }

    /// Nothing was done.
    pub(in crate::commands) fn would(mut self, starts: bool) -> Self {
        self.dry_run = true;
        self.starts = starts;
        self
    }

    /// It was done, and this became of the hub.
    pub(in crate::commands) fn did(mut self, hub: Option<&'static str>) -> Self {
        self.hub = hub;
        self
    }
}

impl Report for Told {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (good, bad, dim) = (style::GOOD, style::BAD, style::DIM);
        let mark = if self.dry_run { "would" } else { "✓" };
        for step in &self.steps {
            writeln!(to, "{good}{mark}{good:#} {}", step.what)?;
            for text in step.diff.iter().flat_map(|diff| diff.lines()) {
                match text.as_bytes().first() {
                    Some(b'+') => writeln!(to, "    {good}{text}{good:#}")?,
                    Some(b'-') => writeln!(to, "    {bad}{text}{bad:#}")?,
                    _ => writeln!(to, "    {dim}{text}{dim:#}")?,
                }
            }
        }
        match self.hub {
            Some(did) => writeln!(to, "{good}✓{good:#} hub {did}")?,
            None if self.starts => writeln!(
                to,
                "{good}would{good:#} start the hub and wait for its health"
            )?,
            None if self.steps.is_empty() && self.verb == "uninstall-unit" => writeln!(
                to,
                "{good}·{good:#} nothing to do: there is no unit at {}",
                self.unit.path.display()
            )?,
            None if self.steps.is_empty() => writeln!(
                to,
                "{good}·{good:#} nothing to do: {} is as it should be",
                self.unit.path.display()
            )?,
            None => {}
        }
        if self.dry_run {
            for note in &self.notes {
                writeln!(to, "{dim}  ! {note}{dim:#}")?;
            }
        }
        match &self.url {
            Some(url) if !self.dry_run => writeln!(to, "  → {url}"),
            _ => Ok(()),
        }
    }
}
