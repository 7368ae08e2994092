//! `parachute remove`.

use crate::{
    error::{Exit, Result},
    lifecycle::Site,
    output::Output,
};

/// Take a module off this box
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub async fn run(_: &Args, _: &Site, _: &Output) -> Result<Exit> {
    Ok(Exit::Success)
}
