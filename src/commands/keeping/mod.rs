//! What `init` and `uninstall-unit` have in common: the platform's manager, and its plans in words.

mod told;

pub(super) use told::Told;

use crate::{
    context::{Context, ManagerChoice},
    error::{Code, Error, Result},
    lifecycle,
    manager::{
        Installed, Scope, ServiceManager, Unit, UnitState,
        launchd::{self, Launchd},
        systemd::{self, Systemd},
    },
    os::{self, identity, place},
};
use serde::Serialize;
use std::path::PathBuf;

/// The manager that a unit is given to.
pub(super) enum Keeper {
    Systemd(Systemd),
    Launchd(Launchd),
}

/// A plan, and the words for it.
pub(super) struct Draft {
    plan: Plan,
    pub(super) lines: Vec<Line>,
    pub(super) notes: Vec<String>,
    /// A hub of other make has this unit.
    pub(super) replaces_other: bool,
    /// A hub that runs has to be restarted for it to count.
    pub(super) restart: bool,
    /// It ends the hub.
    pub(super) stops: bool,
}

enum Plan {
    Systemd(systemd::Plan),
    Launchd(launchd::Plan),
}

/// One step in words.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// Root's units are the machine's, everybody else's are their own.
pub(super) fn scope(cx: &Context) -> Scope {
    if cx.uid == 0 {
        Scope::System
    } else {
        Scope::User
    }
}

impl Keeper {
    /// The manager of this machine; an error where there is none.
    pub(super) fn of(cx: &Context) -> Result<Self> {
        let none = || {
            Error::new(
                Code::ManagerUnreachable,
                "there is no service manager on this machine that a unit could be given to",
            )
            .hint(
                "`parachute start hub` runs the hub until the next boot; a container or another \
                 manager runs `parachute serve`",
            )
        };
        let systemd = || {
            systemd::booted()
                .then(|| Self::Systemd(Systemd::new(scope(cx), &lifecycle::systemd_caller(cx))))
        };
        let launchd = || lifecycle::launchd(cx, scope(cx)).map(Self::Launchd);
        match cx.manager {
            ManagerChoice::Launchd => launchd(),
            ManagerChoice::Systemd => systemd(),
            ManagerChoice::Auto if os::MACOS => launchd(),
            ManagerChoice::Auto => systemd(),
            ManagerChoice::None | ManagerChoice::Other(_) => None,
        }
        .ok_or_else(none)
    }

    /// The same, to be looked at and driven.
    pub(super) fn manager(&self) -> &dyn ServiceManager {
        match self {
            Self::Systemd(manager) => manager,
            Self::Launchd(manager) => manager,
        }
    }

    /// Where the unit's file is written.
    pub(super) fn place(&self) -> Result<PathBuf> {
        match self {
            Self::Systemd(manager) => manager.place(),
            Self::Launchd(manager) => Ok(manager.place().plist()),
        }
    }

    /// What the unit's file would say.
    pub(super) fn render(unit: &Unit) -> Result<Vec<u8>> {
        match os::MACOS {
            true => {
                let scope = unit.user.as_ref().map_or(Scope::User, |_| Scope::System);
                launchd::plist::render(unit, scope, None)
            }
            false => systemd::render(unit).map(String::into_bytes),
        }
    }

