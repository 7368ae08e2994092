//! What `init` and `uninstall-unit` tell: the steps, as they would be or as they were.

use crate::{
    context::Context,
    manager::{
        Scope, Unit,
        systemd::{Plan, Step},
    },
    output::{Report, SCHEMA, style},
};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Root's units are the machine's, everybody else's are their own.
pub(super) fn scope(cx: &Context) -> Scope {
    if cx.uid == 0 {
        Scope::System
    } else {
        Scope::User
    }
}

/// One step for both views.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

#[derive(Debug, Serialize)]
struct UnitTold {
    path: PathBuf,
    scope: Scope,
}

/// The report of either verb.
#[derive(Debug, Serialize)]
pub(super) struct Told {
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
    /// Of an installation.
    pub(super) fn of(
        verb: &'static str,
        plan: &Plan,
        unit: &Unit,
        scope: Scope,
        path: PathBuf,
    ) -> Self {
        let mut told = Self::plan(verb, plan, scope, path);
        told.url = Some(format!("http://127.0.0.1:{}", unit.port));
        told
    }

    /// Of a plan without a unit at its end.
    pub(super) fn plan(verb: &'static str, plan: &Plan, scope: Scope, path: PathBuf) -> Self {
        Self {
            schema: SCHEMA,
            verb,
            dry_run: false,
            unit: UnitTold { path, scope },
            steps: plan.steps.iter().map(line).collect(),
            hub: None,
            url: None,
            notes: plan.notes.clone(),
            starts: false,
        }
    }

    /// Nothing was done.
    pub(super) fn would(mut self, starts: bool) -> Self {
        self.dry_run = true;
        self.starts = starts;
        self
    }

    /// It was done, and this became of the hub.
    pub(super) fn did(mut self, hub: Option<&'static str>) -> Self {
        self.hub = hub;
        self
    }
}

fn line(step: &Step) -> Line {
    let diff = match step {
        Step::Write {
            before: Some(before),
            after,
            ..
        } => Some(
            similar::TextDiff::from_lines(before, after)
                .unified_diff()
                .context_radius(2)
                .header("as it is", "as it should be")
                .to_string(),
        ),
        _ => None,
    };
    Line {
        what: step.to_string(),
        diff,
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
