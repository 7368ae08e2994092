//! What a changing verb tells: what was done for each target, or what would be done.

use crate::{
    error::{Error, Exit, Result},
    lifecycle::{Change, Did, exit_of, shared_exit},
    output::{self, Output, Report, SCHEMA, style},
};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Done<'a> {
    schema: u32,
    verb: &'a str,
    changes: &'a [Change],
}

impl Report for Done<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (good, name, dim) = (style::GOOD, style::NAME, style::DIM);
        let width = self
            .changes
            .iter()
            .map(|c| c.who.chars().count())
            .max()
            .unwrap_or_default();
        for change in self.changes {
            let Ok(did) = &change.what else { continue };
            let pid = did
                .pid()
                .map(|pid| format!(" {dim}(pid {pid}){dim:#}"))
                .unwrap_or_default();
            let words = did.word().replace('_', " ");
            let who = format!("{:width$}", change.who);
            let mark = if matches!(did, Did::AlreadyRunning { .. } | Did::AlreadyStopped) {
                "·"
            } else {
                "✓"
            };
            writeln!(to, "{good}{mark}{good:#} {name}{who}{name:#}  {words}{pid}")?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        exit_of(self.changes)
    }
}

/// Tells what became of each target; gives the exit status.
pub(super) fn report(out: &Output, verb: &str, changes: &[Change]) -> Exit {
    let exit = out.report(&Done {
        schema: SCHEMA,
        verb,
        changes,
    });
    if !out.json() {
        let mut to = anstream::stderr().lock();
        for change in changes {
            if let Err(error) = &change.what {
                let _ = output::failure(&mut to, Some(&change.who), error);
            }
        }
    }
    exit
}

/// One step that a verb would take.
#[derive(Serialize)]
pub(super) struct Step {
    /// Target.
    pub(super) name: String,
    /// What would be done, for people.
    pub(super) would: String,
    /// Why it would not be.
    pub(super) error: Option<Error>,
}

impl Step {
    /// A step for a target, or why there is none.
    pub(super) fn of(name: String, what: Result<String>) -> Self {
        match what {
            Ok(would) => Self {
                name,
                would,
                error: None,
            },
            Err(error) => Self {
                name,
                would: String::new(),
                error: Some(error),
            },
        }
    }
}

#[derive(Serialize)]
struct Plan<'a> {
    schema: u32,
    verb: &'a str,
    dry_run: bool,
    steps: &'a [Step],
}

impl Report for Plan<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (dim, name) = (style::DIM, style::NAME);
        for step in self.steps {
            match &step.error {
                None => writeln!(to, "{dim}would{dim:#} {}", step.would)?,
                Some(error) => writeln!(to, "{name}{}{name:#}: {error}", step.name)?,
            }
        }
        if self.steps.is_empty() {
            writeln!(to, "nothing would be done")?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        shared_exit(self.steps.iter().filter_map(|s| s.error.as_ref()))
    }
}

/// Tells what would be done, in order, with nothing done.
pub(super) fn dry_run(out: &Output, verb: &str, steps: &[Step]) -> Exit {
    out.report(&Plan {
        schema: SCHEMA,
        verb,
        dry_run: true,
        steps,
    })
}
