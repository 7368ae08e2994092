//! launchd keeps the hub alive: `computer.parachute.hub`, driven through launchctl(1), whose
//! answers are read and never guessed. Compiles everywhere; never signals the hub itself.

pub mod answer;
mod ask;
mod bounded;
pub mod ctl;
pub mod disabled;
pub mod domain;
mod file;
mod install;
pub mod list;
mod load;
mod logs;
pub mod plist;
pub mod print;
mod program;
mod stale;
pub mod state;
#[cfg(test)]
mod tests;
mod verbs;
mod wait;

use super::{Follow, Installed, ServiceManager, Tail, UnitState};
use crate::{
    api::Time,
    error::{Code, Result},
    os::process,
};
use async_trait::async_trait;
use ctl::{Ctl, within};
use domain::Place;
use file::OnDisk;
pub use install::{Plan, Step};
use std::{path::PathBuf, time::Duration};

/// Between two questions while waiting; launchd has no event for it.
const PAUSE: Duration = Duration::from_millis(100);

/// The hub's label.
pub const LABEL: &str = "computer.parachute.hub";

/// How long launchd is given.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For all questions of one look; a status must not hang.
    pub look: Duration,
    /// For one call of a verb's, which is worth more patience.
    pub call: Duration,
    /// From the spawn to a pid.
    pub start: Duration,
    /// For `bootstrap` to get past the remains of the job before.
    pub settle: Duration,
    /// For a stop, beyond the job's own exit timeout.
    pub drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(5),
            call: Duration::from_secs(15),
            start: Duration::from_secs(15),
            settle: Duration::from_secs(8),
            drain: Duration::from_secs(10),
        }
    }
}

/// The hub as launchd keeps it in one place.
#[derive(Clone, Debug)]
pub struct Launchd {
    place: Place,
    ctl: Ctl,
    exe: PathBuf,
    caller: u32,
    /// Bounds of every wait.
    pub patience: Patience,
}

impl Launchd {
    /// In `place`, asked by the user `caller`; `exe` is this program.
    pub fn new(place: Place, ctl: Ctl, exe: PathBuf, caller: u32) -> Self {
        Self {
            place,
            ctl,
            exe,
            caller,
            patience: Patience::default(),
        }
    }

