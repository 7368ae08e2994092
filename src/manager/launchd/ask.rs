//! Questions to launchd that change nothing: is the hub loaded, where, how does it stand, has a
//! person switched it off.

use super::{
    LABEL, Launchd,
    answer::{Fault, fault},
    disabled,
    domain::Domain,
    list::{self, Listed},
    print::{self, Printed},
    state,
};
use crate::{
    error::Result,
    manager::{Scope, UnitState},
};
use tokio::time::Instant;

/// What a person can read of an answer that we cannot.
const RAW_LIMIT: usize = 2000;

/// A job's record, by the better of two sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// By `launchctl print`.
    Printed(Box<Printed>),
    /// By `launchctl list`.
    Listed(Listed),
}

impl Record {
    /// How it stands.
    pub(super) fn state(&self) -> UnitState {
        match self {
            Self::Printed(job) => state::of_printed(job),
            Self::Listed(job) => state::of_listed(job),
        }
    }

    /// As printed.
    pub(super) fn printed(&self) -> Option<&Printed> {
        match self {
            Self::Printed(job) => Some(job),
            Self::Listed(_) => None,
        }
    }

    /// The pid of a run that is not known to be ending.
    pub(super) fn pid(&self) -> Option<u32> {
        match self.state() {
            UnitState::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }
}

/// What one domain says of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is loaded there.
    Job(Record),
    /// It is not.
    NotLoaded,
    /// There is no such domain for us.
    NoDomain,
    /// An answer that we cannot read.
    Odd(String),
}

/// What all candidate domains say.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Where it is loaded, the preferred domain first.
    pub jobs: Vec<(Domain, Record)>,
    /// The domains that are there.
    pub there: Vec<Domain>,
    /// The first answer that we cannot read, and whose.
    pub odd: Option<(Domain, String)>,
}

impl Launchd {
    /// Asks one domain.
    pub(super) async fn ask(&self, domain: Domain, until: Instant) -> Result<Seen> {
        let answer = self.ctl.run(&["print", &domain.target()], until).await?;
        let odd = match fault(&answer) {
            Some(Fault::NotLoaded) => return Ok(Seen::NotLoaded),
            Some(Fault::NoDomain | Fault::WrongDomain) => return Ok(Seen::NoDomain),
            None if answer.cut => "`launchctl print` does not end".to_owned(),
            None => match print::parse(&answer.out).filter(|job| job.label == LABEL) {
                Some(job) => return Ok(Seen::Job(Record::Printed(Box::new(job)))),
                None if answer.out.trim().is_empty() => "`launchctl print` says nothing".to_owned(),
                None => answer.out.chars().take(RAW_LIMIT).collect(),
            },
            Some(_) => format!("`launchctl print` says {}", answer.said()),
        };
        Ok(match self.ask_list(until).await? {
            Some(job) => Seen::Job(Record::Listed(job)),
            None => Seen::Odd(odd),
        })
    }

    /// The older question. It knows only the caller's own domain, so only there is it asked.
    async fn ask_list(&self, until: Instant) -> Result<Option<Listed>> {
        let own = match self.place.scope {
            Scope::System => self.caller == 0,
            Scope::User => self.caller == self.place.uid,
        };
        if !own {
            return Ok(None);
        }
        let answer = self.ctl.run(&["list", LABEL], until).await?;
        Ok(match fault(&answer) {
            None if !answer.cut => {
                list::parse(&answer.out).filter(|job| job.label.as_deref() == Some(LABEL))
            }
            _ => None,
        })
    }

    /// Asks every domain that the hub may be in.
    pub(super) async fn seek(&self, until: Instant) -> Result<Found> {
        let mut found = Found::default();
        for domain in self.place.domains() {
            match self.ask(domain, until).await? {
                Seen::NoDomain => continue,
                Seen::NotLoaded => {}
                Seen::Job(record) => found.jobs.push((domain, record)),
                Seen::Odd(said) => found.odd = found.odd.or(Some((domain, said))),
            }
            found.there.push(domain);
        }
        // The live one first, should it be loaded in two.
        found.jobs.sort_by_key(|(_, record)| match record.state() {
            UnitState::Running { .. } => 0,
            UnitState::Stopping => 1,
            _ => 2,
        });
        Ok(found)
    }

    /// Has a person switched it off, or on? `None` when launchd keeps no override.
    pub(super) async fn overridden(&self, domain: Domain, until: Instant) -> Result<Option<bool>> {
        let answer = self
            .ctl
            .run(&["print-disabled", &domain.to_string()], until)
            .await?;
        Ok(match fault(&answer) {
            None => disabled::parse(&answer.out, LABEL),
            Some(_) => None,
        })
    }
}
