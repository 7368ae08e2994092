//! Who carries out a verb on this box: the managed or the detached way, chosen once, in one
//! place. A verb names no way; it asks for a [`Site`] and tells it what it wants.

pub mod detached;
pub mod follow;
pub mod status;

use crate::{
    context::Context,
    error::{Code, Error, Exit, Result},
    home::{Home, rel},
    modules::registry::{Registry, Row},
    os::files,
};
use detached::Detached;
use follow::Follow;
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

/// The box that a verb acts on.
pub struct Site {
    /// Its home.
    pub home: Home,
    /// The uid that owns the home.
    pub owner: u32,
    /// Who carries verbs out.
    pub way: Lifecycle,
    /// What a person should know about the choice.
    pub notes: Vec<String>,
}

/// Who carries verbs out.
pub enum Lifecycle {
    /// Nobody but us: detached processes and pidfiles.
    Detached(Detached),
}

/// Looks at the box and decides, once.
pub async fn detect(cx: &Context) -> Result<Site> {
    let home = home_of(cx)?;
    let owner = crate::os::identity::owner(home.root())
        .map_err(|e| Error::io("look at", home.root(), &e))?;
    let way = Lifecycle::Detached(Detached::new(cx, home.clone(), owner));
    Ok(Site {
        home,
        owner,
        way,
        notes: Vec::new(),
    })
}

/// Which home, as far as files decide (contract, section 1).
fn home_of(cx: &Context) -> Result<Home> {
    if let Some(home) = &cx.explicit {
        return Ok(home.clone());
    }
    let own = cx.own.clone();
    let has_rows = |home: &Home| Registry::read(home).is_ok_and(|r| !r.rows.is_empty());
    if let Some(invoker) = &cx.invoker
        && !own.as_ref().is_some_and(has_rows)
        && has_rows(&invoker.home)
    {
        return Ok(invoker.home.clone());
    }
    own.ok_or_else(|| {
        Error::new(
            Code::HomeUnusable,
            "this user has no home directory, so there is no default box",
        )
        .hint("name one with `--home DIR` or PARACHUTE_HOME")
    })
}

impl Site {
    /// Starts; one change each.
    pub async fn start(&self, targets: &Targets) -> Result<Vec<Change>> {
        match &self.way {
            Lifecycle::Detached(way) => way.start(targets).await,
        }
    }

    /// Stops; one change each.
    pub async fn stop(&self, targets: &Targets) -> Result<Vec<Change>> {
        match &self.way {
            Lifecycle::Detached(way) => way.stop(targets).await,
        }
    }

    /// Restarts; one change each.
    pub async fn restart(&self, targets: &Targets) -> Result<Vec<Change>> {
        match &self.way {
            Lifecycle::Detached(way) => way.restart(targets).await,
        }
    }

    /// How everything stands; never fails for what it finds.
    pub async fn observe(&self) -> BoxStatus {
        match &self.way {
            Lifecycle::Detached(way) => way.observe().await,
        }
    }

    /// The registry has changed: a hub that runs is told.
    pub async fn reload(&self) -> Result<()> {
        match &self.way {
            Lifecycle::Detached(_) => Ok(()),
        }
    }

    /// The last `count` lines of each target's log.
    pub async fn logs(
        &self,
        targets: &Targets,
        count: usize,
    ) -> Result<Vec<(String, Vec<String>)>> {
        match &self.way {
            Lifecycle::Detached(way) => way.logs(targets, count),
        }
    }

    /// Follows the logs of these names (as [`Site::logs`] gave them), the last `back` lines first.
    pub async fn follow(&self, names: &[String], back: usize) -> Result<Follow> {
        match &self.way {
            Lifecycle::Detached(way) => way.follow(names, back),
        }
    }

    /// What `start` would do, in order.
    pub fn plan_start(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        match &self.way {
            Lifecycle::Detached(way) => way.plan_start(targets),
        }
    }

    /// What `stop` would do, in order.
    pub fn plan_stop(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        match &self.way {
            Lifecycle::Detached(way) => way.plan_stop(targets),
        }
    }

    /// What `restart` would do, in order.
    pub fn plan_restart(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        match &self.way {
            Lifecycle::Detached(way) => way.plan_restart(targets),
        }
    }

    /// Keeps the origin of `--hub-origin` in `hub/origin`; an empty one is forgotten.
    pub fn keep_origin(&self, origin: &str) -> Result<()> {
        let origin = origin.trim().trim_end_matches('/');
        if origin.is_empty() {
            return files::remove(&self.home, rel::HUB_ORIGIN);
        }
        let web = ["http://", "https://"]
            .iter()
            .any(|s| origin.strip_prefix(s).is_some_and(|r| !r.is_empty()));
        if !web || origin.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::new(Code::Usage, format!("`{origin}` is no origin"))
                .hint("an origin reads like `https://box.example.org`"));
        }
        files::replace(
            &self.home,
            rel::HUB_ORIGIN,
            0o644,
            format!("{origin}\n").as_bytes(),
        )
    }
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
