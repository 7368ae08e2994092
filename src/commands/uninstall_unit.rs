//! `parachute uninstall-unit`: takes back what `init` did; the home and its modules stay.

use super::keeping::{self, Keeper, Told};
use crate::{
    context::Context,
    error::{Code, Error, Exit, Result},
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
    let keeper = Keeper::of(cx)?;
    let draft = keeper.remove().await?;
    if draft.replaces_other && !args.force {
        return Err(Error::new(
            Code::Refused,
            format!("{} runs a hub of other make", keeper.place()?.display()),
        )
        .hint("`--force` takes it away all the same"));
    }
    let (scope, place) = (keeping::scope(cx), keeper.place()?);
    let told = Told::of("uninstall-unit", &draft, scope, place, None);
    if args.dry_run {
        return Ok(out.report(&told.would(false)));
    }
    for note in &draft.notes {
        cx.tell.say(note);
    }
    keeper.apply(&draft).await?;
    Ok(out.report(&told.did(draft.stops.then_some("stopped"))))
}
