//! `parachute remove`.

use super::changes::{self, Step};
use crate::{
    error::{Exit, Result},
    lifecycle::{Change, Did, Site, Targets, exit_of},
    modules::{enrol, registry::Registry},
    output::{Output, Report, SCHEMA, style},
};
use serde::Serialize;
use std::io::{self, Write};

/// Take a module off this box
///
/// Stops it first; a module that does not end keeps its row. Its folder, data and log stay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    schema: u32,
    verb: &'a str,
    removed: &'a str,
    changes: &'a [Change],
}

impl Report for Told<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (good, name) = (style::GOOD, style::NAME);
        let stopped = self
            .changes
            .iter()
            .any(|c| matches!(c.what, Ok(Did::Stopped)));
        let stopped = if stopped { "stopped and " } else { "" };
        writeln!(
            to,
            "{good}✓{good:#} {name}{}{name:#}  {stopped}removed",
            self.removed
        )
    }
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    // Before anything is stopped: a registry that may not be changed keeps its modules running.
    let registry = Registry::read_strict(&site.home)?;
    let view = registry
        .find(&args.name)
        .is_some_and(|row| registry.process_of(row).name != row.name);
    let targets = Targets::Named(vec![args.name.clone()]);
    if args.dry_run {
        let mut plan = if view {
            Vec::new()
        } else {
            site.plan_stop(&targets).await?
        };
        if plan.iter().all(|(_, what)| what.is_ok()) {
            let would = format!(
                "remove the row of {} from {}",
                args.name,
                site.home.registry().display()
            );
            plan.push((args.name.clone(), Ok(would)));
        }
        let steps: Vec<Step> = plan
            .into_iter()
            .map(|(name, what)| Step::of(name, what))
            .collect();
        return Ok(changes::dry_run(out, "remove", &steps));
    }
    let stopped = if view {
        Vec::new()
    } else {
        site.stop(&targets).await?
    };
    if exit_of(&stopped) != Exit::Success {
        return Ok(changes::report(out, "remove", &stopped));
    }
    let row = enrol::remove(&site.home, &args.name)?;
    site.reload().await?;
    Ok(out.report(&Told {
        schema: SCHEMA,
        verb: "remove",
        removed: row.short(),
        changes: &stopped,
    }))
}
