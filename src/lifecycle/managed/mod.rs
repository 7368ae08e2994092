//! The managed way: the hub is started, stopped and restarted by what keeps it, its modules
//! through its API. Signals nothing itself.

mod bring;
mod hub;
mod logs;
mod modules;
mod observe;
mod own;
mod plan;

use super::{Change, Did, Targets, follow::Stream, status::BoxStatus};
use crate::{
    client::{Bounds, Client},
    context::{Context, Teller},
    error::{Code, Error, Result},
    home::Home,
    manager::{Changes, Installed, ServiceManager, Tail},
};
use modules::Work;
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
            client: Client::new(home.clone(), port, vec![owner]),
            manager,
            found: Mutex::default(),
            trouble: None,
            start_bound: START_BOUND,
            tell: cx.tell.clone(),
        }
    }

    /// A hub with a unit; what the unit says of port and user is the truth.
    pub(super) fn unit(cx: &Context, home: &Home, owner: u32, unit: Found) -> Self {
        let (port, uid) = match unit.installed.as_ref().ok().or(unit.guess.as_ref()) {
            Some(installed) => (installed.port, installed.uid),
            None => (crate::api::HUB_PORT, None),
        };
        let allowed = std::iter::once(owner).chain(uid).collect();
        let (found, trouble) = match unit.installed {
            Ok(installed) => (Some(installed), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            home: home.clone(),
            client: Client::new(home.clone(), port, allowed),
            manager: unit.manager,
            found: Mutex::new(found),
            trouble,
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
        if let Some(strangers) = self.strangers(targets) {
            return Ok(strangers);
        }
        self.announce("starting", targets);
        let mut changes = Vec::new();
        let hub = self.hub_up().await;
        let failed = hub.as_ref().err().cloned();
        if targets.hub() || failed.is_some() || matches!(hub, Ok(Did::Started { .. })) {
            changes.push(Change {
                who: "hub".to_owned(),
                what: hub,
            });
        }
        if failed.is_none() {
            changes.extend(self.each(targets, Work::Start).await);
        }
        Ok(changes)
    }

    /// Stops the hub and with it its modules, or the modules named.
    pub async fn stop(&self, targets: &Targets) -> Result<Vec<Change>> {
        if targets.hub() {
            self.announce("stopping", targets);
            let what = self.hub_down().await;
            return Ok(vec![Change {
                who: "hub".to_owned(),
                what,
            }]);
        }
        Ok(self.each(targets, Work::Stop).await)
    }

    /// Restarts the hub and with it its modules, or the modules named.
    pub async fn restart(&self, targets: &Targets) -> Result<Vec<Change>> {
        if targets.hub() {
            self.announce("restarting", targets);
            let what = self.hub_again().await;
            return Ok(vec![Change {
                who: "hub".to_owned(),
                what,
            }]);
        }
        if let Some(strangers) = self.strangers(targets) {
            return Ok(strangers);
        }
        let mut changes = Vec::new();
        match self.hub_up().await {
            Ok(did @ Did::Started { .. }) => changes.push(Change::did("hub", did)),
            Ok(_) => {}
            Err(error) => return Ok(vec![Change::failed("hub", error)]),
        }
        changes.extend(self.each(targets, Work::Restart).await);
        Ok(changes)
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

    /// The last `count` lines of each target's log.
    pub async fn logs(&self, targets: &Targets, tail: &Tail) -> Result<Vec<(String, Vec<String>)>> {
        logs::tails(self, targets, tail).await
    }

    /// Follows the logs of these names, the last lines first.
    pub async fn follow(&self, names: &[String], tail: &Tail) -> Result<Stream> {
        logs::follow(self, names, tail).await
    }
}
