//! The box that a verb acts on, and who carries verbs out there. The one place that knows that
//! there are two ways.

use super::{
    Change, Did, Targets, adopt::adoptable, detached::Detached, follow::Stream, managed::Managed,
    origin::Origin, stale, status::BoxStatus,
};
use crate::{
    client::Client,
    context::{Context, Teller},
    error::{Code, Error, Result},
    home::{Home, rel},
    manager::{Changes, Scope, ServiceManager, Tail, UnitState},
    modules::registry::Registry,
    os::files,
};
use std::{sync::Arc, time::Duration};

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
    /// The scope of the hub's unit, where it has one.
    pub unit: Option<Scope>,
    /// Why this user sees nothing of the home, where that is so.
    pub barred: Option<Error>,
    pub(super) cx: Context,
    pub(super) tell: Arc<dyn Teller>,
}

/// Who carries verbs out.
pub enum Lifecycle {
    /// A hub, and what keeps it.
    Managed(Box<Managed>),
    /// Nobody but us: detached processes and pidfiles.
    Detached(Box<Detached>),
}

/// How a start is meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// Detached modules that run are restarted under the hub that is started.
    pub adopt: bool,
    /// How long the hub may take to answer; the contract's bound when none.
    pub bound: Option<Duration>,
}

impl Site {
    /// Starts; one change each.
    pub async fn start(&mut self, targets: &Targets, how: Start) -> Result<Vec<Change>> {
        self.admits(targets)?;
        for note in stale::notes(&self.cx, &self.home).await {
            self.tell.warn(&note);
        }
        match &mut self.way {
            Lifecycle::Managed(way) => {
                if let Some(bound) = how.bound {
                    way.bound(bound);
                }
                way.start(targets).await
            }
            Lifecycle::Detached(way) => match targets {
                Targets::Named(_) if targets.hub() => self.start_hub(targets, how).await,
                _ => way.start(targets).await,
            },
        }
    }

    /// Stops; one change each.
    pub async fn stop(&self, targets: &Targets) -> Result<Vec<Change>> {
        self.admits(targets)?;
        match &self.way {
            Lifecycle::Managed(way) => way.stop(targets).await,
            Lifecycle::Detached(way) if matches!(targets, Targets::Named(_)) && targets.hub() => {
                // No hub of this home runs; its record, if a dead one is left, goes.
                way.hub().stop().await?;
                let mut changes = vec![Change::did("hub", Did::AlreadyStopped)];
                if let Some(rest) = targets.without_hub() {
                    changes.extend(way.stop(&rest).await?);
                }
                Ok(changes)
            }
            Lifecycle::Detached(way) => way.stop(targets).await,
        }
    }

    /// Restarts; one change each.
    pub async fn restart(&mut self, targets: &Targets, how: Start) -> Result<Vec<Change>> {
        self.admits(targets)?;
        match &mut self.way {
            Lifecycle::Managed(way) => {
                if let Some(bound) = how.bound {
                    way.bound(bound);
                }
                way.restart(targets).await
            }
            Lifecycle::Detached(way) => match targets {
                Targets::Named(_) if targets.hub() => self.start_hub(targets, how).await,
                _ => way.restart(targets).await,
            },
        }
    }