    /// Looks whether this place has a hub unit. `None` where it has none: neither a property list
    /// nor a job, or no property list and nobody to ask.
    pub async fn find(self) -> Result<Option<(Self, Installed)>> {
        match self.look().await {
            Ok(unit) if unit.state == UnitState::NotInstalled => Ok(None),
            Ok(unit) => Ok(Some((self, unit))),
            Err(error) if is_unreachable(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where it is kept.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

#[async_trait]
impl ServiceManager for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    /// The property list is the truth about home and port; for a job that is loaded without one,
    /// the environment that launchd has.
    async fn look(&self) -> Result<Installed> {
        let disk = file::look(&self.place);
        let until = within(self.patience.look);
        let (found, overridden) = match self.seek(until).await {
            Ok(found) => {
                let domain = found.there.first().copied();
                let overridden = match domain {
                    Some(domain) => self.overridden(domain, until).await.ok(),
                    None => None,
                };
                (Ok(found), overridden)
            }
            Err(error) => (Err(error), None),
        };
        let record = found
            .as_ref()
            .ok()
            .and_then(|f| f.jobs.first())
            .map(|(_, record)| record);
        let printed = record.and_then(ask::Record::printed);
        let (env, argv, user, automatic, self_disabled) = match (&disk, printed) {
            (OnDisk::Usable(file), _) => (
                file.job.environment.clone(),
                file.job.arguments.clone(),
                file.job.user.clone(),
                file.job.automatic,
                file.job.disabled,
            ),
            (_, Some(job)) => (
                job.environment.clone(),
                job.arguments.clone(),
                None,
                job.has("runatload"),
                false,
            ),
            _ => Default::default(),
        };
        let disabled = overridden.map(|o| o.unwrap_or(self_disabled));
        let state = match (&found, record, &disk) {
            (Ok(_), Some(record), _) => record.state(),
            (Ok(found), None, _) if found.odd.is_some() => UnitState::Unknown {
                said: found
                    .odd
                    .as_ref()
                    .map(|(_, said)| said.clone())
                    .unwrap_or_default(),
            },
            (Err(error), _, OnDisk::Absent) => return Err(error.clone()),
            (Err(error), ..) => UnitState::Unknown {
                said: error.message.clone(),
            },
            (Ok(_), None, OnDisk::Absent) => UnitState::NotInstalled,
            (Ok(_), None, OnDisk::Unusable(why)) => UnitState::Broken {
                said: format!("{}: {why}", self.place.plist().display()),
            },
            (Ok(_), None, OnDisk::Usable(_)) if disabled == Some(true) => UnitState::Masked,
            (Ok(_), None, OnDisk::Usable(_)) => UnitState::Stopped,
        };
        let (uid, dir) = file::user(&self.place, user.as_deref());
        let installed = state != UnitState::NotInstalled;
        let ours = program::is_ours(&argv, &self.exe);
        let given = program::flag(&argv, "--home").filter(|_| ours);
        Ok(Installed {
            scope: self.place.scope,
            path: match &disk {
                OnDisk::Absent => printed.and_then(|job| job.path.clone()).map(PathBuf::from),
                _ => Some(self.place.plist()),
            },
            enabled: match disk {
                OnDisk::Usable(_) => disabled.map(|disabled| automatic && !disabled),
                _ => None,
            },
            home: file::home(given, &env, dir.as_deref()).filter(|_| installed),
            port: file::port(&env),
            uid,
            ours,
            drop_ins: Vec::new(),
            state: dated(state),
            restarts: printed
                .and_then(|job| job.runs)
                .map(|runs| runs.saturating_sub(1)),
            cpu: None,
            memory: None,
            notes: notes(&disk, &found, disabled, &self.place),
        })
    }

    async fn start(&self) -> Result<()> {
        self.start_hub("start").await
    }

    async fn stop(&self) -> Result<()> {
        self.stop_hub("stop").await
    }

    async fn restart(&self) -> Result<()> {
        self.restart_hub().await
    }

    async fn logs(&self, tail: &Tail) -> Result<Vec<String>> {
        self.log_lines(tail).await
    }

    fn follow(&self, tail: &Tail) -> Follow {
        self.log_follow(tail)
    }
}

/// What a person should know beside the state.
fn notes(
    disk: &OnDisk,
    found: &Result<ask::Found>,
    disabled: Option<bool>,
    place: &Place,
) -> Vec<String> {
    let mut notes = Vec::new();
    let Ok(found) = found else {
        return notes;
    };
    let plist = place.plist();
    if !found.jobs.is_empty() {
        match disk {
            OnDisk::Absent => notes.push(format!(
                "{} is gone: once stopped, the hub stays so",
                plist.display()
            )),
            OnDisk::Unusable(why) => notes.push(format!(
                "launchd would refuse {} from now on: {why}",
                plist.display()
            )),
            OnDisk::Usable(_) if disabled == Some(true) => {
                notes.push("the hub is disabled in launchd: once stopped, it stays so".into());
            }
            OnDisk::Usable(_) => {}
        }
    }
    if let [(first, _), (second, _), ..] = &found.jobs[..] {
        notes.push(format!(
            "the hub is loaded twice, in {first} and in {second}: `parachute stop`, then `parachute start`"
        ));
    }
    notes
}

/// A running hub with the time since when: launchd does not tell, the kernel does.
fn dated(state: UnitState) -> UnitState {
    match state {
        UnitState::Running { pid, since: None } => UnitState::Running {
            pid,
            since: started(pid),
        },
        other => other,
    }
}

/// When a process was started.
fn started(pid: u32) -> Option<Time> {
    let process = process::look(pid).ok()??;
    let age = process::age(process.start);
    jiff::Timestamp::now().checked_sub(age).ok().map(Time)
}

/// Is this the error of a manager that cannot be asked?
fn is_unreachable(error: &crate::error::Error) -> bool {
    error.code == Code::ManagerUnreachable
}