    /// The unit that is there. A user without a session has no manager to ask yet.
    pub(super) async fn there(&self) -> Result<Option<Installed>> {
        match self.manager().look().await {
            Ok(unit) if unit.state == UnitState::NotInstalled => Ok(None),
            Ok(unit) => Ok(Some(unit)),
            Err(error) => match self {
                Self::Systemd(manager)
                    if manager.scope() == Scope::User && error.code == Code::ManagerUnreachable =>
                {
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }

    /// A hub unit of the same home in the other scope, which would fight one of this scope. Where
    /// it cannot be asked for, there is none to be seen.
    pub(super) async fn rival(&self, cx: &Context, unit: &Unit) -> Option<Installed> {
        let Self::Systemd(manager) = self else {
            return None;
        };
        let other = match (manager.scope(), &unit.user) {
            (Scope::User, _) => {
                systemd::look_at(Scope::System, &lifecycle::systemd_caller(cx)).await
            }
            (Scope::System, Some(name)) => {
                let user = identity::user_named(name).filter(|user| user.uid != 0)?;
                systemd::look_for_user(&user, &cx.exe).await
            }
            (Scope::System, None) => return None,
        };
        other.ok().flatten().filter(|other| {
            let home = other.home.as_ref();
            home.is_some_and(|home| place::same(home.root(), unit.home.root()))
        })
    }

    /// What it takes for the unit to be there and to start at boot.
    pub(super) async fn install(&self, unit: &Unit) -> Result<Draft> {
        Ok(match self {
            Self::Systemd(manager) => Draft::systemd(manager.plan_install(unit).await?),
            Self::Launchd(manager) => Draft::launchd(manager.plan_install(unit).await?),
        })
    }

    /// What it takes for the unit to be gone.
    pub(super) async fn remove(&self) -> Result<Draft> {
        Ok(match self {
            Self::Systemd(manager) => Draft::systemd(manager.plan_remove().await?),
            Self::Launchd(manager) => Draft::launchd(manager.plan_remove().await?),
        })
    }

    /// Carries it out.
    pub(super) async fn apply(&self, draft: &Draft) -> Result<()> {
        match (self, &draft.plan) {
            (Self::Systemd(manager), Plan::Systemd(plan)) => manager.apply(plan).await,
            (Self::Launchd(manager), Plan::Launchd(plan)) => manager.apply(plan).await,
            _ => Ok(()),
        }
    }

    /// Takes back what outlives a failed `init` without being of use: lingering.
    pub(super) async fn take_back(&self, draft: &Draft) {
        if let (Self::Systemd(manager), Plan::Systemd(plan)) = (self, &draft.plan) {
            manager.take_back(plan).await;
        }
    }
}

impl Draft {
    fn systemd(plan: systemd::Plan) -> Self {
        use systemd::Step;
        let line = |step: &Step| Line {
            what: step.to_string(),
            diff: match step {
                Step::Write { before, after, .. } => diff(before.as_deref(), after),
                _ => None,
            },
        };
        Self {
            lines: plan.steps.iter().map(line).collect(),
            notes: plan.notes.clone(),
            replaces_other: plan.replaces_other,
            restart: plan.restart,
            stops: plan.steps.contains(&Step::Stop),
            plan: Plan::Systemd(plan),
        }
    }

    fn launchd(plan: launchd::Plan) -> Self {
        use launchd::Step;
        let line = |step: &Step| match step {
            Step::Folder(path) => Line::plain(format!("make the folder {}", path.display())),
            Step::Log(home) => {
                Line::plain(format!("make the hub's log in {}", home.root().display()))
            }
            Step::Write {
                path,
                before,
                after,
            } => Line {
                what: match before {
                    Some(_) => format!("change {}", path.display()),
                    None => format!("write {}", path.display()),
                },
                diff: diff(before.as_deref(), after),
            },
            Step::Stop => Line::plain("stop the hub and its modules".to_owned()),
            Step::Remove { path, .. } => Line::plain(format!("remove {}", path.display())),
        };
        let writes = |step: &Step| matches!(step, Step::Write { .. });
        Self {
            lines: plan.steps.iter().map(line).collect(),
            notes: plan.notes.clone(),
            replaces_other: plan.replaces_other,
            restart: plan.steps.iter().any(writes),
            stops: plan.steps.contains(&Step::Stop),
            plan: Plan::Launchd(plan),
        }
    }
}

impl Line {
    fn plain(what: String) -> Self {
        Self { what, diff: None }
    }
}

fn diff(before: Option<&str>, after: &str) -> Option<String> {
    let diff = similar::TextDiff::from_lines(before?, after);
    let mut shown = diff.unified_diff();
    let shown = shown
        .context_radius(2)
        .header("as it is", "as it should be");
    Some(shown.to_string())
}
