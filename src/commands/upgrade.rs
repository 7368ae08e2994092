//! `parachute upgrade`.

use super::operation::{self, Bound, Work};
use crate::{
    error::{Exit, Result},
    lifecycle::Site,
    modules::registry::Registry,
    output::Output,
};

const WORK: Work = Work {
    verb: "upgrade",
    doing: "upgrading",
    done: "upgraded",
};

/// Have the hub upgrade a module
///
/// What it says meanwhile is shown on stderr. Ctrl-C leaves it running. Not every hub upgrades
/// modules.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    bound: Bound,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    let client = site.client()?;
    let registry = Registry::read(&site.home).unwrap_or_default();
    let short = operation::short(&registry, &args.name);
    let id = client.upgrade(&short).await?;
    let tell = &*site.context().tell;
    WORK.watch(client, &short, &id, args.bound.get(), tell, out)
        .await
}
