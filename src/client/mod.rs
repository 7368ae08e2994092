//! The running hub over HTTP, every call under a deadline, tolerant of hubs of other make. The
//! token goes to a listener of an allowed user only. Starts no hub and prints nothing.
//!
//! [`Client`] asks one hub; [`verbs`](Client::bring_up) judge by the state reached; [`probe`] asks
//! modules themselves.

mod follow;
mod health;
mod http;
mod instance;
mod judge;
mod lenient;
mod peer;
mod probe;
mod refusal;
mod routes;
mod token;
mod verbs;
mod warn;

pub use follow::{Follow, Heard, bare, marked};
pub use health::Look;
pub use instance::Identity;
pub use judge::{Verdict, judge};
pub use lenient::state_of;
pub use probe::{BOUND as PROBE_BOUND, Probe, probe, probe_all};
pub use token::{Claims, Token, TokenState, read as read_token};
pub use verbs::{Reached, Verb};

use crate::{
    error::{Code, Error, Result},
    home::Home,
};
use http::{Answer, BODY_LIMIT, Deadline, Opened, Trouble};
use hyper::{HeaderMap, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use peer::Peer;
use refusal::Asked;
use std::time::Duration;
use warn::Warn;

/// How long each call may take, from the connect to the end of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Health and readiness.
    pub health: Duration,
    /// The module list.
    pub modules: Duration,
    /// A start; hubs may take 5 s.
    pub start: Duration,
    /// A stop; the module has 5 s to end by itself.
    pub stop: Duration,
    /// A restart; hubs may take 10 s.
    pub restart: Duration,
    /// Buffered lines, and the head of a followed log.
    pub logs: Duration,
    /// Everything else.
    pub other: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            health: Duration::from_millis(1500),
            modules: Duration::from_secs(3),
            start: Duration::from_secs(10),
            stop: Duration::from_secs(15),
            restart: Duration::from_secs(20),
            logs: Duration::from_secs(5),
            other: Duration::from_secs(10),
        }
    }
}

/// One hub, on loopback.
#[derive(Clone, Debug)]
pub struct Client {
    home: Home,
    port: u16,
    allowed: Vec<u32>,
    bounds: Bounds,
    warn: Warn,
}

impl Client {
    /// The hub of a home. `allowed`: the uids it may run under, to which alone the home's token is
    /// sent: the home's owner, and the unit's user where there is a unit.
    pub fn new(home: Home, port: u16, allowed: Vec<u32>) -> Self {
        Self {
            home,
            port,
            allowed,
            bounds: Bounds::default(),
            warn: Warn::default(),
        }
    }

