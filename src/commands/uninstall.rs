//! `parachute uninstall`.

use super::operation::{self, Work};
use crate::{
    error::{Exit, Result},
    lifecycle::Site,
    modules::registry::Registry,
    output::Output,
};

const WORK: Work = Work {
    verb: "uninstall",
    doing: "uninstalling",
    done: "uninstalled",
};

/// Have the hub uninstall a module
///
/// Not every hub does; `parachute remove` takes a module off this box and leaves its files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    let client = site.client()?;
    let registry = Registry::read(&site.home).unwrap_or_default();
    let short = operation::short(&registry, &args.name);
    let tell = &site.context().tell;
    tell.waiting(Some(&format!("{} {short}", WORK.doing)));
    let gone = client.uninstall(&short).await;
    tell.waiting(None);
    gone?;
    Ok(out.report(&WORK.done(&short, None)))
}