    /// A module of a home that this user cannot see into is not theirs to drive; the hub's unit may
    /// be.
    fn admits(&self, targets: &Targets) -> Result<()> {
        let modules = *targets != Targets::Everything && targets.without_hub().is_some();
        match &self.barred {
            Some(error) if modules => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The registry, for verbs that only look; where this user cannot see it, who can.
    pub fn registry(&self) -> Result<Registry> {
        match &self.barred {
            Some(error) => Err(error.clone()),
            None => Registry::read(&self.home),
        }
    }

    /// How everything stands; never fails for what it finds.
    pub async fn observe(&self) -> BoxStatus {
        let (mut status, stale) = tokio::join!(self.look(), stale::notes(&self.cx, &self.home));
        status.notes.splice(0..0, self.notes.iter().cloned());
        status.notes.extend(stale);
        status
    }

    async fn look(&self) -> BoxStatus {
        let way = match &self.way {
            Lifecycle::Managed(way) => return way.observe(self.barred.as_ref()).await,
            Lifecycle::Detached(way) => way,
        };
        let mut status = way.observe().await;
        let hub = way.hub().look().await.map(|hub| hub.state);
        if let Ok(UnitState::Failed { .. }) = hub {
            status.notes.push(
                "the hub that was started here has ended; `parachute start hub` starts it again, \
                 `parachute stop hub` forgets it"
                    .to_owned(),
            );
        }
        status
    }

    /// Tells from now on when the hub's unit changes; `None` where nobody does.
    pub async fn changes(&self) -> Option<Changes> {
        match &self.way {
            Lifecycle::Managed(way) => way.changes().await,
            Lifecycle::Detached(_) => None,
        }
    }

    /// The registry has changed: a hub that runs is told.
    pub async fn reload(&self) -> Result<()> {
        match &self.way {
            Lifecycle::Managed(way) => way.reload().await,
            Lifecycle::Detached(_) => Ok(()),
        }
    }

    /// What surrounds this run.
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// The same box looked at anew: its way may be another one by now.
    pub async fn again(&self) -> Result<Self> {
        super::detect(&self.cx).await
    }

    /// The running hub, for verbs that only a hub has.
    pub fn client(&self) -> Result<&Client> {
        match &self.way {
            Lifecycle::Managed(way) => Ok(way.client()),
            Lifecycle::Detached(_) => Err(Error::new(
                Code::HubUnreachable,
                "no hub runs on this box",
            )
            .hint("`parachute init` installs one, `parachute start hub` runs one without a unit")),
        }
    }

    /// The last lines of each target's log.
    pub async fn logs(&self, targets: &Targets, tail: &Tail) -> Result<Vec<(String, Vec<String>)>> {
        self.admits(targets)?;
        match &self.way {
            Lifecycle::Managed(way) => way.logs(targets, tail).await,
            Lifecycle::Detached(way) => way.logs(targets, tail),
        }
    }

    /// Follows the logs of these names (as [`Site::logs`] gave them), the last lines first.
    pub async fn follow(&self, names: &[String], tail: &Tail) -> Result<Stream> {
        match &self.way {
            Lifecycle::Managed(way) => way.follow(names, tail).await,
            Lifecycle::Detached(way) => way.follow(names, tail),
        }
    }

    /// What `start` would do, in order.
    pub async fn plan_start(
        &self,
        targets: &Targets,
        how: Start,
    ) -> Result<Vec<(String, Result<String>)>> {
        self.admits(targets)?;
        match &self.way {
            Lifecycle::Managed(way) => way.plan_start(targets).await,
            Lifecycle::Detached(way) if targets.named_hub() => {
                let mut plan = Vec::new();
                let running = adoptable(way, how)?;
                if !running.is_empty() {
                    let would =
                        format!("stop {}, to start again under the hub", running.join(", "));
                    plan.push(("hub".to_owned(), Ok(would)));
                }
                plan.push(("hub".to_owned(), Ok("start a detached hub".to_owned())));
                plan.extend(self.under_hub(way).plan_modules(targets, "start").await);
                Ok(plan)
            }
            Lifecycle::Detached(way) => way.plan_start(targets),
        }
    }

    /// What `restart` would do, in order.
    pub async fn plan_restart(
        &self,
        targets: &Targets,
        how: Start,
    ) -> Result<Vec<(String, Result<String>)>> {
        self.admits(targets)?;
        match &self.way {
            Lifecycle::Managed(way) => way.plan_restart(targets).await,
            Lifecycle::Detached(_) if targets.named_hub() => self.plan_start(targets, how).await,
            Lifecycle::Detached(way) => way.plan_restart(targets),
        }
    }

    /// What `stop` would do, in order.
    pub async fn plan_stop(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        self.admits(targets)?;
        match &self.way {
            Lifecycle::Managed(way) => way.plan_stop(targets).await,
            Lifecycle::Detached(way) => match targets.without_hub() {
                Some(rest) => way.plan_stop(&rest),
                None => Ok(Vec::new()),
            },
        }
    }

    /// Stops a module that is about to lose its row; nothing to do where its hub is down.
    pub async fn release(&self, name: &str) -> Result<Vec<Change>> {
        let known = Registry::read(&self.home)?;
        let view = known
            .find(name)
            .is_some_and(|row| known.process_of(row).name != row.name);
        if view {
            Ok(Vec::new())
        } else {
            self.stop(&Targets::Named(vec![name.to_owned()])).await
        }
    }

    /// Keeps the origin of `--hub-origin` in `hub/origin`; none is forgotten. Not for a start of
    /// nothing that is on this box.
    pub fn keep_origin(&self, origin: Option<&Origin>, targets: &Targets) -> Result<()> {
        if !self.has_any(targets) {
            return Ok(());
        }
        match origin {
            Some(origin) => origin.keep(&self.home),
            None => files::remove(&self.home, rel::HUB_ORIGIN),
        }
    }

    /// Is one of these on this box; so it is taken where nobody can say.
    fn has_any(&self, targets: &Targets) -> bool {
        let Ok(registry) = Registry::read(&self.home) else {
            return true;
        };
        match (targets, &self.way) {
            (Targets::Named(names), _) => names
                .iter()
                .any(|name| name == "hub" || registry.find(name).is_some()),
            (Targets::Everything, Lifecycle::Managed(_)) => true,
            (Targets::Everything, Lifecycle::Detached(_)) => !registry.rows.is_empty(),
        }
    }
}
