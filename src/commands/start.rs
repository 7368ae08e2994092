//! `parachute start`.

use super::{
    changes,
    driving::{self, Aim, HubStart},
};
use crate::{
    error::{Exit, Result},
    lifecycle::{Origin, Site},
    output::Output,
};

/// Start everything on this box, or the modules named
///
/// Returns when each is ready (a process of its own listens on its port) or has failed; a start
/// that fails is written into services.json with its reason. What runs already keeps running.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    aim: Aim,
    #[command(flatten)]
    hub: HubStart,
    /// The origin that modules are told this box is reached at; kept in hub/origin, "" forgets it
    #[arg(long, value_name = "URL")]
    hub_origin: Option<String>,
}

/// Carries it out.
pub async fn run(args: &Args, site: &mut Site, out: &Output) -> Result<Exit> {
    let targets = args.aim.targets();
    let origin = args.hub_origin.as_deref().map(Origin::parse).transpose()?;
    if args.aim.dry_run {
        return Ok(driving::dry_run(
            out,
            "start",
            site.plan_start(&targets, args.hub.how()).await?,
        ));
    }
    if let Some(origin) = &origin {
        site.keep_origin(origin.as_ref(), &targets)?;
    }
    let changes = site.start(&targets, args.hub.how()).await?;
    Ok(changes::report(out, "start", &changes))
}
