//! Gathers the facts that a choice is made from, no more than it needs, and builds what the
//! choice names. One look a scope, the second only when the first does not decide.

use super::{
    Lifecycle, Site,
    choose::{self, Candidate, Chosen, HomeFacts, HubSeen, Looked, Step, UnitFact, Way},
    detached::Detached,
    managed::{Found, Managed},
};
use crate::{
    api::{HUB_PORT, Instance},
    client::{Client, Identity},
    context::{Context, ManagerChoice},
    error::{Code, Error, Result},
    home::{Home, rel},
    manager::{
        Installed, Scope, ServiceManager, UnitState,
        external::External,
        launchd::{Launchd, ctl::Ctl, domain::Place},
        pidfile::Pidfile,
        systemd::{self, Systemd},
    },
    modules::registry::Registry,
    os::{
        self, files, identity,
        port::{self, Holder, Listeners},
        process,
    },
};
use std::{ffi::OsString, io::IsTerminal, path::Path};

/// Looks at the box and decides, once.
pub async fn detect(cx: &Context) -> Result<Site> {
    let (chosen, found) = decide(cx).await?;
    site(cx, chosen, found).await
}

/// The home alone; asks no hub.
pub async fn home(cx: &Context) -> Result<Home> {
    Ok(decide(cx).await?.0.home)
}

async fn decide(cx: &Context) -> Result<(Chosen, Vec<(Scope, Found)>)> {
    let platform = platform(cx)?;
    let mut facts = HomeFacts {
        explicit: cx.explicit.clone(),
        own: cx.own.as_ref().map(candidate),
        invoker: cx.invoker.as_ref().map(|invoker| candidate(&invoker.home)),
        ..HomeFacts::default()
    };
    let (near, far) = scopes(cx);
    let mut found: Vec<(Scope, Found)> = Vec::new();
    let chosen = loop {
        let (slot, scope) = match choose::choose_home(&facts) {
            Step::LookNear => (&mut facts.near, near),
            Step::LookFar => (&mut facts.far, far),
            Step::Done(chosen) => break chosen,
            Step::Homeless => return Err(homeless()),
        };
        let unit = match scope {
            Some(scope) => look(cx, platform, scope).await.map(|unit| (scope, unit)),
            None => None,
        };
        *slot = match &unit {
            Some((scope, unit)) => Looked::Unit(fact(*scope, unit)),
            None => Looked::Nothing,
        };
        found.extend(unit);
    };
    Ok((chosen, found))
}

async fn site(cx: &Context, chosen: Chosen, found: Vec<(Scope, Found)>) -> Result<Site> {
    let Chosen { home, unit, notes } = chosen;
    let owner = identity::owner(home.root()).map_err(|e| Error::io("look at", home.root(), &e))?;
    let scope = unit;
    let unit = unit.and_then(|scope| found.into_iter().find(|(s, _)| *s == scope));
    let way = match unit {
        Some((_, unit)) => Lifecycle::Managed(Box::new(Managed::unit(cx, &home, owner, unit))),
        None => {
            let mut hub = Hub::of(cx, &home, owner);
            let seen = hub.seen().await;
            match choose::choose_way(None, seen) {
                Way::Pidfile => Lifecycle::Managed(Box::new(Managed::new(
                    cx,
                    &home,
                    owner,
                    Box::new(hub.pidfile()),
                    hub.port,
                ))),
                Way::External => {
                    let external = Box::new(hub.external());
                    let managed = Managed::new(cx, &home, owner, external, hub.port);
                    Lifecycle::Managed(Box::new(match hub.wedged {
                        true => managed.wedged(),
                        false => managed,
                    }))
                }
                Way::Detached | Way::Unit(_) => Lifecycle::Detached(Box::new(Detached::new(
                    cx,
                    home.clone(),
                    owner,
                    hub.pidfile(),
                ))),
            }
        }
    };
    Ok(Site {
        home,
        owner,
        way,
        notes,
        unit: scope,
        cx: cx.clone(),
        tell: cx.tell.clone(),
    })
}

/// Which managers are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    Systemd,
    Launchd,
    None,
}

pub(super) fn platform(cx: &Context) -> Result<Platform> {
    Ok(match &cx.manager {
        ManagerChoice::Auto if os::MACOS => Platform::Launchd,
        ManagerChoice::Auto | ManagerChoice::Systemd => Platform::Systemd,
        ManagerChoice::Launchd => Platform::Launchd,
        ManagerChoice::None => Platform::None,
        ManagerChoice::Other(word) => {
            return Err(Error::new(
                Code::Usage,
                format!("PARACHUTE_MANAGER is `{word}`, which is no manager"),
            )
            .hint("it is `systemd`, `launchd` or `none`, or not set"));
        }
    })
}

