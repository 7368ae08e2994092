//! systemd over D-Bus, for both of its scopes: the machine's manager and one user's. Runs no
//! `systemctl`; never signals a process; touches no unit but the hub's.

mod agent;
mod bus;
mod disk;
mod environment;
mod facts;
mod file;
mod install;
mod installed;
mod job;
mod journal;
mod linger;
mod offline;
mod remote;
mod stale;
mod unit;

pub use disk::on_disk;
pub use install::{Plan, Step};
pub use linger::lingers;
pub use offline::from_files;
pub use remote::{look_as_json, look_for_user};
pub use stale::stale_units;
pub use unit::render;

use super::{Changes, Follow, Installed, Scope, ServiceManager, Tail, UnitState};
use crate::error::{Code, Error, Result};
use async_trait::async_trait;
use bus::{Bus, Fault};
use facts::Facts;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    sync::{OnceCell, mpsc::error::TrySendError},
    time::Instant,
};

/// The hub's unit.
pub const UNIT: &str = "parachute-hub.service";

/// How long systemd may be away from its bus while it executes itself anew.
const AWAY: Duration = Duration::from_secs(2);
/// How long to leave it alone then.
const AGAIN: Duration = Duration::from_millis(50);

/// Who asks systemd. Made from the context once; the manager reads no environment.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Our effective uid.
    pub uid: u32,
    /// `XDG_RUNTIME_DIR`, whosesoever it is.
    pub runtime_dir: Option<PathBuf>,
    /// Our own home directory.
    pub user_dir: Option<PathBuf>,
    /// The system bus's socket where it is not the usual one; for tests.
    pub system_bus: Option<PathBuf>,
    /// A person sits there who can be asked for a password.
    pub terminal: bool,
    /// The command that is being carried out, as it can be typed again: `parachute start vault`.
    pub command: String,
}

/// The hub's unit in one scope.
#[derive(Debug)]
pub struct Systemd {
    scope: Scope,
    caller: Caller,
    bus: OnceCell<Bus>,
}

/// Is systemd the PID 1 of this machine (sd_booted(3)).
pub fn booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The hub's unit of one scope, without anything to drive it by; see [`Systemd::find`].
pub async fn look_at(scope: Scope, caller: &Caller) -> Result<Option<Installed>> {
    Ok(Systemd::find(scope, caller).await?.map(|(_, unit)| unit))
}

impl Systemd {
    /// The hub's unit in one scope, whether or not it is there. Asks nobody yet.
    pub fn new(scope: Scope, caller: &Caller) -> Self {
        Self {
            scope,
            caller: caller.clone(),
            bus: OnceCell::new(),
        }
    }

