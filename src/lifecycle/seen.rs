//! A hub that no unit keeps: does one of this home run, and how is that known. Also whose home the
//! hub on a port serves, as far as its process tells. Asks health only; sends no token.

use super::choose::HubSeen;
use crate::{
    api::{HUB_PORT, Instance},
    client::{Client, Identity},
    context::Context,
    error::Code,
    home::{Home, rel},
    manager::{
        external::{External, Keeper},
        pidfile::Pidfile,
    },
    os::{
        self, files, identity, place,
        port::{self, Holder, Listeners},
        process,
    },
};
use std::{
    net::IpAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A hub without a unit.
pub(super) struct Hub<'a> {
    cx: &'a Context,
    home: &'a Home,
    owner: u32,
    pub(super) port: u16,
    /// As the hub that booted last in this home has said.
    said: Option<Instance>,
    /// It holds the lock of this home's hub.
    locks: bool,
    /// It was asked for its health, and did not answer.
    pub(super) wedged: bool,
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
            locks: false,
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

    pub(super) fn external(&self) -> External {
        let keeper = match os::container() {
            // How somebody else keeps a hub is not to be seen.
            _ if self.cx.uid != 0 && self.cx.uid != self.owner => Keeper::User(
                identity::user(self.owner).map_or_else(|| self.owner.to_string(), |user| user.name),
            ),
            Some(_) => Keeper::Container,
            None => Keeper::Terminal,
        };
        External {
            home: self.home.clone(),
            owner: self.owner,
            port: self.port,
            pid: self.pid(),
            keeper,
            elsewhere: self.elsewhere(),
        }
    }

    /// The process that listens on the hub's port, else the one that it has named.
    fn pid(&self) -> Option<u32> {
        let said = self.said.as_ref().and_then(|said| said.pid);
        let named = || said.filter(|&pid| self.is_hub(pid));
        match holder(self.port)? {
            Holder::Process { pid } if !self.locks || said == Some(pid) || self.serves_us() => {
                Some(pid)
            }
            Holder::Hidden { .. } => named(),
            // What listens there, if anything does, is not the one that holds the lock.
            _ => named().filter(|_| self.locks),
        }
    }

    /// Is this a hub of the home's owner. In a container a hub knows itself by another number than we
    /// do, which may be anybody's here.
    fn is_hub(&self, pid: u32) -> bool {
        let process = process::look(pid).ok().flatten();
        let theirs = process.is_some_and(|p| p.alive() && p.uid == self.owner);
        theirs && process::argv(pid).is_some_and(|argv| argv.iter().any(|word| word == "serve"))
    }

    /// Where it listens, when that is not where it is asked.
    fn elsewhere(&self) -> Option<IpAddr> {
        let listeners = Listeners::read().ok()?;
        if !self.locks || listeners.on(self.port).next().is_some() {
            return None;
        }
        let mut there = listeners.all.iter().filter(|l| l.port == self.port);
        there.next().map(|listener| listener.address)
    }

    /// Does a hub of this home run, and how is that known. One that does not answer runs too: its
    /// modules are not started a second time beside it.
    pub(super) async fn seen(&mut self) -> HubSeen {
        if self.pidfile().runs().unwrap_or_default() {
            return HubSeen::Recorded;
        }
        // The port that a dead detached hub has left says less than the hub that booted last.
        let said = self.said.as_ref();
        if let Some(port) = said.and_then(|said| said.port).filter(|&port| port != 0) {
            self.port = port;
        }
        // A hub of ours holds its lock wherever it listens; one that booted has left its file too.
        if said.is_some() && files::locked(self.home, rel::SERVE_LOCK) {
            self.locks = true;
            return HubSeen::Elsewhere;
        }
        let Ok(listeners) = Listeners::read() else {
            return HubSeen::None;
        };
        // No connection is made where nobody listens.
        if listeners.on(self.port).next().is_none() {
            return HubSeen::None;
        }
        if let (Some(pid), Holder::Process { pid: holder }) = (
            said.and_then(|said| said.pid),
            port::holder(self.port, &listeners),
        ) && pid == holder
        {
            return HubSeen::Elsewhere;
        }
        // Whoever runs it: a hub that shows this home's nonce is not to have a second one beside it.
        let anybody = listeners.on(self.port).map(|listener| listener.uid);
        let client = Client::new(self.home.clone(), self.port, anybody.collect());
        match client.look().await.map(|look| look.identity) {
            Ok(Identity::Match) => HubSeen::Elsewhere,
            Ok(Identity::Unknown) if self.serves_us() => HubSeen::Elsewhere,
            Err(error) if error.code == Code::HubWedged && self.serves_us() => {
                self.wedged = true;
                HubSeen::Elsewhere
            }
            _ => HubSeen::None,
        }
    }

    fn serves_us(&self) -> bool {
        served(self.port).is_some_and(|home| place::same(&home.root, self.home.root()))
    }
}

fn holder(port: u16) -> Option<Holder> {
    Some(port::holder(port, &Listeners::read().ok()?))
}

/// The home that a hub's process says it serves.
pub(super) struct Served {
    pub(super) root: PathBuf,
    /// It was told so; else it is its user's usual one.
    pub(super) told: bool,
}

/// Which home the hub on a port serves, by the command line and environment of its process: an
/// older hub says nothing of it elsewhere. `None` where these cannot be seen.
pub(super) fn served(port: u16) -> Option<Served> {
    let Holder::Process { pid } = holder(port)? else {
        return None;
    };
    let argv = process::argv(pid)?;
    let mut args = argv.iter().map(|arg| arg.as_bytes());
    while let Some(arg) = args.next() {
        let home = match arg.strip_prefix(b"--home=") {
            None if arg == b"--home" => args.next(),
            home => home,
        };
        if let Some(home) = home {
            return Some(Served::told(pid, std::ffi::OsStr::from_bytes(home)));
        }
    }
    let mut vars = process::env_vars(pid, &["PARACHUTE_HOME", "HOME"])?.into_iter();
    let mut var = || vars.next().flatten().filter(|value| !value.is_empty());
    match (var(), var()) {
        (Some(home), _) => Some(Served::told(pid, &home)),
        (None, Some(dir)) => Some(Served {
            root: Path::new(&dir).join(".parachute"),
            told: false,
        }),
        (None, None) => None,
    }
}

impl Served {
    fn told(pid: u32, home: &std::ffi::OsStr) -> Self {
        let from = process::cwd(pid).unwrap_or_default();
        Self {
            root: from.join(home),
            told: true,
        }
    }
}
