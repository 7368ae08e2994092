//! What verbs would do, in order, without doing it: the same looks as theirs, and nothing after.

use super::{
    Managed,
    modules::with_it,
    names::{self, Named},
};
use crate::{
    error::{Code, Error, Result},
    lifecycle::{Change, Did, Targets},
    manager::UnitState,
};

/// A target, and what would be done for it or why nothing would.
type Step = (String, Result<String>);

impl Managed {
    /// What `start` would do, in order.
    pub async fn plan_start(&self, targets: &Targets) -> Result<Vec<Step>> {
        let named = self.modules_named(targets).await;
        self.plan_up(named, targets.hub(), "start").await
    }

    /// What `stop` would do, in order.
    pub async fn plan_stop(&self, targets: &Targets) -> Result<Vec<Step>> {
        let named = self.modules_named(targets).await;
        if targets.hub() {
            let hub = self.plan_down(targets).await;
            let modules = match &hub {
                Ok(_) => each(named, |short| format!("have {short} end with the hub")),
                Err(_) => asked(named, "stop"),
            };
            return Ok(hub_first(hub, modules));
        }
        Ok(match self.hub_is_down().await {
            Ok(true) => each(named, |short| {
                format!("leave {short} stopped, as its hub is")
            }),
            Ok(false) => asked(named, "stop"),
            Err(error) => named
                .into_iter()
                .map(|named| (named.asked, named.short.and(Err(error.clone()))))
                .collect(),
        })
    }

    /// What `restart` would do, in order.
    pub async fn plan_restart(&self, targets: &Targets) -> Result<Vec<Step>> {
        let named = self.modules_named(targets).await;
        if !targets.hub() {
            return self.plan_up(named, false, "restart").await;
        }
        let manager = self.manager.name();
        let refused = self
            .manager
            .refuses("restarted")
            .or_else(|| self.trouble.clone());
        let (hub, modules) = match refused {
            None => (
                Ok(format!("have {manager} restart the hub")),
                each(named, |short| format!("have {short} start with the hub")),
            ),
            Some(error) if self.own_health().await.is_ok() => (Err(error), asked(named, "restart")),
            Some(error) => {
                let modules = told(names::stranded(named, "restarted", &error));
                (Err(error), modules)
            }
        };
        Ok(hub_first(hub, modules))
    }

    /// What would be asked of a hub that is up, for each module named.
    pub async fn plan_modules(&self, targets: &Targets, verb: &str) -> Vec<Step> {
        asked(self.modules_named(targets).await, verb)
    }

    /// The hub is brought up first where it is not; `hub`: it was meant itself.
    async fn plan_up(&self, named: Vec<Named>, hub: bool, verb: &str) -> Result<Vec<Step>> {
        if !hub && let Some(strangers) = names::strangers(&named) {
            return Ok(told(strangers));
        }
        let step = match self.own_health().await {
            Ok(_) if !hub => return Ok(asked(named, verb)),
            Ok(_) => Ok("leave the hub running".to_owned()),
            Err(silent) => self.plan_hub_up(silent).await,
        };
        let modules = match &step {
            Ok(_) => asked(named, verb),
            Err(error) => told(names::stranded(named, &format!("{verb}ed"), error)),
        };
        Ok(hub_first(step, modules))
    }

    /// What would be done about a hub that does not answer, and how.
    async fn plan_hub_up(&self, silent: Error) -> Result<String> {
        if let Some(error) = self.hindered(&silent) {
            return Err(error);
        }
        match self.look().await?.state {
            // It would be left running, and waited for in vain.
            UnitState::Running { .. } if silent.code == Code::HubWedged => Err(silent),
            UnitState::Running { .. } | UnitState::Starting => {
                Ok("wait for the hub, which runs and does not answer yet".to_owned())
            }
            _ => Ok(format!("have {} start the hub", self.manager.name())),
        }
    }

    async fn plan_down(&self, targets: &Targets) -> Result<String> {
        if let Some(refused) = self.manager.refuses("stopped") {
            return Err(refused);
        }
        let manager = self.manager.name();
        match self.look().await?.state {
            UnitState::Stopped | UnitState::NotInstalled | UnitState::Masked => {
                self.nobody_answers(Did::AlreadyStopped).await?;
                Ok("leave the hub stopped".to_owned())
            }
            UnitState::Failed { .. } => {
                Ok(format!("have {manager} forget the hub, which has failed"))
            }
            _ => {
                let with = match targets {
                    Targets::Everything => self.module_names(),
                    Targets::Named(_) => Vec::new(),
                };
                Ok(format!("have {manager} stop the hub{}", with_it(&with)))
            }
        }
    }
}

fn each(named: Vec<Named>, would: impl Fn(&str) -> String) -> Vec<Step> {
    let step = |named: Named| (named.asked, named.short.map(|short| would(&short)));
    named.into_iter().map(step).collect()
}

fn asked(named: Vec<Named>, verb: &str) -> Vec<Step> {
    each(named, |short| format!("ask the hub to {verb} {short}"))
}

/// Failures as they would be told.
fn told(failed: Vec<Change>) -> Vec<Step> {
    let step = |change: Change| Some((change.who, Err(change.what.err()?)));
    failed.into_iter().filter_map(step).collect()
}

fn hub_first(hub: Result<String>, modules: Vec<Step>) -> Vec<Step> {
    std::iter::once(("hub".to_owned(), hub))
        .chain(modules)
        .collect()
}
