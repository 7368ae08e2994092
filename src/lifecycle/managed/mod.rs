//! The managed way: the hub is started, stopped and restarted by what keeps it, its modules
//! through its API. Signals nothing itself.

mod agreed;
mod bring;
mod hub;
mod logs;
mod modules;
mod names;
mod observe;
mod own;
mod plan;

use super::{Change, Did, Targets, follow::Stream, status::BoxStatus};
use crate::{
    client::{Bounds, Client},
    context::{Context, Teller},
    error::{Code, Error, Result},
    home::Home,
    manager::{Changes, Installed, ServiceManager, Tail, UnitState},
};
use modules::Work;
use names::Named;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// How long a hub may take to answer its health after its manager started it.
pub(super) const START_BOUND: Duration = Duration::from_secs(15);
/// How long a hub may take to end, as its unit has it, before it is started again.
const STOP_BOUND: Duration = Duration::from_secs(20);
/// How many of the hub's last lines a failed start shows.
const EXCERPT: usize = 50;

/// A unit that was found, and what drives it.
pub(super) struct Found {
    pub(super) manager: Box<dyn ServiceManager>,
    pub(super) installed: Result<Installed>,
    /// What the unit's files say of it, when its manager cannot be asked.
    pub(super) guess: Option<Installed>,
}

/// A box with a hub.
pub struct Managed {
    home: Home,
    client: Client,
    manager: Box<dyn ServiceManager>,
    /// The unit as the choice found it, until it is looked at.
    found: Mutex<Option<Installed>>,
    /// Why the unit's manager cannot be asked.
    trouble: Option<Error>,
    /// The unit, where it runs a hub of other make.
    other_unit: Option<String>,
    start_bound: Duration,
    tell: Arc<dyn Teller>,
}

impl Managed {
    /// A hub without a unit, whose manager is a pidfile or somebody else.
    pub(super) fn new(
        cx: &Context,
        home: &Home,
        owner: u32,
        manager: Box<dyn ServiceManager>,
        port: u16,
    ) -> Self {
        Self {
            home: home.clone(),
            client: client(cx, home, port, vec![owner]),
            manager,
            found: Mutex::default(),
            trouble: None,
            other_unit: None,
            start_bound: START_BOUND,
            tell: cx.tell.clone(),
        }
    }

