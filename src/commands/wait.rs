//! `parachute wait`.

use crate::{
    context::Context,
    error::{Code, Error, Exit, Result},
    lifecycle::{
        Site,
        status::{BoxStatus, RowStatus, State},
        unknown_in,
    },
    output::Output,
};
use std::time::{Duration, Instant};

/// Wait until the modules named, or all of them, are active or inactive
///
/// Exit 0 when they are, 6 when the time is over, 3 when there is nothing to wait for. Prints nothing but what is still missing then.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Modules to wait for [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value_t = For::Active, value_name = "STATE")]
    pub want: For,
    /// How long at most, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub timeout: u64,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum For {
    /// Up and healthy
    Active,
    /// Not running, whatever the reason
    Inactive,
}

impl For {
    fn met(self, row: &RowStatus) -> bool {
        match self {
            Self::Active => row.state == State::Active,
            Self::Inactive => row.pid.is_none() && row.state != State::Pending,
        }
    }
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, cx: &Context, out: &Output) -> Result<Exit> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let hub_alone = !args.names.is_empty() && args.names.iter().all(|name| name == "hub");
    if site.barred.is_some() && !hub_alone {
        site.registry()?;
    }
    let first = site.observe().await;
    let none = first.rows().next().is_none();
    if args.names.is_empty() || none {
        // Nobody can say what all of it is where the registry cannot be read.
        site.registry()?;
        if args.names.is_empty() && args.want == For::Active && none {
            return Err(Error::new(
                Code::NotInstalled,
                "nothing is installed on this box, so nothing will be active",
            ));
        }
    }
    // Nothing tells of a module's health but asking; an observation costs a few milliseconds.
    let mut pause = Duration::from_millis(10);
    let mut seen = Some(first);
    loop {
        let now = match seen.take() {
            Some(first) => first,
            None => site.observe().await,
        };
        let missing = missing(site, &now, args)?;
        if missing.is_empty() {
            cx.tell.waiting(None);
            return Ok(out.answer("met", true, Exit::Success));
        }
        if Instant::now() >= deadline {
            cx.tell.waiting(None);
            let word = if args.want == For::Active {
                "active"
            } else {
                "inactive"
            };
            let said = format!(
                "not {word} after {} s: {}",
                args.timeout,
                missing.join(", ")
            );
            return Err(Error::new(Code::TimedOut, said).hint("`parachute status` shows why"));
        }
        cx.tell
            .waiting(Some(&format!("waiting for {}", missing.join(", "))));
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(250));
    }
}

/// Which of them are not there yet.
fn missing(site: &Site, status: &BoxStatus, args: &Args) -> Result<Vec<String>> {
    let mut rows: Vec<&RowStatus> = Vec::new();
    if args.names.is_empty() {
        rows.extend(status.rows());
    }
    for name in &args.names {
        let Some(row) = status.row(name) else {
            // Not to be seen in a registry that cannot be read is no answer.
            site.registry()?;
            return Err(unknown_in(status, name));
        };
        rows.push(row);
    }
    Ok(rows
        .into_iter()
        .filter(|row| !args.want.met(row))
        .map(|row| row.name.clone())
        .collect())
}
