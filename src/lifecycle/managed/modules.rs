//! Modules of a managed box: asking the hub for each of them side by side, and saying so.

use super::{Managed, names::Named};
use crate::{
    api::{ModuleList, ModuleStatus},
    client::{Client, Verb, state_of},
    error::{Code, Result},
    lifecycle::{Change, Did, Targets},
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
    /// It comes up anew with its hub, which has just been restarted.
    Await,
}

impl Work {
    /// What was done when it is over.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart | Self::Await => "restarted",
        }
    }

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
            Self::Await => client
                .bring_up(Verb::Start, &short)
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
    pub(super) fn module_names(&self) -> Vec<String> {
        let registry = Registry::read(&self.home).unwrap_or_else(|error| {
            self.tell.warn(&error.message);
            Registry::default()
        });
        let short = |row: &Row| row.short().to_owned();
        registry.rows.iter().map(short).collect()
    }

    /// Says what is about to be done when no name was given.
    pub(super) fn announce(&self, doing: &str, targets: &Targets) {
        if *targets != Targets::Everything {
            return;
        }
        let names = self.module_names();
        self.tell
            .say(&format!("{doing} the hub{}", with_it(&names)));
    }

    /// The same for a start, which leaves a hub that runs alone: then it says so, and names the
    /// modules that stay as they are.
    pub(super) async fn announce_start(&self) {
        if let Err(silent) = self.own_health().await {
            if self.hindered(&silent).is_none() {
                self.announce("starting", &Targets::Everything);
            }
            return;
        }
        let names = self.module_names();
        let (up, idle) = match self.client.modules().await {
            Ok(list) => sorted(&names, &list),
            Err(_) => Default::default(),
        };
        self.tell
            .say(&format!("the hub runs already{}", with_it(&up)));
        if !idle.is_empty() {
            let (are, them) = match idle.len() {
                1 => ("is", "it"),
                _ => ("are", "them"),
            };
            self.tell.say(&format!(
                "{} {are} not running and left so: `parachute start {}` starts {them}",
                idle.join(", "),
                idle.join(" ")
            ));
        }
    }

    /// Who holds a port, for people.
    pub(super) fn holder(&self, port: u16) -> String {
        let nobody = || "somebody who has just left".to_owned();
        Client::new(self.home.clone(), port, Vec::new())
            .listener()
            .unwrap_or_else(nobody)
    }

    /// Does one thing to each module named, side by side.
    pub(super) async fn each(&self, named: Vec<Named>, work: Work) -> Vec<Change> {
        if named.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = named.iter().map(|named| named.asked.as_str()).collect();
        self.tell
            .waiting(Some(&format!("waiting for {}", names.join(", "))));
        // Starts and restarts have seen to it that the hub is this home's own.
        let down = match work {
            Work::Stop => self.hub_is_down().await,
            Work::Start | Work::Restart | Work::Await => Ok(false),
        };
        let mut doing = JoinSet::new();
        let mut changes: Vec<Option<Change>> = Vec::new();
        for (at, named) in named.into_iter().enumerate() {
            changes.push(match (named.short, &down) {
                (Err(error), _) => Some(Change::failed(named.asked, error)),
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
    /// none, on its port is an error, and so is a manager that cannot be asked: nothing is known then.
    pub(super) async fn hub_is_down(&self) -> Result<bool> {
        match self.own_health().await {
            Err(e) if e.code == Code::WrongHub => Err(e),
            // It was seen to run.
            Err(e) if self.manager.name() == "external" => Err(e),
            Err(e) if e.code == Code::HubUnreachable => {
                let running = matches!(
                    self.look().await?.state,
                    UnitState::Running { .. } | UnitState::Starting | UnitState::Unknown { .. }
                );
                Ok(!running)
            }
            Err(_) | Ok(_) => Ok(false),
        }
    }
}

/// Modules that were named beside a hub that is stopped now go the same way.
pub(super) fn gone_too(named: Vec<Named>, hub: Did) -> Vec<Change> {
    let change = |named: Named| match named.short {
        Ok(short) => Change::did(short, hub),
        Err(error) => Change::failed(named.asked, error),
    };
    named.into_iter().map(change).collect()
}

/// `, and with it a, b`, where there are any.
pub(super) fn with_it(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(", and with it {}", names.join(", ")),
    }
}

/// Which of these the hub runs, or is about to, and which it does not. What it does not tell of is
/// neither.
fn sorted(names: &[String], list: &ModuleList) -> (Vec<String>, Vec<String>) {
    let known = |name: &String| Some((name.clone(), state_of(list, name)?.status));
    let (idle, up): (Vec<_>, Vec<_>) = names
        .iter()
        .filter_map(known)
        .filter(|(_, status)| *status != ModuleStatus::Unknown)
        .partition(|(_, status)| matches!(status, ModuleStatus::Stopped | ModuleStatus::Crashed));
    let names = |of: Vec<(String, _)>| of.into_iter().map(|(name, _)| name).collect();
    (names(up), names(idle))
}
