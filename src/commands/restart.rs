//! `parachute restart`.

use super::changes::{self, Step};
use crate::{
    error::{Exit, Result},
    lifecycle::{Site, Targets},
    output::Output,
};

/// Stop and start everything on this box, or the modules named
///
/// Environment, folder and command are read anew. A module that was not running is started.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Modules to restart [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub dry_run: bool,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    let targets = Targets::of(&args.names);
    if args.dry_run {
        let plan = site.plan_restart(&targets)?;
        let steps: Vec<Step> = plan
            .into_iter()
            .map(|(name, what)| Step::of(name, what))
            .collect();
        return Ok(changes::dry_run(out, "restart", &steps));
    }
    let changes = site.restart(&targets).await?;
    Ok(changes::report(out, "restart", &changes))
}
