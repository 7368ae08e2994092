//! The hub's routes, one method each: what is asked for and what is read from the answer.

use super::{
    Client, Follow,
    http::{Answer, Deadline},
    lenient,
    refusal::{self, Asked},
    whole,
};
use crate::{
    api::{ModuleList, Operation, Ready, Reloaded, Started, Stopped},
    error::{Code, Error, Result},
};
use hyper::Method;
use serde_json::Value;
use std::time::Duration;

impl Client {
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
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(out)
}
