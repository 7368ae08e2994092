//! `parachute restart`.

use super::changes::{self, Step};
use crate::{
    error::{Exit, Result},
    lifecycle::{Site, Start, Targets},
    output::Output,
};
use std::time::Duration;

/// Stop and start everything on this box, or the modules named
///
/// Environment, folder and command are read anew. A module that was not running is started.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Modules to restart, or `hub` [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// With `start hub`: modules that run without a hub are restarted under it
    #[arg(long)]
    pub adopt: bool,
    /// How long the hub may take to answer, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: Option<u64>,
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub dry_run: bool,
}

impl Args {
    fn how(&self) -> Start {
        Start {
            adopt: self.adopt,
            bound: self.timeout.map(Duration::from_secs),
        }
    }
}

/// Carries it out.
pub async fn run(args: &Args, site: &mut Site, out: &Output) -> Result<Exit> {
    let targets = Targets::of(&args.names);
    if args.dry_run {
        let plan = site.plan_restart(&targets).await?;
        let steps: Vec<Step> = plan
            .into_iter()
            .map(|(name, what)| Step::of(name, what))
            .collect();
        return Ok(changes::dry_run(out, "restart", &steps));
    }
    let changes = site.restart(&targets, args.how()).await?;
    Ok(changes::report(out, "restart", &changes))
}
