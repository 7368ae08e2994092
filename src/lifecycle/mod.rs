//! Who carries out a verb on this box: the managed or the detached way, chosen once, in one
//! place. A verb names no way; it asks for a [`Site`] and tells it what it wants.

mod adopt;
pub mod choose;
mod detached;
mod detect;
pub mod follow;
mod hub_facts;
mod managed;
mod origin;
mod seen;
mod site;
mod stale;
pub mod status;

pub use detect::{detect, home, launchd, systemd_caller, without_hub};
pub use hub_facts::HubFacts;
pub use origin::Origin;
pub use site::{Lifecycle, Site, Start};

use crate::{
    context::Teller,
    error::{Code, Error, Exit, Result},
    manager::Tail,
    modules::{
        logfile,
        registry::{Registry, Row},
    },
};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use status::BoxStatus;

/// What a verb acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// No name was given.
    Everything,
    /// These, in the order given; `hub` or the name of a module.
    Named(Vec<String>),
}

impl Targets {
    /// From the command line: no names mean everything.
    pub fn of(names: &[String]) -> Self {
        if names.is_empty() {
            Self::Everything
        } else {
            Self::Named(names.to_vec())
        }
    }

    /// Is the hub among them: named, or everything.
    pub fn hub(&self) -> bool {
        match self {
            Self::Everything => true,
            Self::Named(names) => names.iter().any(|name| name == "hub"),
        }
    }

    /// Is the hub named.
    pub fn named_hub(&self) -> bool {
        *self != Self::Everything && self.hub()
    }

    /// The same without the hub; `None` when nothing is left of them.
    pub fn without_hub(&self) -> Option<Self> {
        match self {
            Self::Everything => Some(Self::Everything),
            Self::Named(names) => {
                let rest: Vec<String> = names
                    .iter()
                    .filter(|name| *name != "hub")
                    .cloned()
                    .collect();
                (!rest.is_empty()).then_some(Self::Named(rest))
            }
        }
    }
}

/// What became of one target.
#[derive(Clone, Debug)]
pub struct Change {
    /// Short name, or `hub`.
    pub who: String,
    /// What was done, or why not.
    pub what: Result<Did>,
}

impl Change {
    /// A target that something was done for.
    pub fn did(who: impl Into<String>, did: Did) -> Self {
        Self {
            who: who.into(),
            what: Ok(did),
        }
    }

    /// A target that failed.
    pub fn failed(who: impl Into<String>, error: Error) -> Self {
        Self {
            who: who.into(),
            what: Err(error),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It runs now.
    Started {
        /// Its leader, where known.
        pid: Option<u32>,
    },
    /// It ran already.
    AlreadyRunning {
        /// Its leader, where known.
        pid: Option<u32>,
    },
    /// It is gone now.
    Stopped,
    /// It was not running.
    AlreadyStopped,
    /// It runs anew.
    Restarted {
        /// Its leader, where known.
        pid: Option<u32>,
    },
}

impl Did {
    /// The word that machines see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::AlreadyRunning { .. } => "already_running",
            Self::Stopped => "stopped",
            Self::AlreadyStopped => "already_stopped",
            Self::Restarted { .. } => "restarted",
        }
    }

    /// The leader's pid, where there is one.
    pub fn pid(self) -> Option<u32> {
        match self {
            Self::Started { pid } | Self::AlreadyRunning { pid } | Self::Restarted { pid } => pid,
            Self::Stopped | Self::AlreadyStopped => None,
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_struct("Change", 4)?;
        out.serialize_field("name", &self.who)?;
        out.serialize_field("did", self.what.as_ref().map_or("failed", |did| did.word()))?;
        out.serialize_field("pid", &self.what.as_ref().ok().and_then(|did| did.pid()))?;
        out.serialize_field("error", &self.what.as_ref().err())?;
        out.end()
    }
}

/// The exit status of several changes: the one they share, or 1 when they failed differently.
pub fn exit_of(changes: &[Change]) -> Exit {
    shared_exit(changes.iter().filter_map(|c| c.what.as_ref().err()))
}

/// As [`exit_of`], of the errors alone.
pub fn shared_exit<'a>(errors: impl Iterator<Item = &'a Error>) -> Exit {
    let mut exits = errors.map(Error::exit);
    let Some(first) = exits.next() else {
        return Exit::Success;
    };
    if exits.all(|exit| exit == first) {
        first
    } else {
        Exit::Failed
    }
}

/// The lines that are not older than what was asked for; said where that cannot be told.
fn since(mut lines: Vec<String>, name: &str, tail: &Tail, tell: &dyn Teller) -> Vec<String> {
    if let Some(since) = tail.since
        && !logfile::newer(&mut lines, since.0)
    {
        tell.warn(&format!(
            "the lines of {name} carry no time, so its last {} are shown, however old",
            lines.len()
        ));
    }
    lines
}

/// The error for a name that no row of a status has.
pub fn unknown_in(status: &BoxStatus, name: &str) -> Error {
    let have: Vec<&str> = status.modules.iter().map(|row| row.name.as_str()).collect();
    unknown(&have, name)
}

/// The rows that names mean, each with what it was called; unknown ones as failures.
pub fn resolve(registry: &Registry, names: &[String]) -> Vec<(String, Result<Row>)> {
    let have: Vec<&str> = registry.rows.iter().map(Row::short).collect();
    names
        .iter()
        .map(|name| {
            (
                name.clone(),
                registry
                    .find(name)
                    .cloned()
                    .ok_or_else(|| unknown(&have, name)),
            )
        })
        .collect()
}

/// The error for a name that none of `have` is.
pub fn unknown(have: &[&str], name: &str) -> Error {
    let error = Error::new(
        Code::NotInstalled,
        format!("no module `{name}` on this box"),
    );
    match have {
        [] => error.hint(format!(
            "nothing is registered yet; `parachute add {name} --port N -- COMMAND…` does it"
        )),
        some => error.hint(format!("there is: {}", some.join(", "))),
    }
}
