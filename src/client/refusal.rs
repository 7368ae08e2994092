//! What a hub's refusal means: every answer that is not the one hoped for becomes one typed error
//! that a person can act on. Pure; asks nobody.

use super::http::{Answer, Trouble};
use crate::error::{Code, Error};
use serde_json::Value;

/// What was asked of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// `start`, `logs`, …: names the request for people.
    pub(super) verb: &'static str,
    /// The module it is about.
    pub(super) short: Option<&'a str>,
    /// The hub's port.
    pub(super) port: u16,
}

impl Asked<'_> {
    fn what(&self) -> String {
        match self.short {
            Some(short) => format!("{} {short}", self.verb),
            None => self.verb.to_owned(),
        }
    }

    fn hub(&self) -> String {
        format!("the hub on port {}", self.port)
    }

    fn module(&self) -> &str {
        self.short.unwrap_or("it")
    }
}

/// Text of a stranger for people: control characters gone, at most 2000 characters.
pub(super) fn clean(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(2000)
        .collect()
}

/// No answer.
pub(super) fn trouble(trouble: &Trouble, asked: Asked) -> Error {
    let hub = asked.hub();
    let port = asked.port;
    match trouble {
        Trouble::Refused => Error::new(
            Code::HubUnreachable,
            format!("no hub answers on port {port}"),
        )
        .hint("`parachute start` starts it"),
        Trouble::Closed => Error::new(
            Code::HubUnreachable,
            format!("{hub} closed the connection without an answer"),
        )
        .hint("`parachute status` says how it is, `parachute logs hub` what it wrote"),
        Trouble::Silent(bound) => Error::new(
            Code::HubWedged,
            format!(
                "{hub} accepts connections and does not answer ({} s)",
                bound.as_secs_f64()
            ),
        )
        .hint("`parachute logs hub` may say why; `parachute restart hub` starts it afresh"),
        Trouble::Odd(why) => odd(asked, why),
        Trouble::Local(why) => Error::new(
            Code::Io,
            format!("cannot connect to port {port} of this machine: {why}"),
        ),
    }
}

/// An answer that no hub should give.
pub(super) fn odd(asked: Asked, why: &str) -> Error {
    Error::new(
        Code::OddHub,
        format!(
            "{} answers {} oddly: {}",
            asked.hub(),
            asked.what(),
            clean(why)
        ),
    )
    .hint("`parachute logs hub` shows what it wrote; is it a hub that listens there?")
}

/// What a `{"error","error_description"}` says.
struct Said {
    code: String,
    text: Option<String>,
}

fn said(answer: &Answer) -> Option<Said> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(Said {
        code: clean(value.get("error")?.as_str()?),
        text: value
            .get("error_description")
            .and_then(Value::as_str)
            .map(clean)
            .filter(|text| !text.is_empty()),
    })
}

/// What kind of thing an answer's body is, for people.
fn kind(answer: &Answer) -> String {
    match answer.head.kind.as_str() {
        "text/html" | "application/xhtml+xml" => "an HTML page".into(),
        "" if answer.body.is_empty() => "nothing".into(),
        "" => "something without a type".into(),
        kind => clean(kind),
    }
}

/// An answer with any status but 2xx.
pub(super) fn refusal(answer: &Answer, asked: Asked) -> Error {
    let status = answer.head.status;
    let said = said(answer);
    let code = said.as_ref().map_or("", |s| s.code.as_str());
    let text = said.as_ref().and_then(|s| s.text.as_deref());
    let module = asked.module();
    let hub = asked.hub();
    // The hub's own words where it has some.
    let words = |otherwise: String| text.map_or(otherwise, str::to_owned);
    match (status, code) {
        (300..=399, _) => {
            let to = answer.head.location.as_deref().unwrap_or("nowhere");
            odd(
                asked,
                &format!("{status}, a redirect to {to}, which is not followed"),
            )
        }
        (401, _) => Error::new(
            Code::Unauthorized,
            format!("{hub} does not accept the operator token"),
        ),
        (403, "insufficient_scope") => Error::new(
            Code::Unauthorized,
            format!(
                "the operator token does not allow {}: {}",
                asked.what(),
                words("its scopes are too narrow".into())
            ),
        )
        .hint("`parachute auth status` shows its scopes"),
        (_, "setup_required") => Error::new(
            Code::SetupRequired,
            format!("{hub} wants its first user before it does anything"),
        )
        .hint(format!(
            "open http://127.0.0.1:{} in a browser and set it up, then try again",
            asked.port
        )),
        (503, "supervisor_unavailable") => Error::new(
            Code::NotDrivable,
            format!("{hub} runs without a supervisor and drives no module"),
        )
        .hint("`parachute restart hub` starts it afresh"),
        (400 | 404, "not_installed") => Error::new(
            Code::NotInstalled,
            format!("{module} is not installed on this box"),
        )
        .hint("`parachute status` lists what is; `parachute add` registers a module"),
        (404, "not_supervised") => Error::new(
            Code::NotSupervised,
            format!("{module} has not been started since the hub came up"),
        )
        .hint(format!("`parachute start {module}` starts it")),
        (422, "no_start_cmd") => Error::new(
            Code::NoStartCommand,
            words(format!("nothing says how to start {module}")),
        )
        .hint("its `.parachute/module.json` needs a `startCmd`"),
        (501, _) => Error::new(
            Code::NotImplemented,
            words(format!("{hub} does not offer {}", asked.what())),
        ),
        (404 | 405, _) if asked.short.is_none() && answer.head.kind != "text/html" => Error::new(
            Code::NotImplemented,
            format!("{hub} does not offer {}", asked.what()),
        )
        .hint("hubs of other make or of older versions lack some of what ours has"),
        (404, "not_found") => not_drivable(asked),
        (404, "") if answer.head.kind == "text/plain" => not_drivable(asked),
        (500, "module_op_failed") => Error::new(
            Code::ModuleOpFailed,
            format!(
                "{} failed: {}",
                asked.what(),
                words("the hub does not say why".into())
            ),
        )
        .hint(match asked.short {
            Some(short) => format!("`parachute logs {short}` may say more"),
            None => "`parachute logs hub` may say more".into(),
        }),
        (400..=499, code) if !code.is_empty() => Error::new(
            Code::Refused,
            format!("{hub} refused {}: {}", asked.what(), words(code.to_owned())),
        ),
        (_, code) if !code.is_empty() => {
            odd(asked, &format!("{status}, {}", words(code.to_owned())))
        }
        _ => odd(asked, &format!("{status} with {}", kind(answer))),
    }
}

fn not_drivable(asked: Asked) -> Error {
    let module = asked.module();
    Error::new(
        Code::NotDrivable,
        format!("{} cannot drive {module}", asked.hub()),
    )
    .hint(
        "hubs up to 0.6.3 drive only vault and scribe: a newer hub drives every registered module",
    )
}

/// A 2xx whose body is not what was asked for.
pub(super) fn unreadable(answer: &Answer, asked: Asked) -> Error {
    let status = answer.head.status;
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(_) => odd(
            asked,
            &format!("{status} with JSON that lacks what it should say"),
        ),
        Err(_) if answer.head.kind == "application/json" => {
            odd(asked, &format!("{status} with JSON that is broken"))
        }
        Err(_) => odd(asked, &format!("{status} with {}", kind(answer))),
    }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
