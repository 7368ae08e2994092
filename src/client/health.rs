//! Is the hub up, and is it this home's own? Asked without a token.

use super::{
    Client, Identity,
    http::Deadline,
    instance, lenient,
    peer::{self, Peer},
    refusal,
};
use crate::{
    api::{HUB_SERVICE, Health},
    error::{Code, Error, Result},
};
use hyper::Method;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A hub that answered its own health.
#[derive(Clone, Debug)]
pub struct Look {
    /// What it said.
    pub health: Health,
    /// From the connect to the end of the answer.
    pub latency: Duration,
    /// Whether it is the hub of this home.
    pub identity: Identity,
}

impl Look {
    /// Whether the hub is of this program's make, going by its version.
    pub fn ours(&self) -> bool {
        instance::at_least(self.health.version.as_deref(), (0, 8, 0))
    }
}

impl Client {
    /// `GET /health`, without a token. Something that answers and is no hub is [`Code::WrongHub`].
    pub async fn health(&self) -> Result<Health> {
        let asked = self.asked("health", None);
        let answer = self
            .open_call(Method::GET, "/health", self.bounds.health, asked)
            .await?;
        match answer.head.status {
            200..=299 => {}
            400..=499 => return Err(self.wrong_hub("what answers there is no hub")),
            _ => return Err(refusal::refusal(&answer, asked)),
        }
        let health = serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .and_then(|value| lenient::health(&value))
            .filter(|health| health.service.as_deref() == Some(HUB_SERVICE));
        health.ok_or_else(|| self.wrong_hub("what answers there is no hub"))
    }

    /// Health, and whether it is the hub of this home that answered. One that runs under a user who
    /// may not is not, whatever it says: its nonce is there for everybody to read. A mismatch is
    /// looked at twice: a hub that is just restarting changes both sides, not at the same moment.
    pub async fn look(&self) -> Result<Look> {
        let mut again = false;
        loop {
            let begun = Instant::now();
            let health = self.health().await?;
            let latency = begun.elapsed();
            let foreign = matches!(peer::look(self.port, &self.allowed), Ok(Peer::Foreign(_)));
            let same = match foreign {
                true => Some(false),
                false => instance::same(&health, instance::recorded(&self.home).as_deref()),
            };
            let identity = match same {
                Some(true) => Identity::Match,
                None => Identity::Unknown,
                Some(false) if !again => {
                    again = true;
                    continue;
                }
                Some(false) => self.mismatch(),
            };
            return Ok(Look {
                health,
                latency,
                identity,
            });
        }
    }

    /// Health of this home's own hub: a hub of another home is [`Code::WrongHub`].
    pub async fn own_health(&self) -> Result<Look> {
        let look = self.look().await?;
        match &look.identity {
            Identity::Mismatch { .. } => Err(self.not_own()),
            _ => Ok(look),
        }
    }

    /// That the hub on its port is not this home's, and whose it is.
    pub fn mismatch(&self) -> Identity {
        Identity::Mismatch {
            listener: self
                .listener()
                .unwrap_or_else(|| "a process that is not to be seen".into()),
        }
    }

    /// The error for that.
    pub fn not_own(&self) -> Error {
        self.wrong_hub("the hub that answers there is another home's")
    }

    /// Waits until this home's own hub answers, at most `bound`; with `not`, until it answers with
    /// another nonce than that (the one from before a restart). The last failure when it does not.
    pub async fn wait_healthy(&self, bound: Duration, not: Option<&str>) -> Result<Look> {
        let deadline = Deadline::within(bound);
        let mut pause = Duration::from_millis(10);
        let mut last: Option<Error> = None;
        loop {
            let mut hurried = self.clone();
            hurried.bounds.health = self.bounds.health.min(deadline.left());
            let cut_short = hurried.bounds.health < self.bounds.health;
            let now = match hurried.own_health().await {
                Ok(look) if not.is_none() || look.health.instance.as_deref() != not => {
                    return Ok(look);
                }
                Ok(_) => Error::new(
                    Code::TimedOut,
                    format!("the hub on port {} is still the one from before", self.port),
                ),
                Err(e) => e,
            };
            // A question that was cut short by the bound says less than the one before it.
            let last = match last.take() {
                Some(before) if cut_short && now.code == Code::HubWedged => last.insert(before),
                _ => last.insert(now),
            };
            if deadline.left() <= pause {
                return Err(Error::new(
                    Code::TimedOut,
                    format!(
                        "the hub was not healthy within {} s: {}",
                        bound.as_secs_f64(),
                        last.message
                    ),
                )
                .hint(match &last.hint {
                    Some(hint) => hint.clone(),
                    None => "`parachute logs hub` shows what it wrote".into(),
                }));
            }
            // Nothing tells when a stranger's health turns good, so it is asked, ever slower.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}
