//! `parachute health`.

use crate::{
    error::{Exit, Result},
    lifecycle::{
        Site,
        status::{BoxStatus, State},
    },
    modules::registry::Registry,
    output::{Output, Report, SCHEMA},
};
use serde::Serialize;
use std::io::{self, Write};

/// This box in one word: healthy or empty (exit 0), starting, failing or stopped (exit 1)
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Health {
    schema: u32,
    health: &'static str,
    #[serde(skip)]
    exit: Exit,
}

impl Report for Health {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{}", self.health)
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

/// Carries it out.
pub async fn run(_: &Args, site: &Site, out: &Output) -> Result<Exit> {
    if let Some(barred) = &site.barred {
        return Err(barred.clone());
    }
    let status = site.observe().await;
    let (health, exit) = match Registry::read(&site.home) {
        // Nobody can say then what should run here.
        Err(error) => {
            out.warn(&error.message);
            ("failing", Exit::Failed)
        }
        Ok(_) => word(&status),
    };
    Ok(out.report(&Health {
        schema: SCHEMA,
        health,
        exit,
    }))
}

/// One word for a whole box. Modules that were stopped on purpose do not make a running one unwell.
fn word(status: &BoxStatus) -> (&'static str, Exit) {
    let any = |state| status.rows().any(|row| row.state == state);
    match () {
        () if status.rows().next().is_none() => ("empty", Exit::Success),
        () if any(State::Failing) => ("failing", Exit::Failed),
        () if any(State::Pending) => ("starting", Exit::Failed),
        () if any(State::Active) => ("healthy", Exit::Success),
        () => ("stopped", Exit::Failed),
    }
}
