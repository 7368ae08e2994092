//! Start, restart and stop of a module, carried to the state they reach: the hub's answer is
//! waited for, judged, and a failure comes with its cause and the module's last lines.

use super::{Client, Verdict, bare, judge, state_of};
use crate::{
    api::{ModuleState, Time},
    error::{Code, Error, Result},
};
use jiff::{Timestamp, Unit};
use std::time::{Duration, Instant};

/// A module that is still `starting` when the hub answers is watched this much longer.
const SETTLE: Duration = Duration::from_secs(5);
/// How often.
const PAUSE: Duration = Duration::from_millis(150);
/// So many of a module's last lines go with a failure.
const LINES: usize = 10;

/// What is asked of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It runs afterwards; one that runs already keeps running.
    Start,
    /// It runs afterwards in a new process.
    Restart,
}

/// A module that runs and is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Its leader.
    pub pid: Option<u32>,
    /// It ran before it was asked for.
    pub already: bool,
}

impl Client {
    /// Starts or restarts a module and returns when it is ready, or with why it is not: crashed,
    /// unbound, without its program. A restart of one that is not supervised is a start.
    pub async fn bring_up(&self, verb: Verb, short: &str) -> Result<Reached> {
        // As coarse as the times in a state are.
        let asked_at = Timestamp::now();
        let asked_at = Time(
            asked_at
                .round(Unit::Millisecond)
                .map_or(asked_at, |rounded| {
                    if rounded > asked_at {
                        rounded - Duration::from_millis(1)
                    } else {
                        rounded
                    }
                }),
        );
        let answer = match verb {
            Verb::Start => self.start(short).await,
            Verb::Restart => match self.restart(short).await {
                Err(e) if e.code == Code::NotSupervised => self.start(short).await,
                other => other,
            },
        };
        let state = match answer {
            Ok(answer) => answer.state,
            Err(e) => return Err(self.in_time(e, short).await),
        };
        match self.settled(state).await {
            Ok((pid, since)) => Ok(Reached {
                pid,
                already: verb == Verb::Start && since.is_some_and(|since| since < asked_at),
            }),
            Err(e) => Err(self.with_lines(e, short).await),
        }
    }

    /// Stops a module; `Ok(false)` when the hub did not supervise it. The state decides: one that
    /// is still running afterwards is [`Code::StillRunning`].
    pub async fn bring_down(&self, short: &str) -> Result<bool> {
        use crate::api::ModuleStatus::{Restarting, Running, Starting};
        let stopped = match self.stop(short).await {
            Ok(stopped) => stopped,
            Err(e) => return Err(self.in_time(e, short).await),
        };
        match &stopped.state {
            Some(state) if matches!(state.status, Running | Starting | Restarting) => {
                let pid = state
                    .pid
                    .map_or_else(String::new, |pid| format!(" (pid {pid})"));
                Err(Error::new(
                    Code::StillRunning,
                    format!("{short} still runs after it was stopped{pid}"),
                )
                .hint(format!(
                    "`parachute status` shows it; `parachute stop {short}` tries again"
                )))
            }
            _ => Ok(stopped.stopped),
        }
    }

    /// Watches a state until it is no longer on its way.
    async fn settled(&self, mut state: ModuleState) -> Result<(Option<u32>, Option<Time>)> {
        let until = Instant::now() + SETTLE;
        loop {
            match judge(&state) {
                Verdict::Ready { pid, since } => return Ok((pid, since)),
                Verdict::Failed(e) => return Err(e),
                Verdict::Pending => {}
            }
            if Instant::now() >= until {
                let short = &state.short;
                return Err(Error::new(
                    Code::StartedButUnbound,
                    format!("{short} was started and is not ready yet"),
                )
                .hint(format!(
                    "it may still come: `parachute status`; `parachute logs {short}` shows what \
                     it wrote"
                )));
            }
            // Hubs have no call that waits for a state.
            tokio::time::sleep(PAUSE).await;
            match state_of(&self.modules().await?, &state.short) {
                Some(now) => state = now,
                None => {
                    return Err(Error::new(
                        Code::NotSupervised,
                        format!("{} went away while it was starting", state.short),
                    )
                    .hint("its row may have been removed: `parachute status`"));
                }
            }
        }
    }

    /// A hub that is silent about one module but answers its health is not wedged: the module's
    /// change did not happen in time.
    async fn in_time(&self, error: Error, short: &str) -> Error {
        if error.code != Code::HubWedged || self.health().await.is_err() {
            return error;
        }
        Error::new(
            Code::TimedOut,
            format!("the hub is still busy with {short} and did not answer in time"),
        )
        .hint("it goes on by itself: `parachute status` shows how far it is")
    }

    /// Adds what the module wrote last, where the hub has it.
    async fn with_lines(&self, error: Error, short: &str) -> Error {
        match self.logs(short).await {
            Ok(lines) => {
                let from = lines.len().saturating_sub(LINES);
                let last = lines[from..]
                    .iter()
                    .map(|line| bare(short, line).to_owned())
                    .collect();
                error.log(last)
            }
            Err(_) => error,
        }
    }
}
