//! Gathers the facts that a choice is made from, no more than it needs, and builds what the
//! choice names. One look a scope, the second only when the first does not decide.

use super::{
    Lifecycle, Site,
    choose::{self, Candidate, Chosen, HomeFacts, Looked, Step, UnitFact, Way},
    detached::Detached,
    managed::{Found, Managed},
    seen::Hub,
};
use crate::{
    context::{Context, ManagerChoice},
    error::{Code, Error, Result},
    home::Home,
    manager::{
        Installed, Scope, ServiceManager, UnitState,
        launchd::{Launchd, ctl::Ctl, domain::Place},
        systemd::{self, Systemd},
    },
    modules::registry::Registry,
    os::{self, identity, place},
};
use std::{
    ffi::OsString,
    io::{ErrorKind, IsTerminal},
    path::Path,
};

/// Looks at the box and decides, once.
pub async fn detect(cx: &Context) -> Result<Site> {
    let (chosen, found) = decide(cx).await?;
    site(cx, chosen, found).await
}

/// The home alone; asks no hub.
pub async fn home(cx: &Context) -> Result<Home> {
    Ok(decide(cx).await?.0.home)
}

/// Modules of a home that run without a hub.
pub fn without_hub(cx: &Context, home: &Home) -> Result<Vec<String>> {
    let owner = owner(home, None)?;
    let hub = Hub::of(cx, home, owner).pidfile();
    Detached::new(cx, home.clone(), owner, hub).running()
}

async fn decide(cx: &Context) -> Result<(Chosen, Vec<(Scope, Found)>)> {
    let platform = platform(cx)?;
    let mut facts = HomeFacts {
        explicit: cx.explicit.clone(),
        own: cx.own.as_ref().map(candidate),
        invoker: cx.invoker.as_ref().map(|invoker| candidate(&invoker.home)),
        ..HomeFacts::default()
    };
    let own = cx.own.as_ref();
    let invoker = cx.invoker.as_ref().map(|invoker| &invoker.home);
    let known: Vec<&Home> = cx.explicit.iter().chain(own).chain(invoker).collect();
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
            Some((scope, unit)) => Looked::Unit(fact(platform, *scope, unit, &known)),
            None => Looked::Nothing,
        };
        found.extend(unit);
    };
    Ok((chosen, found))
}

async fn site(cx: &Context, chosen: Chosen, found: Vec<(Scope, Found)>) -> Result<Site> {
    let Chosen { home, unit, notes } = chosen;
    let scope = unit;
    let unit = unit.and_then(|scope| found.into_iter().find(|(s, _)| *s == scope));
    let owner = owner(&home, unit.as_ref().map(|(_, unit)| unit))?;
    let barred = barred(cx, &home, owner);
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
        barred,
        cx: cx.clone(),
        tell: cx.tell.clone(),
    })
}

/// Whose the home is. Where this user may not even look, the unit says whose hub lives there.
fn owner(home: &Home, unit: Option<&Found>) -> Result<u32> {
    let told = unit.and_then(|unit| unit.installed.as_ref().ok().or(unit.guess.as_ref())?.uid);
    match (identity::owner(home.root()), told) {
        (Ok(owner), _) => Ok(owner),
        (Err(error), Some(uid)) if error.kind() == ErrorKind::PermissionDenied => Ok(uid),
        (Err(error), _) => {
            let refused = error.kind() == ErrorKind::PermissionDenied;
            let error = Error::io("look at", home.root(), &error);
            Err(match refused {
                true => error.hint("run this as the owner of the home, or with `sudo`"),
                false => error,
            })
        }
    }
}

/// Why this user can see nothing of the home, and who can.
fn barred(cx: &Context, home: &Home, owner: u32) -> Option<Error> {
    if cx.uid == 0 || cx.uid == owner {
        return None;
    }
    let error = Registry::read(home).err();
    let error = error.filter(|error| error.code == Code::NoPermission)?;
    let who = identity::user(owner).map_or_else(|| format!("'#{owner}'"), |user| user.name);
    Some(error.hint(format!(
        "run it as the one whose home it is: `sudo -u {who} parachute …`"
    )))
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

/// A registry that cannot be read, or whose rows are all bad, has rows all the same: what is wrong
/// with it is said of this home, and no other is driven in its place.
fn candidate(home: &Home) -> Candidate {
    let rows = match Registry::read(home) {
        Ok(registry) => !registry.rows.is_empty() || !registry.warnings.is_empty(),
        Err(error) => error.code != Code::HomeUnusable,
    };
    Candidate {
        home: home.clone(),
        rows,
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

/// What the choice needs of a unit. Its home is given the name that it is known by here: a link to
/// a home, or a way through `..`, is no other home.
fn fact(platform: Platform, scope: Scope, found: &Found, known: &[&Home]) -> UnitFact {
    let named = |home: &Home| {
        let known = known.iter().copied();
        let mut same = known.filter(|known| place::same(known.root(), home.root()));
        same.next().unwrap_or(home).clone()
    };
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
                home: unit.home.as_ref().map(named),
                live: unit.enabled == Some(true) || active,
                // launchd reads the file of a unit that the operator has switched off.
                masked: platform == Platform::Systemd && unit.state == UnitState::Masked,
                called: unit
                    .path
                    .as_ref()
                    .map_or_else(|| "of another user".to_owned(), |p| p.display().to_string()),
            }
        }
        // There is a unit, and nobody who could say more: it is not the detached way.
        Err(_) => UnitFact {
            scope,
            home: (found.guess.as_ref().and_then(|unit| unit.home.as_ref())).map(named),
            live: true,
            masked: false,
            called: "that cannot be asked about".to_owned(),
        },
    }
}
