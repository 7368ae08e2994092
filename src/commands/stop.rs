//! `parachute stop`.

use super::{
    changes,
    driving::{self, Aim},
};
use crate::{
    error::{Exit, Result},
    lifecycle::Site,
    output::Output,
};

/// Stop everything on this box, or the modules named
///
/// Each module's whole process group gets SIGTERM, and SIGKILL when it takes too long. Only
/// processes that are proven to be this box's are signalled.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    aim: Aim,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    let targets = args.aim.targets();
    if args.aim.dry_run {
        return Ok(driving::dry_run(
            out,
            "stop",
            site.plan_stop(&targets).await?,
        ));
    }
    let changes = site.stop(&targets).await?;
    Ok(changes::report(out, "stop", &changes))
}
