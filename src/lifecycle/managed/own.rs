//! Is the hub that answers this box's own, where no nonce tells: it is older than those, or this
//! home has no record of a boot. Then its process tells, and else what keeps the hub does.

use super::Managed;
use crate::{
    client::{Identity, Look},
    error::{Code, Error, Result},
    lifecycle::seen::{self, Served},
    manager::{Installed, UnitState},
    os::place,
};
use std::sync::PoisonError;

/// What a process tells of the home that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    /// This one.
    Us,
    /// It was told another one.
    Another,
    /// Its user's usual one, which is another, unless something else told it better.
    Usual,
    /// Its process cannot be seen.
    Unseen,
}

/// Decides. A hub of this make knows no other ways to be told its home.
fn own(serves: Serves, ours: bool, unit: &Result<Installed>) -> bool {
    match serves {
        Serves::Us => true,
        Serves::Another => false,
        Serves::Usual if ours => false,
        Serves::Usual | Serves::Unseen => match unit {
            Ok(unit) => matches!(
                unit.state,
                UnitState::Running { .. }
                    | UnitState::Starting
                    | UnitState::Stopping
                    | UnitState::Unknown { .. }
            ),
            // Nobody can be asked: the listener's user was looked at, and that is all there is.
            Err(_) => true,
        },
    }
}

impl Managed {
    /// Health of this box's own hub; another one that answers is [`Code::WrongHub`].
    pub(super) async fn own_health(&self) -> Result<Look> {
        let look = match self.client.own_health().await {
            Ok(look) => look,
            Err(error) => return Err(self.unasked(error).await),
        };
        match look.identity {
            Identity::Unknown => {
                let unit = self.peek().await;
                self.settle(&unit, look)
            }
            _ => Ok(look),
        }
    }

    /// A hub that runs elsewhere and cannot be asked: what is known of it says why.
    async fn unasked(&self, error: Error) -> Error {
        if self.manager.name() != "external" {
            return error;
        }
        if error.code == Code::HubWedged {
            // What could be done about it from here is refused.
            let there = self.manager.refuses("restarted").and_then(|no| no.hint);
            return match there {
                Some(hint) => error.hint(hint),
                None => error,
            };
        }
        if error.code != Code::HubUnreachable {
            return error;
        }
        let notes = self.peek().await.map(|unit| unit.notes);
        match notes.unwrap_or_default().pop() {
            Some(note) => error.hint(note),
            None => error,
        }
    }

    /// As [`Managed::settled`], another one being an error.
    pub(super) fn settle(&self, unit: &Result<Installed>, look: Look) -> Result<Look> {
        match self.settled(unit, look) {
            Look {
                identity: Identity::Mismatch { .. },
                ..
            } => Err(self.client.not_own()),
            look => Ok(look),
        }
    }

    /// The same look, with what its nonce left open decided.
    pub(super) fn settled(&self, unit: &Result<Installed>, look: Look) -> Look {
        if look.identity != Identity::Unknown {
            return look;
        }
        let serves = match seen::served(self.client.port()) {
            Some(Served { root, .. }) if place::same(&root, self.home.root()) => Serves::Us,
            Some(Served { told: true, .. }) => Serves::Another,
            Some(Served { told: false, .. }) => Serves::Usual,
            None => Serves::Unseen,
        };
        match own(serves, look.ours(), unit) {
            true => look,
            false => Look {
                identity: self.client.mismatch(),
                ..look
            },
        }
    }

    /// How the unit stands, left for the next look where the choice has just found it.
    async fn peek(&self) -> Result<Installed> {
        let found = {
            let found = self.found.lock();
            found.unwrap_or_else(PoisonError::into_inner).clone()
        };
        match found {
            Some(found) => Ok(found),
            None => self.look().await,
        }
    }

    /// Nobody is where the hub is to listen: asked before anything is stopped for it.
    pub(in crate::lifecycle) async fn vacant(&self) -> Result<()> {
        match self.client.look().await {
            Ok(_) => Err(self.client.not_own()),
            Err(error) if error.code != Code::HubUnreachable => Err(error),
            Err(_) => match self.client.listener() {
                Some(who) => Err(Error::new(
                    Code::PortTaken,
                    format!("port {} is taken: {who} listens on it", self.client.port()),
                )
                .hint("stop that first, or choose another PORT; nothing was touched")),
                None => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Serves::*, *};
    use crate::manager::{Cause, Scope};

    fn unit(state: UnitState) -> Result<Installed> {
        Ok(Installed {
            scope: Scope::System,
            path: None,
            enabled: None,
            home: None,
            port: 1939,
            uid: None,
            ours: true,
            drop_ins: Vec::new(),
            state,
            restarts: None,
            cpu: None,
            memory: None,
            notes: Vec::new(),
        })
    }

    #[test]
    fn whose_hub_it_is() {
        let runs = || {
            unit(UnitState::Running {
                pid: 7,
                since: None,
            })
        };
        let stopped = || unit(UnitState::Stopped);
        let fails = || {
            let cause = Cause::Exit(1);
            unit(UnitState::Retrying { cause, attempts: 2 })
        };
        let unasked = || Err(Error::new(Code::ManagerUnreachable, "no bus"));
        for (serves, ours, unit, want) in [
            // Its process says so, whatever keeps it.
            (Us, true, stopped(), true),
            (Us, false, fails(), true),
            (Another, false, runs(), false),
            (Another, true, unasked(), false),
            // A hub of other make may have been told its home in ways that are not to be seen.
            (Usual, false, runs(), true),
            (Usual, true, runs(), false),
            (Usual, false, stopped(), false),
            // A user who may not look into it.
            (Unseen, true, runs(), true),
            (Unseen, false, runs(), true),
            (Unseen, true, stopped(), false),
            (Unseen, false, fails(), false),
            (Unseen, false, unit(UnitState::Masked), false),
            (Unseen, false, unasked(), true),
        ] {
            assert_eq!(own(serves, ours, &unit), want, "{serves:?} {ours} {unit:?}");
        }
    }
}
