//! Until it is so: nearly all calls of launchctl's only begin something, so `print` is asked until
//! it shows the end, under a deadline.

use super::{Launchd, PAUSE, answer, ask::Seen, ctl::within, domain::Domain, print::Printed};
use crate::{
    error::{Code, Error, Result},
    manager::{Cause, ServiceManager, Tail, UnitState},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Where launchd does not say it: our template's ExitTimeOut, which is above launchd's own 20 s.
const EXIT_TIMEOUT: u64 = 30;

impl Launchd {
    /// Until `print` no longer knows it. The record stays, with its pid, while the job drains.
    pub(super) async fn wait_gone(
        &self,
        doing: &str,
        domain: Domain,
        job: Option<&Printed>,
    ) -> Result<()> {
        let bound = self.drain_bound(job);
        let until = within(bound);
        loop {
            match self.ask(domain, until + self.patience.call).await? {
                Seen::NotLoaded | Seen::NoDomain => return Ok(()),
                _ if Instant::now() >= until => {
                    let target = domain.target();
                    return Err(Error::new(
                        Code::TimedOut,
                        format!(
                            "cannot {doing} the hub: it has not ended within {} s",
                            bound.as_secs()
                        ),
                    )
                    .hint(format!(
                        "look with `launchctl print {target}`, then try again"
                    )));
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    pub(super) fn drain_bound(&self, job: Option<&Printed>) -> Duration {
        let own = job
            .and_then(|job| job.exit_timeout)
            .unwrap_or(EXIT_TIMEOUT)
            .min(600);
        Duration::from_secs(own) + self.patience.drain
    }

    /// Until it runs with another pid than `not`. An end after the spawn, which shows in a count
    /// of runs above `runs`, is a failed start.
    pub(super) async fn wait_running(
        &self,
        doing: &str,
        domain: Domain,
        not: Option<u32>,
        runs: Option<u32>,
        until: Instant,
    ) -> Result<()> {
        loop {
            let seen = self.ask(domain, until + self.patience.call).await?;
            let late = Instant::now() >= until;
            let record = match seen {
                Seen::Job(record) => record,
                // It took the call; whether the hub is up, its health tells.
                Seen::Odd(_) => return Ok(()),
                Seen::NotLoaded | Seen::NoDomain if late => {
                    return Err(answer::lost(doing, domain));
                }
                Seen::NotLoaded | Seen::NoDomain => {
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let pid = record.printed().and_then(|job| job.pid);
            let now = record.state();
            let spawned = match (record.printed().and_then(|job| job.runs), runs) {
                (Some(now), Some(before)) => now > before,
                _ => late,
            };
            match &now {
                UnitState::Running { pid, .. } if Some(*pid) != not => return Ok(()),
                // A word of a newer system's, and a new process.
                UnitState::Unknown { .. } if pid.is_some() && pid != not => return Ok(()),
                UnitState::Retrying { cause, .. } | UnitState::Failed { cause }
                    if spawned && (not.is_none() || *cause != Cause::Signal(15)) =>
                {
                    return Err(self.failed(doing, cause).await);
                }
                UnitState::Stopped if spawned => {
                    return Err(self.failed(doing, &Cause::Exit(0)).await);
                }
                _ if late => return Err(answer::not_yet(doing, domain, &now)),
                _ => sleep(PAUSE).await,
            }
        }
    }

    async fn failed(&self, doing: &str, cause: &Cause) -> Error {
        let lines = Tail {
            lines: 10,
            since: None,
        };
        answer::failed(doing, cause).log(self.logs(&lines).await.unwrap_or_default())
    }
}
