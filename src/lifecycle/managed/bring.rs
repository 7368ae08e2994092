//! Bringing the hub up, down and up again, by its manager, and waiting for its own health.

use super::{EXCERPT, Managed, STOP_BOUND, hub};
use crate::{
    client::{Identity, Look},
    error::{Code, Error, Result},
    lifecycle::Did,
    manager::{Installed, Tail, UnitState},
};
use std::sync::PoisonError;

impl Managed {
    /// The hub is up, or is brought up by its manager and waited for.
    pub(super) async fn hub_up(&self) -> Result<Did> {
        match self.own_health().await {
            Ok(_) => {
                // The choice has just looked; a hub that answers needs no second look.
                let pid = match self.look().await.map(|unit| unit.state) {
                    Ok(UnitState::Running { pid, .. }) => Some(pid),
                    _ => self.pid().await,
                };
                return Ok(Did::AlreadyRunning { pid });
            }
            Err(silent) => {
                if let Some(error) = self.hindered(&silent) {
                    return Err(error);
                }
            }
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

    /// Why a hub that does not answer is not started; `None` when it is.
    pub(super) fn hindered(&self, silent: &Error) -> Option<Error> {
        // Somebody else's hub, or one that does not answer: starting a second one helps nobody.
        // And one that nobody here could start says more about itself than that.
        if silent.code == Code::WrongHub || self.manager.name() == "external" {
            return Some(silent.clone());
        }
        self.trouble.clone()
    }

    pub(super) async fn hub_down(&self) -> Result<Did> {
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
    pub(super) async fn nobody_answers(&self, did: Did) -> Result<Did> {
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

    pub(super) async fn hub_again(&self) -> Result<Did> {
        // What is not kept cannot be restarted, and would not get its port.
        let idle = |state: &UnitState| {
            matches!(
                state,
                UnitState::Stopped
                    | UnitState::NotInstalled
                    | UnitState::Masked
                    | UnitState::Failed { .. }
            )
        };
        if self.look().await.is_ok_and(|unit| idle(&unit.state)) {
            self.nobody_answers(Did::AlreadyStopped).await?;
        }
        let before = self
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
    pub(super) async fn healthy(&self, not: Option<&str>) -> Result<Look> {
        let up = match self.client.wait_healthy(self.start_bound, not).await {
            Ok(look) => {
                let unit = self.manager.look().await;
                self.settle(&unit, look)
            }
            Err(error) => Err(error),
        };
        let error = match up {
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
    pub(super) async fn look(&self) -> Result<Installed> {
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

    pub(super) async fn pid(&self) -> Option<u32> {
        match self.manager.look().await.ok()?.state {
            UnitState::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }
}
