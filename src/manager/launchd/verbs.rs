//! Start, stop, restart. Each looks first, does the least that leads there, and then waits until
//! launchd itself says that it is so: nearly all of its calls only begin something.

use super::{
    Launchd,
    answer::{self, Fault, explain, fault},
    ask::{Found, Record, Seen},
    ctl::{Answer, within},
    domain::Domain,
    file::{self, OnDisk, Usable},
    print::Printed,
    started, state,
};
use crate::{
    error::{Code, Error, Result},
    manager::{Cause, ServiceManager, Tail, UnitState},
};
use std::{os::unix::fs::MetadataExt, time::Duration};
use tokio::time::{Instant, sleep};

/// Between two questions while waiting; launchd has no event for it.
const PAUSE: Duration = Duration::from_millis(100);
/// Where launchd does not say it: our template's ExitTimeOut, which is above launchd's own 20 s.
const EXIT_TIMEOUT: u64 = 30;
/// A start time is known to a hundredth, a file's to its nanosecond, both by clocks that step.
const CLOCK_SLACK: i64 = 1;

impl Launchd {
    pub(super) async fn start_hub(&self, doing: &str) -> Result<()> {
        let found = self.find(self.look_until()).await?;
        let Some((domain, record)) = found.jobs.first() else {
            return self.load(doing, &found).await;
        };
        match record.state() {
            UnitState::Running { .. } => Ok(()),
            UnitState::Stopping => {
                self.wait_gone(doing, *domain, record.printed()).await?;
                self.load(doing, &found).await
            }
            _ if self.is_outdated(record) => self.reload(doing, &found).await,
            _ => self.kick(doing, *domain, record, &found).await,
        }
    }

    pub(super) async fn stop_hub(&self, doing: &str) -> Result<()> {
        let found = self.find(self.look_until()).await?;
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
        let doing = "restart";
        let found = self.find(self.look_until()).await?;
        let Some((domain, record)) = found.jobs.first() else {
            return self.load(doing, &found).await;
        };
        match record.state() {
            UnitState::Stopping => {
                self.wait_gone(doing, *domain, record.printed()).await?;
                self.load(doing, &found).await
            }
            _ if self.is_outdated(record) => self.reload(doing, &found).await,
            UnitState::Running { pid, .. } => {
                self.kick_over(doing, *domain, record, pid, &found).await
            }
            _ => self.kick(doing, *domain, record, &found).await,
        }
    }

    fn look_until(&self) -> Instant {
        within(self.patience.look)
    }

    /// Spawns a loaded job that does not run, whatever launchd is waiting for.
    async fn kick(
        &self,
        doing: &str,
        domain: Domain,
        record: &Record,
        found: &Found,
    ) -> Result<()> {
        let until = within(self.patience.start);
        let runs = record.printed().and_then(|job| job.runs);
        let answer = self
            .ctl
            .run(&["kickstart", &domain.target()], until)
            .await?;
        match fault(&answer) {
            None | Some(Fault::Already | Fault::InProgress) => {}
            Some(Fault::NotLoaded) => return self.load(doing, found).await,
            Some(fault) => return Err(self.explained(doing, fault, &answer, domain)),
        }
        match self.wait_running(doing, domain, None, runs, until).await {
            Err(error) if self.is_refused(domain).await => {
                tracing::debug!(%error, "loading the hub anew");
                self.reload(doing, found).await
            }
            other => other,
        }
    }

