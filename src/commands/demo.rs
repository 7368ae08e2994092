//! `parachute demo`.

use crate::{
    error::{Exit, Result},
    context::Context,
    output::Output,
};

/// Put a module on this box
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub async fn run(_: &Args, _: &Context, _: &Output) -> Result<Exit> {
    Ok(Exit::Success)
}
