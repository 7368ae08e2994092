//! What `start`, `stop` and `restart` have in common: whom they are about, and how the hub is
//! meant.

use super::changes::{self, Step};
use crate::{
    error::{Exit, Result},
    lifecycle::{Start, Targets},
    output::Output,
};
use std::time::Duration;

/// Whom a verb is about.
#[derive(Debug, clap::Args)]
pub(super) struct Aim {
    /// Modules, or `hub` [default: everything]
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Aim {
    pub(super) fn targets(&self) -> Targets {
        Targets::of(&self.names)
    }
}

/// How the hub is started, where it must be.
#[derive(Debug, clap::Args)]
pub(super) struct HubStart {
    /// With `hub`: modules that run without one are restarted under it
    #[arg(long)]
    pub(super) adopt: bool,
    /// How long the hub may take to answer, in seconds [default: 15]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) timeout: Option<u64>,
}

impl HubStart {
    pub(super) fn how(&self) -> Start {
        Start {
            adopt: self.adopt,
            bound: self.timeout.map(Duration::from_secs),
        }
    }
}

/// Tells what would be done, in order.
pub(super) fn dry_run(out: &Output, verb: &str, plan: Vec<(String, Result<String>)>) -> Exit {
    let steps: Vec<Step> = plan
        .into_iter()
        .map(|(name, what)| Step::of(name, what))
        .collect();
    changes::dry_run(out, verb, &steps)
}