    /// Ends the live run and spawns another.
    async fn kick_over(
        &self,
        doing: &str,
        domain: Domain,
        record: &Record,
        pid: u32,
        found: &Found,
    ) -> Result<()> {
        let drain = self.drain_bound(record.printed());
        let runs = record.printed().and_then(|job| job.runs);
        let answer = self
            .ctl
            .run(&["kickstart", "-k", &domain.target()], within(drain))
            .await?;
        match fault(&answer) {
            None | Some(Fault::Already | Fault::InProgress) => {}
            Some(Fault::NotLoaded) => return self.load(doing, found).await,
            Some(fault) => return Err(self.explained(doing, fault, &answer, domain)),
        }
        let until = within(drain + self.patience.start);
        match self
            .wait_running(doing, domain, Some(pid), runs, until)
            .await
        {
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

    /// enable, bootstrap, kickstart, in the first domain that takes it.
    async fn load(&self, doing: &str, found: &Found) -> Result<()> {
        let file = self.usable(doing)?;
        self.respect(doing, found).await?;
        let mut first = None;
        for domain in self.place.domains() {
            match self.bootstrap(doing, domain, &file).await {
                Ok(()) => return self.settle_in(doing, domain).await,
                Err(Next::Stop(error)) => return Err(error),
                Err(Next::Try(error)) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| {
            Error::new(
                Code::ManagerUnreachable,
                "launchd has no domain for the hub",
            )
        }))
    }

    /// After a bootstrap: RunAtLoad has spawned it, or kickstart does; 37 says that it runs.
    async fn settle_in(&self, doing: &str, domain: Domain) -> Result<()> {
        let until = within(self.patience.start);
        let answer = self
            .ctl
            .run(&["kickstart", &domain.target()], until)
            .await?;
        match fault(&answer) {
            None | Some(Fault::Already | Fault::InProgress | Fault::Usage) => {}
            Some(fault) => return Err(self.explained(doing, fault, &answer, domain)),
        }
        self.wait_running(doing, domain, None, Some(0), until).await
    }

    async fn bootstrap(&self, doing: &str, domain: Domain, file: &Usable) -> Result<(), Next> {
        let until = within(self.patience.settle);
        let plist = self.place.plist();
        let shown = plist.to_string_lossy();
        let enabled = self.ctl.run(&["enable", &domain.target()], until).await?;
        match fault(&enabled) {
            None | Some(Fault::Usage) => {}
            Some(fault @ (Fault::NoDomain | Fault::WrongDomain)) => {
                return Err(Next::Try(self.explained(doing, fault, &enabled, domain)));
            }
            Some(fault) => return Err(Next::Stop(self.explained(doing, fault, &enabled, domain))),
        }
        loop {
            let call = ["bootstrap", &domain.to_string(), &shown];
            let answer = self.ctl.run(&call, until + PAUSE).await?;
            let fault = match fault(&answer) {
                None => return Ok(()),
                Some(Fault::Usage) => return self.load_old(doing, domain, &shown, until).await,
                Some(fault) => fault,
            };
            match fault {
                Fault::NoDomain
                | Fault::WrongDomain
                | Fault::DomainEnding
                | Fault::WrongSession => {
                    return Err(Next::Try(self.explained(doing, fault, &answer, domain)));
                }
                // 134 is said to root; to others it is a plain 5.
                Fault::InputOutput if !allows(file, domain) => {
                    return Err(Next::Try(self.explained(
                        doing,
                        Fault::WrongSession,
                        &answer,
                        domain,
                    )));
                }
                Fault::InputOutput | Fault::InProgress | Fault::Already | Fault::Loaded => {
                    if let Seen::Job(record) = self.ask(domain, until + PAUSE).await?
                        && record.state() != UnitState::Stopping
                    {
                        return Ok(());
                    }
                    if Instant::now() + PAUSE >= until {
                        return Err(Next::Stop(self.explained(doing, fault, &answer, domain)));
                    }
                    sleep(PAUSE).await;
                }
                _ => return Err(Next::Stop(self.explained(doing, fault, &answer, domain))),
            }
        }
    }

    /// Before OS X 10.10 there is no `bootstrap`.
    async fn load_old(
        &self,
        doing: &str,
        domain: Domain,
        plist: &str,
        until: Instant,
    ) -> Result<(), Next> {
        let answer = self.ctl.run(&["load", "-w", plist], until).await?;
        match fault(&answer) {
            None => Ok(()),
            Some(fault) => Err(Next::Stop(self.explained(doing, fault, &answer, domain))),
        }
    }

    /// Asks launchd to let go of it; that it is let go of is another matter.
    pub(super) async fn boot_out(&self, doing: &str, domain: Domain) -> Result<()> {
        let until = within(self.patience.settle);
        loop {
            let answer = self
                .ctl
                .run(&["bootout", &domain.target()], until + PAUSE)
                .await?;
            match fault(&answer) {
                None | Some(Fault::NotLoaded | Fault::InProgress | Fault::Already) => return Ok(()),
                Some(Fault::NoDomain | Fault::WrongDomain) => return Ok(()),
                Some(Fault::Usage) => {
                    let plist = self.place.plist();
                    let call = ["unload", &plist.to_string_lossy()];
                    let answer = self.ctl.run(&call, until + PAUSE).await?;
                    return match fault(&answer) {
                        None | Some(Fault::NotLoaded) => Ok(()),
                        Some(fault) => Err(self.explained(doing, fault, &answer, domain)),
                    };
                }
                Some(Fault::InputOutput) => match self.ask(domain, until + PAUSE).await? {
                    Seen::NotLoaded | Seen::NoDomain => return Ok(()),
                    _ if Instant::now() + PAUSE >= until => {
                        return Err(self.explained(doing, Fault::InputOutput, &answer, domain));
                    }
                    _ => sleep(PAUSE).await,
                },
                Some(fault) => return Err(self.explained(doing, fault, &answer, domain)),
            }
        }
    }

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
            match self.ask(domain, until + self.patience.look).await? {
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

    fn drain_bound(&self, job: Option<&Printed>) -> Duration {
        let own = job
            .and_then(|job| job.exit_timeout)
            .unwrap_or(EXIT_TIMEOUT)
            .min(600);
        Duration::from_secs(own) + self.patience.drain
    }

    /// Until it runs with another pid than `not`. An end after the spawn, which shows in a count
    /// of runs above `runs`, is a failed start.
    async fn wait_running(
        &self,
        doing: &str,
        domain: Domain,
        not: Option<u32>,
        runs: Option<u32>,
        until: Instant,
    ) -> Result<()> {
        loop {
            let seen = self.ask(domain, until + self.patience.look).await?;
            let late = Instant::now() >= until;
            let Seen::Job(record) = seen else {
                if late {
                    return Err(answer::lost(doing, domain));
                }
                sleep(PAUSE).await;
                continue;
            };
            let now = record.state();
            let spawned = match (record.printed().and_then(|job| job.runs), runs) {
                (Some(now), Some(before)) => now > before,
                _ => late,
            };
            match &now {
                UnitState::Running { pid, .. } if Some(*pid) != not => return Ok(()),
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

    /// What a person switched off stays off.
    async fn respect(&self, doing: &str, found: &Found) -> Result<()> {
        let file = match file::look(&self.place) {
            OnDisk::Usable(file) => file.job.disabled,
            _ => false,
        };
        for domain in &found.there {
            if self
                .overridden(*domain, self.look_until())
                .await?
                .unwrap_or(file)
            {
                return Err(answer::disabled(doing, *domain));
            }
        }
        Ok(())
    }

    /// The property list, when launchd would take it; else what is wrong with it and what to do.
    fn usable(&self, doing: &str) -> Result<Usable> {
        let path = self.place.plist();
        match file::look(&self.place) {
            OnDisk::Usable(file) => Ok(*file),
            OnDisk::Absent => Err(Error::new(
                Code::NotInstalled,
                format!("cannot {doing} the hub: there is no {}", path.display()),
            )
            .hint("run `parachute init`")),
            OnDisk::Unusable(why) => Err(Error::new(
                Code::UnitFailed,
                format!(
                    "cannot {doing} the hub: launchd would refuse {}: {why}",
                    path.display()
                ),
            )
            .hint("mend it, or run `parachute init` to write it anew")),
        }
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
        match self.ask(domain, self.look_until()).await {
            Ok(Seen::Job(record)) => record.printed().is_some_and(state::refused),
            _ => false,
        }
    }

    fn explained(&self, doing: &str, fault: Fault, answer: &Answer, domain: Domain) -> Error {
        explain(doing, fault, answer, domain, &self.place.plist())
    }
}

/// What to do after a domain did not take the hub.
enum Next {
    /// The next one may.
    Try(Error),
    /// None will.
    Stop(Error),
}

impl From<Error> for Next {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

/// Does the property list allow the session of this domain? Agents are Aqua's unless they say so.
fn allows(file: &Usable, domain: Domain) -> bool {
    let wanted = match domain {
        Domain::System => return true,
        Domain::Gui(_) => "Aqua",
        Domain::User(_) => "Background",
    };
    match file.dict.get("LimitLoadToSessionType") {
        None => wanted == "Aqua",
        Some(::plist::Value::String(only)) => only == wanted,
        Some(::plist::Value::Array(many)) => many.iter().any(|one| one.as_string() == Some(wanted)),
        Some(_) => true,
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
