//! Start, stop, restart. Each looks first, does the least that leads there, and then waits until
//! launchd itself says that it is so: nearly all of its calls only begin something.

use super::{
    Launchd,
    answer::{Fault, explain, fault},
    ask::{Found, Record, Seen},
    ctl::{Answer, within},
    domain::Domain,
    file::{self, OnDisk, Usable},
    print::Printed,
    started, state,
};
use crate::{
    error::{Error, Result},
    manager::UnitState,
};
use std::{os::unix::fs::MetadataExt, time::Duration};
use tokio::time::Instant;

/// A start time is known to a hundredth, a file's to its nanosecond, both by clocks that step.
const CLOCK_SLACK: i64 = 1;

impl Launchd {
    pub(super) async fn start_hub(&self, doing: &str) -> Result<()> {
        let found = self.seek(self.call_until()).await?;
        match found.jobs.first() {
            Some((_, record)) if matches!(record.state(), UnitState::Running { .. }) => Ok(()),
            _ => self.bring_up(doing, &found).await,
        }
    }

    pub(super) async fn stop_hub(&self, doing: &str) -> Result<()> {
        let found = self.seek(self.call_until()).await?;
        for (domain, record) in &found.jobs {
            if record.state() != UnitState::Stopping {
                self.boot_out(doing, *domain).await?;
            }
            self.wait_gone(doing, *domain, record.printed()).await?;
        }
        if let Some((domain, _)) = &found.odd {
            self.boot_out(doing, *domain).await?;
            self.wait_gone(doing, *domain, None).await?;
        }
        Ok(())
    }

    pub(super) async fn restart_hub(&self) -> Result<()> {
        let found = self.seek(self.call_until()).await?;
        self.bring_up("restart", &found).await
    }

    /// To a run that is not there yet: a live one is kicked over.
    async fn bring_up(&self, doing: &str, found: &Found) -> Result<()> {
        let Some((domain, record)) = found.jobs.first() else {
            return match &found.odd {
                Some((domain, _)) => {
                    let over = doing == "restart";
                    self.kick(doing, *domain, None, over, found).await
                }
                None => self.load(doing, found).await,
            };
        };
        match record.state() {
            UnitState::Stopping => {
                self.wait_gone(doing, *domain, record.printed()).await?;
                self.load(doing, found).await
            }
            _ if self.is_outdated(record) => self.reload(doing, found).await,
            state => {
                let over = matches!(state, UnitState::Running { .. });
                self.kick(doing, *domain, Some(record), over, found).await
            }
        }
    }

    /// A call that changes something, given more time than the wait that it belongs to: one that
    /// is cut short is an answer lost.
    pub(super) async fn tell(&self, args: &[&str], until: Instant) -> Result<Answer> {
        self.ctl.run(args, until + self.patience.call).await
    }

    pub(super) fn call_until(&self) -> Instant {
        within(self.patience.call)
    }

    /// Spawns a loaded job, whatever launchd is waiting for; `over` ends the live run first. Without
    /// a record that can be read, launchd's word is all there is.
    async fn kick(
        &self,
        doing: &str,
        domain: Domain,
        record: Option<&Record>,
        over: bool,
        found: &Found,
    ) -> Result<()> {
        let job = record.and_then(Record::printed);
        let drain = if over {
            self.drain_bound(job)
        } else {
            Duration::ZERO
        };
        let until = within(drain + self.patience.start);
        let target = domain.target();
        let call: &[&str] = match over {
            true => &["kickstart", "-k", &target],
            false => &["kickstart", &target],
        };
        let answer = self.tell(call, until).await?;
        match fault(&answer) {
            None | Some(Fault::Already | Fault::InProgress) => {}
            Some(Fault::NotLoaded) => return self.load(doing, found).await,
            Some(fault) => return Err(self.explained(doing, fault, &answer, domain)),
        }
        let old = record.and_then(Record::pid).filter(|_| over);
        let runs = job.and_then(|job| job.runs);
        match self.wait_running(doing, domain, old, runs, until).await {
            Err(error) if self.is_refused(domain).await => {
                tracing::debug!(%error, "loading the hub anew");
                self.reload(doing, found).await
            }
            other => other,
        }
    }

    /// Out of every domain, then in again: the way to a binary or a property list that changed.
    async fn reload(&self, doing: &str, found: &Found) -> Result<()> {
        // Both would refuse the bootstrap, with the hub already ended.
        self.usable(doing)?;
        self.respect(doing, found).await?;
        for (domain, record) in &found.jobs {
            self.boot_out(doing, *domain).await?;
            self.wait_gone(doing, *domain, record.printed()).await?;
        }
        self.load(doing, found).await
    }

    /// The binary or the property list is not what launchd loaded: since macOS 27 it would refuse
    /// to spawn the one, and it never reads the other again.
    fn is_outdated(&self, record: &Record) -> bool {
        let OnDisk::Usable(file) = file::look(&self.place) else {
            return false;
        };
        if let Some(job) = record.printed()
            && (state::refused(job) || job.has("needs LWCR update") || differs(job, &file))
        {
            return true;
        }
        let Some(since) = record.pid().and_then(started) else {
            return false;
        };
        let binary = file
            .job
            .arguments
            .first()
            .and_then(|path| std::fs::metadata(path).ok());
        let changed = binary.map_or(file.changed, |meta| meta.ctime().max(file.changed));
        changed > since.0.as_second() + CLOCK_SLACK
    }

    /// Does macOS refuse the binary by now?
    async fn is_refused(&self, domain: Domain) -> bool {
        match self.ask(domain, self.call_until()).await {
            Ok(Seen::Job(record)) => record.printed().is_some_and(state::refused),
            _ => false,
        }
    }

    pub(super) fn explained(
        &self,
        doing: &str,
        fault: Fault,
        answer: &Answer,
        domain: Domain,
    ) -> Error {
        explain(doing, fault, answer, domain, &self.place.plist())
    }
}

/// Was it loaded from other words than the file now has?
fn differs(job: &Printed, file: &Usable) -> bool {
    let arguments =
        !job.arguments.is_empty() && job.arguments.join("\n") != file.job.arguments.join("\n");
    let environment = !job.environment.is_empty()
        && ["PARACHUTE_HOME", "PORT", "PARACHUTE_BIND_HOST", "PATH"]
            .iter()
            .any(|name| job.environment.get(*name) != file.job.environment.get(*name));
    arguments || environment
}
