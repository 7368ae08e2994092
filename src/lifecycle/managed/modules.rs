//! Modules of a managed box: who is meant, and asking the hub for each of them side by side.

use super::Managed;
use crate::{
    client::{Client, Verb},
    error::{Code, Result},
    lifecycle::{Change, Did, Targets, unknown},
    manager::UnitState,
    modules::registry::{Registry, Row},
};
use tokio::task::JoinSet;

/// What is done to a module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
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
    pub(super) fn rows(&self) -> Registry {
        Registry::read(&self.home).unwrap_or_else(|error| {
            self.tell.warn(&error.message);
            Registry::default()
        })
    }

    pub(super) fn module_names(&self) -> Vec<String> {
        self.rows()
            .rows
            .iter()
            .map(|row| row.short().to_owned())
            .collect()
    }

    /// Says what is about to be done when no name was given.
    pub(super) fn announce(&self, doing: &str, targets: &Targets) {
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
    pub(super) fn strangers(&self, targets: &Targets) -> Option<Vec<Change>> {
        if targets.hub() {
            return None;
        }
        let failed = |(name, short): (String, Result<String>)| {
            short.err().map(|error| Change::failed(name, error))
        };
        self.shorts(targets).into_iter().map(failed).collect()
    }

    /// Who holds a port, for people.
    pub(super) fn holder(&self, port: u16) -> String {
        let nobody = || "somebody who has just left".to_owned();
        Client::new(self.home.clone(), port, Vec::new())
            .listener()
            .unwrap_or_else(nobody)
    }

    /// The modules that targets name, by short name.
    pub(super) fn shorts(&self, targets: &Targets) -> Vec<(String, Result<String>)> {
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
    pub(super) async fn each(&self, targets: &Targets, work: Work) -> Vec<Change> {
        let shorts = self.shorts(targets);
        if shorts.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = shorts.iter().map(|(name, _)| name.as_str()).collect();
        self.tell
            .waiting(Some(&format!("waiting for {}", names.join(", "))));
        // Starts and restarts have seen to it that the hub is this home's own.
        let down = match work {
            Work::Stop => self.hub_is_down().await,
            Work::Start | Work::Restart => Ok(false),
        };
        let mut doing = JoinSet::new();
        let mut changes: Vec<Option<Change>> = Vec::new();
        for (at, (name, short)) in shorts.into_iter().enumerate() {
            changes.push(match (short, &down) {
                (Err(error), _) => Some(Change::failed(name, error)),
                (Ok(short), Err(error)) => Some(Change::failed(short, error.clone())),
                (Ok(short), Ok(true)) => Some(Change::did(short, Did::AlreadyStopped)),
                (Ok(short), Ok(false)) => {
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

    /// Refused, and its manager agrees: then its modules are stopped already. Another home's hub, or
    /// none, on its port is an error: nothing is asked of that.
    pub(super) async fn hub_is_down(&self) -> Result<bool> {
        let refused = match self.own_health().await {
            Err(e) if e.code == Code::WrongHub => return Err(e),
            // It was seen to run.
            Err(e) if self.manager.name() == "external" => return Err(e),
            Err(e) => e.code == Code::HubUnreachable,
            Ok(_) => false,
        };
        let running = |state: &UnitState| {
            matches!(
                state,
                UnitState::Running { .. } | UnitState::Starting | UnitState::Unknown { .. }
            )
        };
        Ok(refused && self.look().await.is_ok_and(|unit| !running(&unit.state)))
    }
}
