//! Into a domain and out of it: enable, bootstrap, bootout, with what stands in the way of them
//! told first, as a hub that was booted out may not come back.

use super::{
    Launchd, PAUSE,
    answer::{self, Fault, fault},
    ask::{Found, Seen},
    ctl::within,
    domain::Domain,
    file::{self, OnDisk, Usable},
};
use crate::{
    error::{Code, Error, Result},
    manager::UnitState,
};
use tokio::time::{Instant, sleep};

impl Launchd {
    /// enable, bootstrap, kickstart, in the first domain that takes it.
    pub(super) async fn load(&self, doing: &str, found: &Found) -> Result<()> {
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
        let answer = self.tell(&["kickstart", &domain.target()], until).await?;
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
        let enabled = self.tell(&["enable", &domain.target()], until).await?;
        match fault(&enabled) {
            None | Some(Fault::Usage) => {}
            Some(fault @ (Fault::NoDomain | Fault::WrongDomain)) => {
                return Err(Next::Try(self.explained(doing, fault, &enabled, domain)));
            }
            Some(fault) => return Err(Next::Stop(self.explained(doing, fault, &enabled, domain))),
        }
        loop {
            let call = ["bootstrap", &domain.to_string(), &shown];
            let answer = self.tell(&call, until).await?;
            let fault = match fault(&answer) {
                None => return Ok(()),
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
                    match self.ask(domain, until + self.patience.call).await? {
                        Seen::Job(record) if record.state() != UnitState::Stopping => {
                            return Ok(());
                        }
                        Seen::Odd(_) => return Ok(()),
                        _ => {}
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

    /// Asks launchd to let go of it; that it is let go of is another matter.
    pub(super) async fn boot_out(&self, doing: &str, domain: Domain) -> Result<()> {
        let until = within(self.patience.settle);
        loop {
            let answer = self.tell(&["bootout", &domain.target()], until).await?;
            match fault(&answer) {
                None | Some(Fault::NotLoaded | Fault::InProgress | Fault::Already) => return Ok(()),
                Some(Fault::NoDomain | Fault::WrongDomain) => return Ok(()),
                Some(Fault::InputOutput) => {
                    match self.ask(domain, until + self.patience.call).await? {
                        Seen::NotLoaded | Seen::NoDomain => return Ok(()),
                        _ if Instant::now() + PAUSE >= until => {
                            return Err(self.explained(doing, Fault::InputOutput, &answer, domain));
                        }
                        _ => sleep(PAUSE).await,
                    }
                }
                Some(fault) => return Err(self.explained(doing, fault, &answer, domain)),
            }
        }
    }

    /// What a person switched off stays off.
    pub(super) async fn respect(&self, doing: &str, found: &Found) -> Result<()> {
        let file = match file::look(&self.place) {
            OnDisk::Usable(file) => file.job.disabled,
            _ => false,
        };
        for domain in &found.there {
            if self
                .overridden(*domain, self.call_until())
                .await?
                .unwrap_or(file)
            {
                return Err(answer::disabled(doing, *domain));
            }
        }
        Ok(())
    }

    /// The property list, when launchd would take it; else what is wrong with it and what to do.
    pub(super) fn usable(&self, doing: &str) -> Result<Usable> {
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