/// Our own scope and the other one. Root's other one is of the user behind sudo.
fn scopes(cx: &Context) -> (Option<Scope>, Option<Scope>) {
    if cx.uid == 0 {
        (
            Some(Scope::System),
            cx.invoker.is_some().then_some(Scope::User),
        )
    } else {
        (Some(Scope::User), Some(Scope::System))
    }
}

fn candidate(home: &Home) -> Candidate {
    Candidate {
        home: home.clone(),
        rows: Registry::read(home).is_ok_and(|r| !r.rows.is_empty()),
    }
}

fn homeless() -> Error {
    Error::new(
        Code::HomeUnusable,
        "this user has no home directory, so there is no default box",
    )
    .hint("name one with `--home DIR` or PARACHUTE_HOME")
}

/// The hub's unit in one scope, where there is one.
async fn look(cx: &Context, platform: Platform, scope: Scope) -> Option<Found> {
    match platform {
        Platform::None => None,
        Platform::Systemd => look_systemd(cx, scope).await,
        Platform::Launchd => look_launchd(cx, scope).await,
    }
}

async fn look_systemd(cx: &Context, scope: Scope) -> Option<Found> {
    let caller = systemd_caller(cx);
    if let (0, Scope::User, Some(invoker)) = (cx.uid, scope, &cx.invoker) {
        let user = identity::user(invoker.uid)?;
        let installed = systemd::look_for_user(&user, &cx.exe).await.transpose()?;
        return Some(Found {
            manager: Box::new(Systemd::new(scope, &caller)),
            installed,
            guess: None,
        });
    }
    match Systemd::find(scope, &caller).await.transpose()? {
        Ok((manager, installed)) => Some(Found {
            manager: Box::new(manager),
            installed: Ok(installed),
            guess: None,
        }),
        Err(error) => Some(Found {
            manager: Box::new(Systemd::new(scope, &caller)),
            installed: Err(error),
            guess: systemd::from_files(scope, &caller),
        }),
    }
}

/// Who asks systemd, from the context.
pub fn systemd_caller(cx: &Context) -> systemd::Caller {
    let words: Vec<String> = cx
        .args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    // `sudo` finds by name only what lies on root's PATH.
    let program = match cx.exe.parent().and_then(Path::to_str) {
        Some("/usr/local/sbin" | "/usr/local/bin" | "/usr/sbin" | "/usr/bin") => "parachute".into(),
        _ => cx.exe.to_string_lossy(),
    };
    let words = std::iter::once(&*program).chain(words.iter().map(String::as_str));
    systemd::Caller {
        uid: cx.uid,
        runtime_dir: cx.var("XDG_RUNTIME_DIR").map(Into::into),
        user_dir: cx.user_dir.clone(),
        system_bus: None,
        terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        command: shlex::try_join(words).unwrap_or_else(|_| "parachute".to_owned()),
    }
}

/// launchd's place and `launchctl` for a scope, from the context.
pub fn launchd(cx: &Context, scope: Scope) -> Option<Launchd> {
    let place = match (scope, cx.uid, &cx.invoker) {
        (Scope::System, ..) => Place::system(Path::new("/")),
        (Scope::User, 0, Some(invoker)) => {
            Place::user(invoker.uid, &identity::user(invoker.uid)?.dir)
        }
        (Scope::User, uid, _) => Place::user(uid, cx.user_dir.as_deref()?),
    };
    let env: Vec<(OsString, OsString)> =
        cx.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let path = cx.var("PATH").cloned().unwrap_or_default();
    Some(Launchd::new(
        place,
        Ctl::new(&path, env),
        cx.exe.clone(),
        cx.uid,
    ))
}

async fn look_launchd(cx: &Context, scope: Scope) -> Option<Found> {
    let manager = launchd(cx, scope)?;
    let installed = manager.look().await;
    if let Ok(Installed {
        state: UnitState::NotInstalled,
        ..
    }) = &installed
    {
        return None;
    }
    if installed.is_err() && !manager.place().plist().exists() {
        return None;
    }
    Some(Found {
        manager: Box::new(manager),
        installed,
        guess: None,
    })
}

