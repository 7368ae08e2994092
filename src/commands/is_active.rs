//! `parachute is-active`.

use crate::{
    error::{Exit, Result},
    lifecycle::{Site, status::State, unknown_in},
    output::Output,
};

/// Exit 0 when the module named, or everything on this box, is active; 1 when not. Prints nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module, or `hub` [default: everything]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    let status = site.observe().await;
    let active = match &args.name {
        Some(name) => match status.row(name) {
            Some(row) => row.state == State::Active,
            None => {
                site.registry()?;
                return Err(unknown_in(&status, name));
            }
        },
        None => {
            // Nobody can say what all of it is where the registry cannot be read.
            site.registry()?;
            status.rows().next().is_some() && status.rows().all(|row| row.state == State::Active)
        }
    };
    let exit = if active { Exit::Success } else { Exit::Failed };
    Ok(out.answer("active", active, exit))
}
