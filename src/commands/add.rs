//! `parachute add`.

use super::changes::{self, Step};
use crate::{
    error::{Exit, Result},
    lifecycle::{
        Change, Lifecycle, Site, Start, Targets,
        status::{RowStatus, State},
    },
    modules::enrol::{self, Added, Addition},
    output::{Output, Report, SCHEMA, style},
};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Put a module on this box
///
/// Writes a row into services.json. What follows `--` is its start command, kept in a module.json
/// under the home; without one the folder's own .parachute/module.json says how to start it. A
/// program with a `/` in it that is relative is relative to DIR, without `--dir` to where you are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name: lower-case letters, digits, `.`, `_`, `-`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The port it listens on; it is told in the environment variable PORT
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// The path that answers when it is well [default: /health]
    #[arg(long, value_name = "PATH")]
    pub health: Option<String>,
    /// A path that it serves; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<String>,
    /// Its folder, where it is run
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Start it at once; one that runs is restarted when its port, folder or command changes
    #[arg(long)]
    pub start: bool,
    /// Change the row that is there; what is not given stays
    #[arg(long)]
    pub replace: bool,
    /// Take a reserved port (1939-1949), or one that somebody listens on
    #[arg(long)]
    pub force: bool,
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub dry_run: bool,
    /// Its start command
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Serialize)]
struct Told<'a> {
    schema: u32,
    verb: &'a str,
    module: &'a serde_json::Value,
    registry: PathBuf,
    manifest: Option<PathBuf>,
    changes: &'a [Change],
    #[serde(skip)]
    short: &'a str,
    #[serde(skip)]
    replaced: bool,
    /// What to do next.
    #[serde(skip)]
    next: Option<&'a str>,
}

impl Report for Told<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (good, name, hint) = (style::GOOD, style::NAME, style::HINT);
        let word = if self.replaced { "changed" } else { "added" };
        writeln!(
            to,
            "{good}✓{good:#} {name}{}{name:#}  {word} in {}",
            self.short,
            self.registry.display()
        )?;
        if let Some(verb) = self.next {
            writeln!(to, "{hint}hint{hint:#}: `parachute {verb} {}`", self.short)?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        crate::lifecycle::exit_of(self.changes)
    }
}

/// Carries it out.
pub async fn run(args: &Args, site: &mut Site, out: &Output) -> Result<Exit> {
    let addition = Addition {
        name: args.name.clone(),
        port: args.port,
        health: args.health.clone(),
        paths: args.paths.clone(),
        dir: args.dir.clone(),
        command: args.command.clone(),
        force: args.force,
        replace: args.replace,
        ..Addition::default()
    };
    if args.dry_run {
        let planned = enrol::check(&site.home, &addition)?;
        return Ok(changes::dry_run(out, "add", &steps(&planned, args.start)));
    }
    let added = enrol::add(&site.home, &addition)?;
    for warning in &added.warnings {
        out.warn(warning);
    }
    let short = added.row.short();
    site.reload().await?;
    let targets = Targets::Named(vec![short.to_owned()]);
    let changes = match (args.start, added.launches_anew) {
        (false, _) => Vec::new(),
        (true, false) => site.start(&targets, Start::default()).await?,
        // What runs would go on as it was launched before.
        (true, true) => site.restart(&targets, Start::default()).await?,
    };
    let next = match args.start || out.json() {
        true => None,
        false => Some(next(site, &added).await),
    };
    let exit = out.report(&Told {
        schema: SCHEMA,
        verb: "add",
        module: &added.json,
        registry: added.registry.clone(),
        manifest: added.manifest.clone(),
        changes: &changes,
        short,
        replaced: added.replaces.is_some(),
        next,
    });
    if !out.json() && args.start {
        return Ok(changes::report(out, "start", &changes));
    }
    Ok(exit)
}

/// The verb to go on with. A hub begins by itself what is new to it, and what runs already goes on
/// as it was launched.
async fn next(site: &Site, added: &Added) -> &'static str {
    let fresh = added.replaces.is_none() && !added.view;
    if fresh && matches!(site.way, Lifecycle::Detached(_)) {
        return "start";
    }
    let status = site.observe().await;
    let row = status
        .modules
        .iter()
        .find(|row| row.name == added.row.short());
    let runs =
        |row: &RowStatus| row.pid.is_some() || matches!(row.state, State::Active | State::Pending);
    match (row.is_some_and(runs), added.launches_anew) {
        (false, _) => "start",
        (true, false) => "status",
        (true, true) => "restart",
    }
}

fn steps(planned: &Added, start: bool) -> Vec<Step> {
    let short = planned.row.short();
    let mut steps = Vec::new();
    if let Some(manifest) = &planned.manifest {
        steps.push(format!(
            "write the start command of {short} to {}",
            manifest.display()
        ));
    }
    let change = if planned.replaces.is_some() {
        "change the row"
    } else {
        "add a row"
    };
    steps.push(format!(
        "{change} {} to {}",
        planned.json,
        planned.registry.display()
    ));
    if start {
        steps.push(match planned.launches_anew {
            true => format!("start {short}, or restart it where it runs"),
            false => format!("start {short}"),
        });
    }
    steps
        .into_iter()
        .map(|would| Step::of(short.to_owned(), Ok(would)))
        .collect()
}
