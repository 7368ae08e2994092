//! `parachute uninstall-unit`: takes back what `init` did; the home and its modules stay.

use super::keeping::{self, Told};
use crate::{
    context::Context,
    error::{Code, Error, Exit, Result},
    manager::systemd::{self, Caller, Step, Systemd},
    output::Output,
};

/// Stop the hub and take its unit away
///
/// The box's folder stays as it is. As root the machine's unit, else yours.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub dry_run: bool,
    /// Take away a unit that runs a hub of other make, too
    #[arg(long)]
    pub force: bool,
}

/// Carries it out.
pub async fn run(args: &Args, cx: &Context, out: &Output) -> Result<Exit> {
    if !systemd::booted() {
        return Err(Error::new(
            Code::ManagerUnreachable,
            "there is no service manager on this machine, and so no unit",
        ));
    }
    let scope = keeping::scope(cx);
    let manager = Systemd::new(scope, &Caller::of(cx));
    let plan = manager.plan_remove().await?;
    if plan.replaces_other && !args.force {
        return Err(Error::new(
            Code::Refused,
            format!("{} runs a hub of other make", systemd::UNIT),
        )
        .hint("`--force` takes it away all the same"));
    }
    let told = Told::plan("uninstall-unit", &plan, scope, manager.place()?);
    if args.dry_run {
        return Ok(out.report(&told.would(false)));
    }
    for note in &plan.notes {
        cx.tell.say(note);
    }
    manager.apply(&plan).await?;
    let stopped = plan.steps.contains(&Step::Stop).then_some("stopped");
    Ok(out.report(&told.did(stopped)))
}
