//! The managed way: the hub is started, stopped and restarted by what keeps it, its modules
//! through its API. Signals nothing itself.

mod hub;
mod logs;
mod observe;

use super::{Change, Did, Targets, follow::Stream, status::BoxStatus, unknown};
use crate::{
    client::{Bounds, Client, Identity, Look, Verb},
    context::{Context, Teller},
    error::{Code, Error, Result},
    home::Home,
    manager::{Installed, ServiceManager, Tail, UnitState},
    modules::registry::{Registry, Row},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;

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

    /// How everything stands; never fails for what it finds.
    pub async fn observe(&self) -> BoxStatus {
        observe::observe(self).await
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

    /// The hub, for verbs that are its own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What `start` would do, in order.
    pub async fn plan_start(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        let mut plan = Vec::new();
        let up = self.client.own_health().await.is_ok();
        if targets.hub() || !up {
            let would = if up {
                "leave the hub running".to_owned()
            } else {
                format!("have {} start the hub", self.manager.name())
            };
            plan.push(("hub".to_owned(), Ok(would)));
        }
        plan.extend(self.plan_each(targets, "start"));
        Ok(plan)
    }

    /// What `stop` would do, in order.
    pub async fn plan_stop(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        if targets.hub() {
            let with = self.module_names().join(", ");
            let with = if with.is_empty() {
                with
            } else {
                format!(", and with it {with}")
            };
            let would = format!("have {} stop the hub{with}", self.manager.name());
            return Ok(vec![("hub".to_owned(), Ok(would))]);
        }
        Ok(self.plan_each(targets, "stop"))
    }

    /// What `restart` would do, in order.
    pub async fn plan_restart(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        if targets.hub() {
            let would = format!("have {} restart the hub", self.manager.name());
            return Ok(vec![("hub".to_owned(), Ok(would))]);
        }
        let mut plan = Vec::new();
        if self.client.own_health().await.is_err() {
            let would = format!("have {} start the hub", self.manager.name());
            plan.push(("hub".to_owned(), Ok(would)));
        }
        plan.extend(self.plan_each(targets, "restart"));
        Ok(plan)
    }

    fn plan_each(&self, targets: &Targets, verb: &str) -> Vec<(String, Result<String>)> {
        let named = |(name, short): (String, Result<String>)| {
            (
                name,
                short.map(|short| format!("ask the hub to {verb} {short}")),
            )
        };
        self.shorts(targets).into_iter().map(named).collect()
    }

    /// The hub is up, or is brought up by its manager and waited for.
    async fn hub_up(&self) -> Result<Did> {
        match self.client.own_health().await {
            Ok(_) => {
                return Ok(Did::AlreadyRunning {
                    pid: self.pid().await,
                });
            }
            // Somebody else's hub, or one that does not answer: starting a second one helps nobody.
            Err(e) if matches!(e.code, Code::WrongHub) => return Err(e),
            // One that nobody here could start says more about itself than that.
            Err(e) if self.manager.name() == "external" => return Err(e),
            Err(_) => {}
        }
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        self.tell.waiting(Some("waiting for the hub"));
        let started = self.manager.start_within(self.start_bound).await;
        let up = match started {
            Ok(()) => self.healthy(None).await,
            Err(e) => Err(e),
        };
        self.tell.waiting(None);
        up?;
        Ok(Did::Started {
            pid: self.pid().await,
        })
    }

    async fn hub_down(&self) -> Result<Did> {
        let unit = self.look().await?;
        let stopped = matches!(
            unit.state,
            UnitState::Stopped | UnitState::NotInstalled | UnitState::Masked
        );
        if stopped {
            return self.nobody_answers(Did::AlreadyStopped).await;
        }
        let was_up = !matches!(unit.state, UnitState::Failed { .. });
        self.tell.waiting(Some("waiting for the hub to end"));
        let down = self.manager.stop().await;
        self.tell.waiting(None);
        down?;
        self.nobody_answers(if was_up {
            Did::Stopped
        } else {
            Did::AlreadyStopped
        })
        .await
    }

    /// What keeps the hub has none; one of this very home may still answer, from a terminal.
    async fn nobody_answers(&self, did: Did) -> Result<Did> {
        match self.client.look().await.map(|look| look.identity) {
            Ok(Identity::Match) => {
                let (manager, port) = (self.manager.name(), self.client.port());
                let who = self.holder(port);
                Err(Error::new(
                    Code::StillRunning,
                    format!(
                        "{manager} keeps no hub, and yet one of this home answers on port {port}: \
                         {who}"
                    ),
                )
                .hint("it runs in a terminal or a container: stop it there"))
            }
            _ => Ok(did),
        }
    }

    async fn hub_again(&self) -> Result<Did> {
        let before = self
            .client
            .own_health()
            .await
            .ok()
            .and_then(|look| look.health.instance);
        self.tell.waiting(Some("waiting for the hub to come back"));
        let bound = self.start_bound + STOP_BOUND;
        let again = match self.manager.restart_within(bound).await {
            Ok(()) => self.healthy(before.as_deref()).await,
            Err(e) => Err(e),
        };
        self.tell.waiting(None);
        again?;
        Ok(Did::Restarted {
            pid: self.pid().await,
        })
    }

    /// Waits for the hub's own health; on failure with why its manager thinks it is not up, and
    /// the hub's last lines.
    async fn healthy(&self, not: Option<&str>) -> Result<Look> {
        let error = match self.client.wait_healthy(self.start_bound, not).await {
            Ok(look) => return Ok(look),
            Err(error) => error,
        };
        let tail = Tail {
            lines: EXCERPT,
            since: None,
        };
        let lines = self.manager.logs(&tail).await.unwrap_or_default();
        let error = match self.manager.look().await.map(|unit| unit.state) {
            Ok(UnitState::Failed { cause } | UnitState::Retrying { cause, .. }) => Error::new(
                Code::UnitFailed,
                format!("the hub does not stay up: {}", hub::cause(&cause)),
            ),
            _ => error,
        };
        Err(error.log(lines))
    }

    /// How the unit stands: as the choice has just found it, later as it is then.
    async fn look(&self) -> Result<Installed> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        let found = self
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match found {
            Some(found) => Ok(found),
            None => self.manager.look().await,
        }
    }

    async fn pid(&self) -> Option<u32> {
        match self.manager.look().await.ok()?.state {
            UnitState::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    fn rows(&self) -> Registry {
        Registry::read(&self.home).unwrap_or_else(|error| {
            self.tell.warn(&error.message);
            Registry::default()
        })
    }

    fn module_names(&self) -> Vec<String> {
        self.rows()
            .rows
            .iter()
            .map(|row| row.short().to_owned())
            .collect()
    }

    /// Says what is about to be done when no name was given.
    fn announce(&self, doing: &str, targets: &Targets) {
        if *targets != Targets::Everything {
            return;
        }
        let names = self.module_names();
        let with = if names.is_empty() {
            String::new()
        } else {
            format!(", and with it {}", names.join(", "))
        };
        self.tell.say(&format!("{doing} the hub{with}"));
    }

    /// Failures, when no name given is one of this box: then the hub is not touched for them.
    fn strangers(&self, targets: &Targets) -> Option<Vec<Change>> {
        if targets.hub() {
            return None;
        }
        let failed = |(name, short): (String, Result<String>)| {
            short.err().map(|error| Change::failed(name, error))
        };
        self.shorts(targets).into_iter().map(failed).collect()
    }

    /// Who holds a port, for people.
    fn holder(&self, port: u16) -> String {
        let nobody = || "somebody who has just left".to_owned();
        Client::new(self.home.clone(), port, Vec::new())
            .listener()
            .unwrap_or_else(nobody)
    }

    /// The modules that targets name, by short name.
    fn shorts(&self, targets: &Targets) -> Vec<(String, Result<String>)> {
        let Targets::Named(names) = targets else {
            return Vec::new();
        };
        let registry = self.rows();
        let have: Vec<&str> = registry.rows.iter().map(Row::short).collect();
        let short = |name: &String| match registry.find(name) {
            Some(row) => Ok(registry.process_of(row).short().to_owned()),
            None => Err(unknown(&have, name)),
        };
        names
            .iter()
            .filter(|name| *name != "hub")
            .map(|name| (name.clone(), short(name)))
            .collect()
    }

    /// Does one thing to each module named, side by side.
    async fn each(&self, targets: &Targets, work: Work) -> Vec<Change> {
        let shorts = self.shorts(targets);
        if shorts.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = shorts.iter().map(|(name, _)| name.as_str()).collect();
        self.tell
            .waiting(Some(&format!("waiting for {}", names.join(", "))));
        let down = work == Work::Stop && self.hub_is_down().await;
        let mut doing = JoinSet::new();
        let mut changes: Vec<Option<Change>> = Vec::new();
        for (at, (name, short)) in shorts.into_iter().enumerate() {
            changes.push(match short {
                Err(error) => Some(Change::failed(name, error)),
                Ok(short) if down => Some(Change::did(short, Did::AlreadyStopped)),
                Ok(short) => {
                    let client = self.client.clone();
                    doing.spawn(async move { (at, work.carry_out(&client, short).await) });
                    None
                }
            });
        }
        while let Some(done) = doing.join_next().await {
            if let Ok((at, change)) = done
                && let Some(slot) = changes.get_mut(at)
            {
                *slot = Some(change);
            }
        }
        self.tell.waiting(None);
        changes.into_iter().flatten().collect()
    }

    /// Refused, and its manager agrees: then its modules are stopped already.
    async fn hub_is_down(&self) -> bool {
        let refused =
            matches!(self.client.health().await, Err(e) if e.code == Code::HubUnreachable);
        let running = |state: &UnitState| {
            matches!(
                state,
                UnitState::Running { .. } | UnitState::Starting | UnitState::Unknown { .. }
            )
        };
        refused && self.look().await.is_ok_and(|unit| !running(&unit.state))
    }
}

/// What is done to a module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Start,
    Stop,
    Restart,
}

impl Work {
    async fn carry_out(self, client: &Client, short: String) -> Change {
        let what = match self {
            Self::Start => client
                .bring_up(Verb::Start, &short)
                .await
                .map(|reached| match reached.already {
                    true => Did::AlreadyRunning { pid: reached.pid },
                    false => Did::Started { pid: reached.pid },
                }),
            Self::Restart => client
                .bring_up(Verb::Restart, &short)
                .await
                .map(|reached| Did::Restarted { pid: reached.pid }),
            Self::Stop => client
                .bring_down(&short)
                .await
                .map(|stopped| match stopped {
                    true => Did::Stopped,
                    false => Did::AlreadyStopped,
                }),
        };
        Change { who: short, what }
    }
}

impl Managed {
    /// The last `count` lines of each target's log.
    pub async fn logs(&self, targets: &Targets, tail: &Tail) -> Result<Vec<(String, Vec<String>)>> {
        logs::tails(self, targets, tail).await
    }

    /// Follows the logs of these names, the last lines first.
    pub async fn follow(&self, names: &[String], tail: &Tail) -> Result<Stream> {
        logs::follow(self, names, tail).await
    }
}
