//! `parachute restart`.

use super::{
    changes,
    driving::{self, Aim, HubStart},
};
use crate::{
    error::{Exit, Result},
    lifecycle::Site,
    output::Output,
};

/// Stop and start everything on this box, or the modules named
///
/// Environment, folder and command are read anew. A module that was not running is started.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    aim: Aim,
    #[command(flatten)]
    hub: HubStart,
}

/// Carries it out.
pub async fn run(args: &Args, site: &mut Site, out: &Output) -> Result<Exit> {
    let targets = args.aim.targets();
    if args.aim.dry_run {
        return Ok(driving::dry_run(
            out,
            "restart",
            site.plan_restart(&targets, args.hub.how()).await?,
        ));
    }
    let changes = site.restart(&targets, args.hub.how()).await?;
    Ok(changes::report(out, "restart", &changes))
}