fn fact(scope: Scope, found: &Found) -> UnitFact {
    match &found.installed {
        Ok(unit) => {
            let active = !matches!(
                unit.state,
                UnitState::NotInstalled
                    | UnitState::Masked
                    | UnitState::Broken { .. }
                    | UnitState::Stopped
                    | UnitState::Failed { .. }
            );
            UnitFact {
                scope,
                home: unit.home.clone(),
                live: unit.enabled == Some(true) || active,
                called: unit
                    .path
                    .as_ref()
                    .map_or_else(|| "of another user".to_owned(), |p| p.display().to_string()),
            }
        }
        // There is a unit, and nobody who could say more: it is not the detached way.
        Err(_) => UnitFact {
            scope,
            home: found.guess.as_ref().and_then(|unit| unit.home.clone()),
            live: true,
            called: "that cannot be asked about".to_owned(),
        },
    }
}

/// A hub without a unit.
pub(super) struct Hub<'a> {
    cx: &'a Context,
    home: &'a Home,
    owner: u32,
    pub(super) port: u16,
    /// As the hub that booted last in this home has said.
    said: Option<Instance>,
    /// It was asked for its health, and did not answer.
    wedged: bool,
}

impl<'a> Hub<'a> {
    pub(super) fn of(cx: &'a Context, home: &'a Home, owner: u32) -> Self {
        let instance = files::read(home, rel::HUB_INSTANCE, 64 * 1024)
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice::<Instance>(&bytes).ok());
        let kept = files::read(home, rel::HUB_PORT, 64)
            .ok()
            .flatten()
            .and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse::<u16>().ok());
        let port = kept
            .or(instance.as_ref().and_then(|i| i.port))
            .or_else(|| cx.var("PORT")?.to_str()?.parse().ok())
            .filter(|&port| port != 0)
            .unwrap_or(HUB_PORT);
        Self {
            cx,
            home,
            owner,
            port,
            said: instance,
            wedged: false,
        }
    }

    pub(super) fn pidfile(&self) -> Pidfile {
        Pidfile {
            home: self.home.clone(),
            owner: self.owner,
            port: self.port,
            exe: self.cx.exe.clone(),
            env: self.cx.env.clone(),
        }
    }

    fn external(&self) -> External {
        let keeper = match os::container() {
            Some(_) => "a container runtime",
            None => "a terminal",
        };
        External {
            home: self.home.clone(),
            owner: self.owner,
            port: self.port,
            pid: self.listening(),
            keeper,
        }
    }

    /// The process that listens on the hub's port, else the one it has named.
    fn listening(&self) -> Option<u32> {
        match self.holder()? {
            Holder::Process { pid } => Some(pid),
            Holder::Hidden { .. } => self.said.as_ref().and_then(|said| said.pid),
            Holder::Nobody => None,
        }
    }

    fn holder(&self) -> Option<Holder> {
        Some(port::holder(self.port, &Listeners::read().ok()?))
    }

    /// Does a hub of this home run, and how is that known. One that does not answer runs too: its
    /// modules are not started a second time beside it.
    async fn seen(&mut self) -> HubSeen {
        if self.pidfile().runs().unwrap_or_default() {
            return HubSeen::Recorded;
        }
        // The port that a dead detached hub has left says less than the hub that booted last.
        let said = self.said.as_ref();
        if let Some(port) = said.and_then(|said| said.port).filter(|&port| port != 0) {
            self.port = port;
        }
        // No connection is made where nobody listens.
        if !Listeners::read().is_ok_and(|all| all.on(self.port).next().is_some()) {
            return HubSeen::None;
        }
        if let (Some(pid), Some(Holder::Process { pid: holder })) =
            (said.and_then(|said| said.pid), self.holder())
            && pid == holder
        {
            return HubSeen::Elsewhere;
        }
        let client = Client::new(self.home.clone(), self.port, vec![self.owner]);
        match client.look().await.map(|look| look.identity) {
            Ok(Identity::Match) => HubSeen::Elsewhere,
            Ok(Identity::Unknown) if self.same_home() => HubSeen::Elsewhere,
            Err(error) if error.code == Code::HubWedged && self.same_home() => {
                self.wedged = true;
                HubSeen::Elsewhere
            }
            _ => HubSeen::None,
        }
    }

    /// An older hub says nothing of its home; its environment does.
    fn same_home(&self) -> bool {
        let Some(pid) = self.listening() else {
            return false;
        };
        let told = process::env_var(pid, "PARACHUTE_HOME").filter(|home| !home.is_empty());
        match told {
            Some(home) => Path::new(&home) == self.home.root(),
            None => process::env_var(pid, "HOME")
                .is_some_and(|dir| Path::new(&dir).join(".parachute") == self.home.root()),
        }
    }
}