    /// A hub with a unit; what the unit says of port and user is the truth.
    pub(super) fn unit(cx: &Context, home: &Home, owner: u32, unit: Found) -> Self {
        let known = unit.installed.as_ref().ok().or(unit.guess.as_ref());
        let (port, uid) = match known {
            Some(installed) => (installed.port, installed.uid),
            None => (crate::api::HUB_PORT, None),
        };
        // One that cannot be read names no program.
        let names_none = |unit: &Installed| {
            matches!(
                unit.state,
                UnitState::NotInstalled | UnitState::Masked | UnitState::Broken { .. }
            )
        };
        let other_unit = known
            .filter(|unit| !unit.ours && !names_none(unit))
            .map(|unit| {
                let path = unit.path.as_ref().map(|path| path.display().to_string());
                path.unwrap_or_else(|| "its unit".to_owned())
            });
        let allowed = std::iter::once(owner).chain(uid).collect();
        let (found, trouble) = match unit.installed {
            Ok(installed) => (Some(installed), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            home: home.clone(),
            client: client(cx, home, port, allowed),
            manager: unit.manager,
            found: Mutex::new(found),
            trouble,
            other_unit,
            start_bound: START_BOUND,
            tell: cx.tell.clone(),
        }
    }

    /// For a hub that has just not answered its health: the rest is asked with less patience.
    pub(super) fn wedged(mut self) -> Self {
        let bounds = Bounds::default();
        self.client = self.client.bounds(Bounds {
            modules: bounds.health,
            ..bounds
        });
        self
    }

    /// With another bound for the hub's start.
    pub(super) fn bound(&mut self, bound: Duration) {
        self.start_bound = bound;
    }

    /// Starts the hub, and the modules named.
    pub async fn start(&self, targets: &Targets) -> Result<Vec<Change>> {
        let named = self.modules_named(targets).await;
        if !targets.hub()
            && let Some(strangers) = names::strangers(&named)
        {
            return Ok(strangers);
        }
        if *targets == Targets::Everything {
            self.announce_start().await;
        }
        self.with_hub_up(named, targets.hub(), Work::Start).await
    }

    /// Stops the hub and with it its modules, or the modules named.
    pub async fn stop(&self, targets: &Targets) -> Result<Vec<Change>> {
        let named = self.modules_named(targets).await;
        if !targets.hub() {
            return Ok(self.each(named, Work::Stop).await);
        }
        self.announce("stopping", targets);
        let what = self.hub_down().await;
        let modules = match what {
            Ok(did) => modules::gone_too(named, did),
            // What was named can still be stopped one by one.
            Err(_) => self.each(named, Work::Stop).await,
        };
        Ok(hub_first(what, modules))
    }

    /// Restarts the hub and with it its modules, or the modules named.
    pub async fn restart(&self, targets: &Targets) -> Result<Vec<Change>> {
        let named = self.modules_named(targets).await;
        if targets.hub() {
            self.announce("restarting", targets);
            let what = self.hub_again().await;
            let modules = match &what {
                Ok(_) => self.each(named, Work::Await).await,
                Err(_) if self.own_health().await.is_ok() => self.each(named, Work::Restart).await,
                Err(error) => names::stranded(named, "restarted", error),
            };
            return Ok(hub_first(what, modules));
        }
        if let Some(strangers) = names::strangers(&named) {
            return Ok(strangers);
        }
        self.with_hub_up(named, false, Work::Restart).await
    }

    /// Does one thing to each module named, with the hub up; the hub's own change is told when it
    /// is wanted, or when something was done about it.
    async fn with_hub_up(&self, named: Vec<Named>, hub: bool, work: Work) -> Result<Vec<Change>> {
        let what = self.hub_up().await;
        let modules = match &what {
            Ok(_) => self.each(named, work).await,
            Err(error) => names::stranded(named, work.done(), error),
        };
        Ok(match what {
            Ok(Did::AlreadyRunning { .. }) if !hub => modules,
            what => hub_first(what, modules),
        })
    }

    /// How everything stands; never fails for what it finds. `barred`: why nothing of the home is to
    /// be seen.
    pub async fn observe(&self, barred: Option<&Error>) -> BoxStatus {
        observe::observe(self, barred).await
    }

    /// Tells the hub that the registry has changed. A hub that is down reads it when it starts;
    /// one of other make is restarted for it.
    pub async fn reload(&self) -> Result<()> {
        match self.client.reload().await {
            Ok(_) => Ok(()),
            Err(e) if e.code == Code::HubUnreachable => Ok(()),
            Err(e) if matches!(e.code, Code::NotImplemented | Code::NotDrivable) => {
                self.tell
                    .warn("this hub reads its registry when it starts: `parachute restart hub`");
                Ok(())
            }
            Err(e) => {
                self.tell
                    .warn(&format!("the hub was not told of it: {}", e.message));
                Ok(())
            }
        }
    }

    /// Tells from now on when the hub's unit changes; `None` where its manager does not.
    pub async fn changes(&self) -> Option<Changes> {
        self.manager.changes().await.ok().flatten()
    }

    /// The hub, for verbs that are its own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The hub's unit, where that runs a hub of other make.
    pub(super) fn other_unit(&self) -> Option<&str> {
        self.other_unit.as_deref()
    }

    /// The last `count` lines of each target's log.
    pub async fn logs(&self, targets: &Targets, tail: &Tail) -> Result<Vec<(String, Vec<String>)>> {
        logs::tails(self, targets, tail).await
    }

    /// Follows the logs of these names, the last lines first.
    pub async fn follow(&self, names: &[String], tail: &Tail) -> Result<Stream> {
        logs::follow(self, names, tail).await
    }
}

fn hub_first(what: Result<Did>, modules: Vec<Change>) -> Vec<Change> {
    let hub = Change {
        who: "hub".to_owned(),
        what,
    };
    std::iter::once(hub).chain(modules).collect()
}

/// The hub of this home, which tells of a token that others can read.
fn client(cx: &Context, home: &Home, port: u16, allowed: Vec<u32>) -> Client {
    let tell = cx.tell.clone();
    Client::new(home.clone(), port, allowed).telling(move |what| tell.warn(what))
}
