//! `parachute is-installed`.

use crate::{
    error::{Exit, Result},
    lifecycle::Site,
    output::Output,
};

/// Exit 0 when the module named, or any at all, is on this box; 3 when not. Prints nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module [default: any]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    let registry = site.registry()?;
    let there = match &args.name {
        Some(name) => registry.find(name).is_some(),
        None => !registry.rows.is_empty(),
    };
    let exit = if there {
        Exit::Success
    } else {
        Exit::NotInstalled
    };
    Ok(out.answer("installed", there, exit))
}
