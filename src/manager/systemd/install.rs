//! Puts the hub's unit where systemd finds it at boot, and takes it away again: a plan that can be
//! shown, then its steps. Installing never starts or stops anything.

use super::{
    Caller, Systemd, UNIT,
    bus::{Fault, How},
    facts::Facts,
    file::{read, replace},
    linger, render,
};
use crate::{
    error::{Code, Error, Result},
    manager::{Scope, ServiceManager, Unit, UnitState},
    os::identity,
};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// systemd reads every unit of the machine anew.
const RELOAD: Duration = Duration::from_secs(60);

/// What would be done, and what a person should know first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order; none when all is as it should be.
    pub steps: Vec<Step>,
    /// Said before anything is done.
    pub notes: Vec<String>,
    /// What is there now runs a hub of other make, which would be replaced.
    pub replaces_other: bool,
    /// A hub runs that has to be restarted for the change to count.
    pub restart: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Lets the user's manager run without a session.
    Linger {
        /// Whose.
        user: String,
    },
    /// Makes a folder, its parents too.
    Folder(PathBuf),
    /// Writes a file by temp file and rename.
    Write {
        /// Which.
        path: PathBuf,
        /// What it says now.
        before: Option<String>,
        /// What it would say.
        after: String,
    },
    /// Stops the hub and its modules.
    Stop,
    /// The hub no longer starts at boot.
    Disable,
    /// Removes a file.
    Remove {
        /// Which.
        path: PathBuf,
        /// What it says now.
        before: Option<String>,
    },
    /// Has systemd read its units anew.
    Reload,
    /// The hub starts at boot.
    Enable,
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Linger { user } => write!(f, "switch lingering on for {user}"),
            Step::Folder(path) => write!(f, "make the folder {}", path.display()),
            Step::Write {
                path, before: None, ..
            } => write!(f, "write {}", path.display()),
            Step::Write { path, .. } => write!(f, "change {}", path.display()),
            Step::Stop => write!(f, "stop {UNIT} and its modules"),
            Step::Disable => write!(f, "disable {UNIT}"),
            Step::Remove { path, .. } => write!(f, "remove {}", path.display()),
            Step::Reload => write!(f, "have systemd read its units anew"),
            Step::Enable => write!(f, "enable {UNIT}: it starts at boot"),
        }
    }
}

impl Systemd {
    /// Where this scope's unit file is written.
    pub fn place(&self) -> Result<PathBuf> {
        let folder = match self.scope {
            Scope::System => PathBuf::from("/etc/systemd/system"),
            Scope::User => (self.caller.user_dir.as_ref())
                .ok_or_else(|| Error::new(Code::HomeUnusable, "this user has no home directory"))?
                .join(".config/systemd/user"),
        };
        Ok(folder.join(UNIT))
    }