    /// The same, which tells once when it has sent a token that others can read.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.warn = Warn::to(told);
        self
    }

    /// The same for somebody who tells of it otherwise.
    #[must_use]
    pub fn quiet(&self) -> Self {
        Self {
            warn: Warn::default(),
            ..self.clone()
        }
    }

    /// The same with other bounds.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The port it asks.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How it stands with the home's token.
    pub fn token(&self) -> TokenState {
        token::read(&self.home, Timestamp::now())
    }

    /// Who listens on the hub's port, for people; `None` when nobody is to be seen.
    pub fn listener(&self) -> Option<String> {
        peer::listener(self.port)
    }

    fn asked<'a>(&self, verb: &'static str, short: Option<&'a str>) -> Asked<'a> {
        Asked {
            verb,
            short,
            port: self.port,
        }
    }

    fn wrong_hub(&self, what: &str) -> Error {
        let port = self.port;
        let who = self.listener().map_or_else(
            || "nobody is to be seen as its listener".into(),
            |who| format!("its listener is {who}"),
        );
        Error::new(Code::WrongHub, format!("port {port}: {what}; {who}")).hint(
            "stop that program, or give the hub another port; \
             `parachute status` shows which one it should have",
        )
    }

    /// A call without a token.
    async fn open_call(
        &self,
        method: Method,
        path: &str,
        bound: Duration,
        asked: Asked<'_>,
    ) -> Result<Answer> {
        let deadline = Deadline::within(bound);
        let request = http::request(method, self.port, path, HeaderMap::new())
            .map_err(|why| refusal::odd(asked, &why))?;
        let exchange = async {
            let stream = http::connect(self.port, deadline).await?;
            let opened = http::open(stream, request, deadline).await?;
            opened.whole(BODY_LIMIT, deadline).await
        };
        exchange.await.map_err(|t| refusal::trouble(&t, asked))
    }

    /// A call with the token; anything but 2xx is an error.
    async fn call(
        &self,
        method: Method,
        path: &str,
        bound: Duration,
        asked: Asked<'_>,
    ) -> Result<Answer> {
        let deadline = Deadline::within(bound);
        let opened = self.authorised(method, path, deadline, asked).await?;
        let answer = whole(opened, deadline, asked).await?;
        self.explained(answer, asked).await
    }

    /// The one path on which the token leaves: listeners looked at, connected, looked at again.
    async fn authorised(
        &self,
        method: Method,
        path: &str,
        deadline: Deadline,
        asked: Asked<'_>,
    ) -> Result<Opened> {
        let to_error = |t: Trouble| refusal::trouble(&t, asked);
        let mut tries = 3;
        let stream = loop {
            tries -= 1;
            let before = peer::look(self.port, &self.allowed)?;
            let stream = match (http::connect(self.port, deadline).await, &before) {
                (Ok(stream), _) => stream,
                // A stranger whose backlog is full is a stranger still.
                (Err(Trouble::Silent(_) | Trouble::Closed), Peer::Foreign(_)) => {
                    return Err(self.refuse(&before, &before));
                }
                (Err(trouble), _) => return Err(to_error(trouble)),
            };
            let after = peer::look(self.port, &self.allowed)?;
            match peer::verdict(&before, &after, self.port) {
                Ok(()) => break stream,
                // A hub that is just coming up, or being replaced by its next life.
                Err(_) if before != after && tries > 0 => {}
                Err(e) => return Err(e),
            }
        };
        let token = match self.token() {
            TokenState::Usable { token, warning, .. } => {
                if let Some(warning) = warning {
                    self.warn.tell(&warning);
                }
                token
            }
            state => return Err(self.without_token(&state).await),
        };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, token.authorization());
        let request = http::request(method, self.port, path, headers)
            .map_err(|why| refusal::odd(asked, &why))?;
        http::open(stream, request, deadline)
            .await
            .map_err(to_error)
    }

    fn refuse(&self, before: &Peer, after: &Peer) -> Error {
        match peer::verdict(before, after, self.port) {
            Err(e) => e,
            Ok(()) => self.wrong_hub("it cannot be asked"),
        }
    }

    /// No token to send: a hub that wants its first user first says so without one, and then that
    /// is what there is to do.
    async fn without_token(&self, state: &TokenState) -> Error {
        let asked = self.asked("the module list", None);
        let setup = self
            .open_call(Method::GET, "/api/modules", self.bounds.health, asked)
            .await
            .ok()
            .filter(|answer| answer.head.status == 503)
            .map(|answer| refusal::refusal(&answer, asked))
            .filter(|e| e.code == Code::SetupRequired);
        if let Some(e) = setup {
            return e;
        }
        let ours = self.make().await;
        state
            .problem(&self.home, ours)
            .unwrap_or_else(|| Error::new(Code::Unauthorized, "the operator token cannot be sent"))
    }

    /// Passes 2xx on, and everything else as an error with what is needed to act on it.
    async fn explained(&self, answer: Answer, asked: Asked<'_>) -> Result<Answer> {
        if (200..=299).contains(&answer.head.status) {
            return Ok(answer);
        }
        let mut error = refusal::refusal(&answer, asked);
        if answer.head.status == 401 {
            if let TokenState::Usable {
                claims:
                    Claims {
                        issuer: Some(issuer),
                        ..
                    },
                ..
            } = self.token()
            {
                error.message = format!("{} of {}", error.message, refusal::clean(&issuer));
            }
            error = error.hint(token::fresh(self.make().await));
        } else if error.code == Code::Unauthorized {
            error = error.hint(token::wider(self.make().await));
        }
        Err(error)
    }

    /// Is the hub that answers of this program's make? Asked only to advise.
    async fn make(&self) -> Option<bool> {
        let health = self.health().await.ok()?;
        Some(instance::at_least(health.version.as_deref(), (0, 8, 0)))
    }
}

async fn whole(opened: Opened, deadline: Deadline, asked: Asked<'_>) -> Result<Answer> {
    opened
        .whole(BODY_LIMIT, deadline)
        .await
        .map_err(|t| refusal::trouble(&t, asked))
}
