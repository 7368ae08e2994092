//! A hub that somebody else keeps: a container runtime, a terminal. It can be looked at, through
//! its own health, and not touched.

use super::{Follow, Installed, Scope, ServiceManager, Tail, UnitState};
use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
};
use async_trait::async_trait;
use std::{fmt, net::IpAddr};

/// Who keeps a hub that is not ours to touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// What runs the container that we are in.
    Container,
    /// A person, with `parachute serve`.
    Terminal,
    /// The home's owner, of this name, who is another than the caller.
    User(String),
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container => f.write_str("a container runtime"),
            Self::Terminal => f.write_str("a terminal"),
            Self::User(name) => write!(f, "the user {name}"),
        }
    }
}

/// The hub of a home, kept elsewhere.
#[derive(Clone, Debug)]
pub struct External {
    /// The home.
    pub home: Home,
    /// The uid of the home's owner.
    pub owner: u32,
    /// The hub's port.
    pub port: u16,
    /// The hub's process, where it has said so.
    pub pid: Option<u32>,
    /// What keeps it.
    pub keeper: Keeper,
    /// Where it listens instead of 127.0.0.1, on which alone it can be asked.
    pub elsewhere: Option<IpAddr>,
}

impl External {
    fn refused(&self, verb: &str) -> Error {
        let pid = self
            .pid
            .map(|pid| format!(" (pid {pid})"))
            .unwrap_or_default();
        let (code, hint) = match &self.keeper {
            Keeper::Terminal => (
                Code::Refused,
                "press Ctrl-C where `parachute serve` runs".to_owned(),
            ),
            Keeper::Container => (
                Code::Refused,
                "ask a container runtime for it, as in `docker restart NAME` or `kubectl rollout \
                 restart`"
                    .to_owned(),
            ),
            Keeper::User(name) => (Code::NoPermission, format!("`sudo -u {name} parachute …`")),
        };
        Error::new(
            code,
            format!(
                "the hub of this box{pid} is kept by {}, so it is not {verb} from here",
                self.keeper
            ),
        )
        .hint(hint)
    }
}

/// A hub that cannot be asked for anything, and what changes that.
fn unasked(address: IpAddr) -> String {
    format!(
        "it listens on {address} and not on 127.0.0.1, so it cannot be asked for anything: run it \
         with `PARACHUTE_BIND_HOST=127.0.0.1`, or with 0.0.0.0"
    )
}

#[async_trait]
impl ServiceManager for External {
    fn name(&self) -> &'static str {
        "external"
    }

    /// Its health alone decides, which is the caller's to ask.
    async fn look(&self) -> Result<Installed> {
        let state = match self.pid {
            Some(pid) => UnitState::Running { pid, since: None },
            None => UnitState::Unknown {
                said: format!("kept by {}", self.keeper),
            },
        };
        Ok(Installed {
            scope: Scope::User,
            path: None,
            enabled: None,
            home: Some(self.home.clone()),
            port: self.port,
            uid: Some(self.owner),
            ours: true,
            drop_ins: Vec::new(),
            state,
            restarts: None,
            cpu: None,
            memory: None,
            notes: std::iter::once(format!("kept by {}: start and stop it there", self.keeper))
                .chain(self.elsewhere.map(unasked))
                .collect(),
        })
    }

    fn refuses(&self, done: &str) -> Option<Error> {
        Some(self.refused(done))
    }

    async fn start(&self) -> Result<()> {
        Err(self.refused("started"))
    }

    async fn stop(&self) -> Result<()> {
        Err(self.refused("stopped"))
    }

    async fn restart(&self) -> Result<()> {
        Err(self.refused("restarted"))
    }

    async fn logs(&self, _: &Tail) -> Result<Vec<String>> {
        Err(Error::new(
            Code::Refused,
            format!("what the hub writes goes to {}", self.keeper),
        )
        .hint(match &self.keeper {
            Keeper::User(name) => format!("`sudo -u {name} parachute logs hub`"),
            _ => "read it there, as with `docker logs NAME`".to_owned(),
        }))
    }

    fn follow(&self, _: &Tail) -> Follow {
        Follow::File(self.home.at(rel::HUB_LOG))
    }
}
