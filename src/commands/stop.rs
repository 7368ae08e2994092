//! `parachute stop`.

use super::changes::{self, Step};
use crate::{
    error::{Exit, Result},
    lifecycle::{Site, Targets},
    output::Output,
};

/// Stop everything on this box, or the modules named
///
/// Each module's whole process group gets SIGTERM, and SIGKILL when it takes too long. Only
/// processes that are proven to be this box's are signalled.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Modules to stop, or `hub` [default: all]
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
        let plan = site.plan_stop(&targets).await?;
        let steps: Vec<Step> = plan
            .into_iter()
            .map(|(name, what)| Step::of(name, what))
            .collect();
        return Ok(changes::dry_run(out, "stop", &steps));
    }
    let changes = site.stop(&targets).await?;
    Ok(changes::report(out, "stop", &changes))
}
