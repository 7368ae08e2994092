//! Is a module live? One request to its health path, many modules side by side. Sends no token.

use super::http::{self, Deadline, Trouble};
use hyper::{HeaderMap, Method};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// How long a module's health may take.
pub const BOUND: Duration = Duration::from_millis(1500);
/// So many are asked at once, which stays clear of the usual soft limit of 1024 files.
const AT_ONCE: usize = 256;
/// After the head of an answer, so much of its body is read out of courtesy: a server that is cut
/// off in its answer writes that into its log.
const COURTESY: Duration = Duration::from_millis(50);

/// What a health path answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// 2xx, or 401: it is up and wants to know who asks.
    Live {
        /// From the connect to the head of the answer.
        latency: Duration,
    },
    /// Anything else that is HTTP, redirects included.
    NotLive {
        /// What it answered.
        status: u16,
    },
    /// Nobody listens on the port.
    Refused,
    /// Accepted, and not answered in time.
    Silent,
    /// Something answers that is not HTTP, or closes; says what, for people.
    Odd(String),
}

impl Probe {
    /// Is it live?
    pub fn live(&self) -> bool {
        matches!(self, Probe::Live { .. })
    }

    /// Why it does not count as live, for people; `path` is its health path.
    pub fn unhealthy(&self, path: &str) -> String {
        match self {
            Probe::Live { .. } => format!("its health path {path} answers"),
            Probe::NotLive { status } => format!("its health path {path} answers {status}"),
            Probe::Silent => format!("its health path {path} does not answer in time"),
            Probe::Refused => "nothing listens on its port".to_owned(),
            Probe::Odd(said) => format!("its health path {path} makes no sense: {said}"),
        }
    }

    /// Does anything listen there at all?
    pub fn somebody(&self) -> bool {
        !matches!(self, Probe::Refused)
    }
}

/// Asks `http://127.0.0.1:port<path>`; answers within `bound` and a little.
pub async fn probe(port: u16, path: &str, bound: Duration) -> Probe {
    let deadline = Deadline::within(bound);
    let request = match http::request(Method::GET, port, path, HeaderMap::new()) {
        Ok(request) => request,
        Err(why) => return Probe::Odd(format!("its health path cannot be asked for: {why}")),
    };
    let begun = Instant::now();
    let opened = match http::connect(port, deadline).await {
        Ok(stream) => http::open(stream, request, deadline).await,
        Err(trouble) => Err(trouble),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(Trouble::Refused) => return Probe::Refused,
        Err(Trouble::Silent(_)) => return Probe::Silent,
        Err(Trouble::Closed) => return Probe::Odd("it closes the connection".into()),
        Err(Trouble::Odd(why) | Trouble::Local(why)) => return Probe::Odd(why),
    };
    let latency = begun.elapsed();
    let status = opened.head.status;
    let left = deadline.left().min(COURTESY);
    let _ = opened.whole(64 << 10, Deadline::within(left)).await;
    match status {
        200..=299 | 401 => Probe::Live { latency },
        status => Probe::NotLive { status },
    }
}

/// Asks many side by side, each within `bound`; answers in the order of the questions.
pub async fn probe_all(targets: Vec<(u16, String)>, bound: Duration) -> Vec<Probe> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut answers = vec![Probe::Silent; targets.len()];
    let mut tasks = JoinSet::new();
    for (at, (port, path)) in targets.into_iter().enumerate() {
        let gate = Arc::clone(&gate);
        tasks.spawn(async move {
            let _turn = gate.acquire().await;
            (at, probe(port, &path, bound).await)
        });
    }
    while let Some(done) = tasks.join_next().await {
        if let Ok((at, answer)) = done
            && let Some(slot) = answers.get_mut(at)
        {
            *slot = answer;
        }
    }
    answers
}
