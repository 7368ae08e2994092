//! The running hub over HTTP, every call under a deadline, tolerant of hubs of other make. The
//! token goes to a listener of an allowed user only. Starts no hub and prints nothing.
//!
//! [`Client`] asks one hub; [`verbs`](Client::bring_up) judge by the state reached; [`probe`] asks
//! modules themselves.

mod follow;
mod http;
mod instance;
mod judge;
mod lenient;
mod peer;
mod probe;
mod refusal;
mod token;
mod verbs;

pub use follow::{Follow, Heard, bare};
pub use instance::Identity;
pub use judge::{Verdict, code as start_error_code, judge};
pub use lenient::state_of;
pub use probe::{BOUND as PROBE_BOUND, Probe, probe, probe_all};
pub use token::{Claims, Token, TokenState, read as read_token};
pub use verbs::{Reached, Verb};

use crate::{
    api::{HUB_SERVICE, Health, ModuleList, Operation, Ready, Reloaded, Started, Stopped},
    error::{Code, Error, Result},
    home::Home,
};
use http::{Answer, BODY_LIMIT, Deadline, Opened, Trouble};
use hyper::{HeaderMap, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use peer::Peer;
use refusal::Asked;
use serde_json::Value;
use std::{
    os::unix::ffi::OsStrExt,
    time::{Duration, Instant},
};

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

/// One hub, on loopback.
#[derive(Clone, Debug)]
pub struct Client {
    home: Home,
    port: u16,
    allowed: Vec<u32>,
    bounds: Bounds,
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

    /// Health, and whether it is the hub of this home that answered. A mismatch is looked at twice:
    /// a hub that is just restarting changes both sides, not at the same moment.
    pub async fn look(&self) -> Result<Look> {
        let mut again = false;
        loop {
            let begun = Instant::now();
            let health = self.health().await?;
            let latency = begun.elapsed();
            let identity = match instance::same(&health, instance::recorded(&self.home).as_deref())
            {
                Some(true) => Identity::Match,
                None => Identity::Unknown,
                Some(false) if !again => {
                    again = true;
                    continue;
                }
                Some(false) => Identity::Mismatch {
                    listener: self
                        .listener()
                        .unwrap_or_else(|| "a process that is not to be seen".into()),
                },
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
            Identity::Mismatch { .. } => {
                Err(self.wrong_hub("the hub that answers there is another home's"))
            }
            _ => Ok(look),
        }
    }

    /// Waits until this home's own hub answers, at most `bound`; with `not`, until it answers with
    /// another nonce than that (the one from before a restart). The last failure when it does not.
    pub async fn wait_healthy(&self, bound: Duration, not: Option<&str>) -> Result<Look> {
        let deadline = Deadline::within(bound);
        let mut pause = Duration::from_millis(10);
        loop {
            let left = deadline.left();
            let mut hurried = self.clone();
            hurried.bounds.health = self.bounds.health.min(left);
            let last = match hurried.own_health().await {
                Ok(look) if not.is_none() || look.health.instance.as_deref() != not => {
                    return Ok(look);
                }
                Ok(_) => Error::new(
                    Code::TimedOut,
                    format!("the hub on port {} is still the one from before", self.port),
                ),
                Err(e) => e,
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
                .hint(
                    last.hint
                        .unwrap_or_else(|| "`parachute logs hub` shows what it wrote".into()),
                ));
            }
            // Nothing tells when a stranger's health turns good, so it is asked, ever slower.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// `GET /api/ready`, without a token.
    pub async fn ready(&self) -> Result<Ready> {
        let asked = self.asked("ready", None);
        let answer = self
            .open_call(Method::GET, "/api/ready", self.bounds.health, asked)
            .await?;
        read(&answer, asked, lenient::ready)
    }

    /// `GET /api/modules`.
    pub async fn modules(&self) -> Result<ModuleList> {
        let asked = self.asked("the module list", None);
        let answer = self
            .call(Method::GET, "/api/modules", self.bounds.modules, asked)
            .await?;
        read(&answer, asked, lenient::list)
    }

    /// `POST …/start`, as the hub answers it: judge the state, or use [`Client::bring_up`].
    pub async fn start(&self, short: &str) -> Result<Started> {
        self.changed("start", short, self.bounds.start).await
    }

    /// `POST …/restart`, likewise.
    pub async fn restart(&self, short: &str) -> Result<Started> {
        self.changed("restart", short, self.bounds.restart).await
    }

    async fn changed(&self, verb: &'static str, short: &str, bound: Duration) -> Result<Started> {
        let asked = self.asked(verb, Some(short));
        let answer = self
            .call(Method::POST, &module(short, verb)?, bound, asked)
            .await?;
        read(&answer, asked, |value| {
            let state = lenient::state(value.get("state")?, Some(short))?;
            Some(Started {
                short: short.to_owned(),
                state,
            })
        })
    }

    /// `POST …/stop`. `stopped: false` when the hub did not supervise it.
    pub async fn stop(&self, short: &str) -> Result<Stopped> {
        let asked = self.asked("stop", Some(short));
        let path = module(short, "stop")?;
        let answer = self
            .call(Method::POST, &path, self.bounds.stop, asked)
            .await?;
        read(&answer, asked, |value| {
            Some(Stopped {
                short: short.to_owned(),
                stopped: value.get("stopped")?.as_bool()?,
                state: value
                    .get("state")
                    .and_then(|state| lenient::state(state, Some(short))),
            })
        })
    }

    /// `GET …/logs`: the buffered lines, oldest first, with the hub's prefix (see [`bare`]) and
    /// without newlines.
    pub async fn logs(&self, short: &str) -> Result<Vec<String>> {
        let asked = self.asked("logs of", Some(short));
        let path = module(short, "logs")?;
        let answer = self
            .call(Method::GET, &path, self.bounds.logs, asked)
            .await?;
        read(&answer, asked, lenient::lines)
    }

    /// `GET …/logs?follow=1`: the buffered lines, then new ones for as long as hub and module live.
    pub async fn follow(&self, short: &str) -> Result<Follow> {
        let asked = self.asked("logs of", Some(short));
        let path = format!("{}?follow=1", module(short, "logs")?);
        let deadline = Deadline::within(self.bounds.logs);
        let opened = self.authorised(Method::GET, &path, deadline, asked).await?;
        if (200..=299).contains(&opened.head.status) && opened.head.kind == "text/plain" {
            return Ok(Follow::new(opened));
        }
        let answer = whole(opened, deadline, asked).await?;
        // A hub that cannot follow answers what is buffered, and that is all of it.
        let lines = read(&self.explained(answer, asked).await?, asked, lenient::lines)?;
        Ok(Follow::finished(lines))
    }

    /// `POST /api/reload`: the hub reads the registry again. [`Code::NotImplemented`] from hubs of
    /// other make.
    pub async fn reload(&self) -> Result<Reloaded> {
        let asked = self.asked("reload", None);
        let answer = self
            .call(Method::POST, "/api/reload", self.bounds.other, asked)
            .await?;
        read(&answer, asked, lenient::reloaded)
    }

    /// `POST …/install`: the id of the operation that does it.
    pub async fn install(&self, short: &str) -> Result<String> {
        self.begun("install", short).await
    }

    /// `POST …/upgrade`, likewise.
    pub async fn upgrade(&self, short: &str) -> Result<String> {
        self.begun("upgrade", short).await
    }

    async fn begun(&self, verb: &'static str, short: &str) -> Result<String> {
        let asked = self.asked(verb, Some(short));
        let path = module(short, verb)?;
        let answer = self
            .call(Method::POST, &path, self.bounds.other, asked)
            .await?;
        read(&answer, asked, |value| {
            Some(value.get("operation_id")?.as_str()?.to_owned())
        })
    }

    /// `GET /api/modules/operations/:id`; `None` when the hub knows it no longer (it was started
    /// again meanwhile).
    pub async fn operation(&self, id: &str) -> Result<Option<Operation>> {
        let asked = self.asked("the operation", None);
        let path = format!("/api/modules/operations/{}", segment(id)?);
        let deadline = Deadline::within(self.bounds.other);
        let opened = self.authorised(Method::GET, &path, deadline, asked).await?;
        let answer = whole(opened, deadline, asked).await?;
        if answer.head.status == 404 {
            return Ok(None);
        }
        let answer = self.explained(answer, asked).await?;
        read(&answer, asked, |value| lenient::operation(value, id)).map(Some)
    }

    /// `POST …/uninstall`.
    pub async fn uninstall(&self, short: &str) -> Result<()> {
        let asked = self.asked("uninstall", Some(short));
        let path = module(short, "uninstall")?;
        self.call(Method::POST, &path, self.bounds.restart, asked)
            .await
            .map(drop)
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
        peer::verdict(&before, &after, self.port)?;
        let token = match self.token() {
            TokenState::Usable { token, .. } => token,
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

/// Reads an answer, whatever its status was checked for before.
fn read<T>(answer: &Answer, asked: Asked<'_>, how: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
    if !(200..=299).contains(&answer.head.status) {
        return Err(refusal::refusal(answer, asked));
    }
    serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|value| how(&value))
        .ok_or_else(|| refusal::unreadable(answer, asked))
}

/// The path of a module's route.
fn module(short: &str, verb: &str) -> Result<String> {
    Ok(format!("/api/modules/{}/{verb}", segment(short)?))
}

/// A name as one path segment: what is not unreserved (RFC 3986, 2.3) is percent-encoded. A name
/// that would be no segment of its own is nobody's.
fn segment(name: &str) -> Result<String> {
    if matches!(name, "" | "." | "..") || name.contains('/') || name.contains(char::is_control) {
        return Err(Error::new(
            Code::NotInstalled,
            format!("no module can be named {name:?}"),
        )
        .hint("`parachute status` lists the modules of this box"));
    }
    let mut out = String::with_capacity(name.len());
    for byte in std::ffi::OsStr::new(name).as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(out)
}