    /// Looks whether this scope has a hub unit. `None` where it has none, or there is no systemd.
    /// With the unit's file on disk and nobody to ask: an error, [`Code::ManagerUnreachable`].
    pub async fn find(scope: Scope, caller: &Caller) -> Result<Option<(Self, Installed)>> {
        if !booted() {
            return Ok(None);
        }
        let found = Self::new(scope, caller);
        match found.look().await {
            Ok(Installed {
                state: UnitState::NotInstalled,
                ..
            }) => Ok(None),
            Ok(unit) => Ok(Some((found, unit))),
            Err(error) if error.code == Code::ManagerUnreachable => {
                match on_disk(scope, caller, UNIT) {
                    Some(path) => Err(Error {
                        message: format!(
                            "this box has a hub unit, {}, but {}",
                            path.display(),
                            error.message
                        ),
                        ..error
                    }),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Which scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    async fn bus(&self) -> Result<&Bus> {
        let connect = || Bus::connect(self.scope, &self.caller);
        self.bus.get_or_try_init(connect).await
    }

    /// One round trip: a unit's object is there before it is asked for, and systemd, as
    /// `systemctl show` knows, takes an empty interface for all of them.
    async fn facts(&self, unit: &str) -> Result<Facts, Fault> {
        let bus = self.bus().await.map_err(Fault::Unreachable)?;
        let interface = "org.freedesktop.DBus.Properties";
        let path = object(unit);
        let by = Instant::now() + AWAY;
        let reply = loop {
            match bus.call(&path, interface, "GetAll", &("",)).await {
                Err(Fault::Away(_)) if Instant::now() < by => {
                    tokio::time::sleep(AGAIN).await;
                }
                other => break other?,
            }
        };
        let body = reply.body();
        let all = body.deserialize().map_err(|error| Fault::Refused {
            name: "org.freedesktop.DBus.Error.InvalidArgs".into(),
            said: format!("an answer that cannot be read: {error}"),
        })?;
        Ok(Facts::read(&all))
    }

    /// What a fault means to a person who wanted to `verb` the unit.
    fn explain(&self, fault: Fault, verb: &str) -> Error {
        let denied = fault.is_denied();
        let (name, said) = match fault {
            Fault::Unreachable(error) | Fault::Away(error) => return error,
            Fault::Refused { name, said } => (name, said),
        };
        if denied {
            let error = Error::new(
                Code::NoPermission,
                format!(
                    "{} refuses to {verb} {UNIT}: {}",
                    bus::name(self.scope),
                    plain(&said)
                ),
            );
            return error.hint(format!("`sudo {}`", self.caller.command));
        }
        let ctl = self.systemctl();
        match name.strip_prefix("org.freedesktop.systemd1.") {
            Some("NoSuchUnit") => {
                Error::new(Code::NotInstalled, format!("{UNIT} is not there any more"))
                    .hint("`parachute init` installs it")
            }
            Some("UnitMasked") => Error::new(Code::Refused, format!("{UNIT} is masked"))
                .hint(format!("`{ctl} unmask {UNIT}`")),
            Some("LoadFailed" | "BadUnitSetting") => Error::new(
                Code::UnitFailed,
                format!("{UNIT} cannot be used: {}", plain(&said)),
            )
            .hint(format!(
                "`systemd-analyze verify {UNIT}` says what is wrong with it"
            )),
            Some("TransactionIsDestructive") => {
                Error::new(Code::Refused, "the machine is going down").hint(plain(&said))
            }
            _ => Error::new(
                Code::UnitFailed,
                format!(
                    "{} would not {verb} {UNIT}: {}",
                    bus::name(self.scope),
                    plain(&said)
                ),
            ),
        }
    }

    fn systemctl(&self) -> &'static str {
        match (self.scope, self.caller.uid) {
            (Scope::User, _) => "systemctl --user",
            (Scope::System, 0) => "systemctl",
            (Scope::System, _) => "sudo systemctl",
        }
    }
}

#[async_trait]
impl ServiceManager for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    async fn look(&self) -> Result<Installed> {
        match self.facts(UNIT).await {
            Ok(facts) => Ok(installed::read(&facts, self.scope, &self.caller)),
            Err(fault) => Err(self.explain(fault, "show")),
        }
    }

    async fn start(&self) -> Result<()> {
        self.job(job::Verb::Start, job::LONGEST).await
    }

    async fn start_within(&self, bound: Duration) -> Result<()> {
        self.job(job::Verb::Start, bound).await
    }

    async fn restart_within(&self, bound: Duration) -> Result<()> {
        self.job(job::Verb::Restart, bound).await
    }

    async fn stop(&self) -> Result<()> {
        self.job(job::Verb::Stop, job::LONGEST).await
    }

    async fn restart(&self) -> Result<()> {
        self.job(job::Verb::Restart, job::LONGEST).await
    }

    async fn changes(&self) -> Result<Option<Changes>> {
        let path = object(UNIT);
        let stream = self.signals(
            &path,
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
            None,
        );
        let mut stream = stream.await.map_err(|fault| self.explain(fault, "watch"))?;
        let (tell, told) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(Ok(_)) = bus::next(&mut stream).await {
                // One that is not heard yet stands for this one, too.
                if let Err(TrySendError::Closed(())) = tell.try_send(()) {
                    return;
                }
            }
        });
        Ok(Some(Changes(told)))
    }

    async fn logs(&self, tail: &Tail) -> Result<Vec<String>> {
        self.journal(tail, "short-iso").await
    }

    fn follow(&self, tail: &Tail) -> Follow {
        Follow::Program(journal::follow(self.scope, self.caller.uid, tail))
    }
}

/// The object path of a unit: every byte outside `[A-Za-z0-9]`, and a leading digit, as `_xx`
/// (sd_bus_path_encode(3)).
fn object(unit: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(byte.into()),
            b'0'..=b'9' if at > 0 => path.push(byte.into()),
            _ => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

/// systemd's own words as part of a sentence of ours.
fn plain(said: &str) -> String {
    let said = said.trim().trim_end_matches('.');
    let mut chars = said.chars();
    match chars.next() {
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => said.to_owned(),
    }
}

#[cfg(test)]
mod tests;