    /// What it takes for `unit` to be there and to start at boot.
    pub async fn plan_install(&self, unit: &Unit) -> Result<Plan> {
        let path = self.place()?;
        let after = render(unit)?;
        let mut plan = Plan::default();
        self.plan_linger(&mut plan);
        // Before it lingers, a user's manager may not be there to be asked.
        let facts = match self.facts(UNIT).await {
            Ok(facts) => facts,
            Err(Fault::Unreachable(_)) if !plan.is_empty() => Facts::default(),
            Err(fault) => return Err(self.explain(fault, "show")),
        };
        let before = read(&path)?;
        let masked = fs::read_link(&path).is_ok_and(|to| to == Path::new("/dev/null"));
        if masked || facts.state() == UnitState::Masked {
            return Err(Error::new(
                Code::Refused,
                format!("{UNIT} is masked: somebody forbade it"),
            )
            .hint(format!("`{} unmask {UNIT}`, then again", self.systemctl())));
        }
        let there = !facts.exec.is_empty();
        plan.replaces_other = there && !super::installed::is_ours(&facts.exec);
        // A unit of a package that says the same is as good as one of ours.
        let same_elsewhere = before.is_none()
            && facts.path.as_ref().is_some_and(|at| at != &path)
            && facts
                .path
                .as_deref()
                .is_some_and(|at| self.same(at, &after));
        if before.as_deref() != Some(&after) && !same_elsewhere {
            if let Some(other) = facts.path.as_ref().filter(|at| *at != &path) {
                let note = format!("{} stays, behind the new file", other.display());
                plan.notes.push(note);
            }
            if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
                plan.steps.push(Step::Folder(folder.to_owned()));
            }
            plan.restart = facts.pid != 0;
            plan.steps.push(Step::Write {
                path,
                before,
                after,
            });
            plan.steps.push(Step::Reload);
        } else if facts.stale_file {
            plan.steps.push(Step::Reload);
        }
        for drop_in in &facts.drop_ins {
            plan.notes
                .push(format!("{} changes the unit and stays", drop_in.display()));
        }
        if facts.enabled() != Some(true) {
            plan.steps.push(Step::Enable);
        }
        Ok(plan)
    }

    /// What it takes for the unit to be gone, the hub stopped.
    pub async fn plan_remove(&self) -> Result<Plan> {
        let path = self.place()?;
        let facts = self
            .facts(UNIT)
            .await
            .map_err(|fault| self.explain(fault, "show"))?;
        let before = read(&path)?;
        let mut plan = Plan {
            replaces_other: !facts.exec.is_empty() && !super::installed::is_ours(&facts.exec),
            ..Plan::default()
        };
        if !["inactive", "failed", ""].contains(&&*facts.active) {
            plan.steps.push(Step::Stop);
        }
        if facts.enabled() == Some(true) {
            plan.steps.push(Step::Disable);
        }
        if before.is_some() {
            plan.steps.push(Step::Remove { path, before });
            plan.steps.push(Step::Reload);
        } else if let Some(other) = &facts.path {
            plan.notes.push(format!(
                "{} was not written by `parachute init`: it is disabled, and stays",
                other.display()
            ));
        }
        for drop_in in &facts.drop_ins {
            plan.notes.push(format!("{} stays", drop_in.display()));
        }
        if self.scope == Scope::User
            && identity::user(self.caller.uid).is_some_and(|u| linger::lingers(&u.name))
        {
            plan.notes.push("lingering stays on: `loginctl disable-linger` ends it, and with it all that runs without a session of yours".into());
        }
        Ok(plan)
    }

    /// Carries out a plan; a step that fails ends it. What was done stays, lingering excepted: what
    /// this call has switched on, it switches off again.
    pub async fn apply(&self, plan: &Plan) -> Result<()> {
        let mut lingering = None;
        for step in &plan.steps {
            if let Err(error) = self.step(step, &mut lingering).await {
                if let Some(user) = lingering {
                    self.undo_linger(user).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes back what a plan did to lingering; for an `init` that failed after it.
    pub async fn take_back(&self, plan: &Plan) {
        for step in &plan.steps {
            if let Step::Linger { user } = step {
                self.undo_linger(user).await;
            }
        }
    }

    async fn undo_linger(&self, user: &str) {
        // It is already failing; the first error is the one that counts.
        let _ = linger::set(&self.caller, user, false).await;
    }

    async fn step<'a>(&self, step: &'a Step, lingering: &mut Option<&'a str>) -> Result<()> {
        match step {
            Step::Linger { user } => {
                *lingering = Some(user);
                linger::set(&self.caller, user, true).await
            }
            Step::Folder(path) => fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(path)
                .map_err(|e| self.denied(Error::io("make", path, &e))),
            Step::Write { path, after, .. } => replace(path, after.as_bytes())
                .map_err(|e| self.denied(Error::io("write", path, &e))),
            Step::Stop => self.stop().await,
            Step::Disable => {
                self.tell("DisableUnitFiles", &(vec![UNIT], false), "disable")
                    .await?;
                self.reload().await
            }
            Step::Remove { path, .. } => match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    Err(self.denied(Error::io("remove", path, &e)))
                }
                _ => Ok(()),
            },
            Step::Reload => self.reload().await,
            Step::Enable => {
                self.tell("EnableUnitFiles", &(vec![UNIT], false, true), "enable")
                    .await?;
                self.reload().await
            }
        }
    }

    async fn reload(&self) -> Result<()> {
        self.tell("Reload", &(), "read anew").await
    }

    async fn tell<B>(&self, member: &str, body: &B, verb: &str) -> Result<()>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let bus = self.bus().await?;
        match bus.manage(member, body, How::within(RELOAD)).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.explain(fault, verb)),
        }
    }

    fn denied(&self, error: Error) -> Error {
        match error.code {
            Code::NoPermission => error.hint(format!("`sudo {}`", self.caller.command)),
            _ => error,
        }
    }

    fn plan_linger(&self, plan: &mut Plan) {
        let Caller { uid, .. } = self.caller;
        // Root's own manager is nobody's idea of a service that outlives a session.
        if self.scope == Scope::System {
            return;
        }
        let Some(user) = identity::user(uid) else {
            plan.notes
                .push(format!("uid {uid} has no name, so it cannot linger"));
            return;
        };
        if !linger::lingers(&user.name) {
            plan.steps.push(Step::Linger { user: user.name });
        }
    }

    fn same(&self, at: &Path, after: &str) -> bool {
        let settings = |text: &str| -> Vec<String> {
            let lines = text.lines().map(str::trim);
            (lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])))
                .map(str::to_owned)
                .collect()
        };
        read(at)
            .ok()
            .flatten()
            .is_some_and(|text| settings(&text) == settings(after))
    }
}
