//! What a verb reached: judged by the module's state, never by the 200 that brought it. Pure.

use super::refusal::clean;
use crate::{
    api::{Install, ModuleState, ModuleStatus, StartError, StartErrorType, Time},
    error::{Code, Error},
};

/// Where a start or restart stands.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It runs and is ready.
    Ready {
        /// Its leader.
        pid: Option<u32>,
        /// When that was spawned.
        since: Option<Time>,
    },
    /// It is still on its way; look again.
    Pending,
    /// It did not come up; the cause and what to do.
    Failed(Error),
}

/// Judges a state after a start or a restart.
pub fn judge(state: &ModuleState) -> Verdict {
    let short = &state.short;
    match (state.status, &state.start_error) {
        (ModuleStatus::Running, None) => Verdict::Ready {
            pid: state.pid,
            since: state.started_at,
        },
        (ModuleStatus::Starting, None) => Verdict::Pending,
        (ModuleStatus::Unknown, None) => Verdict::Failed(
            Error::new(
                Code::OddHub,
                format!("the hub names a state of {short} that is not known here"),
            )
            .hint("`parachute status` shows whether it answers"),
        ),
        (ModuleStatus::Stopped, None) => Verdict::Failed(
            Error::new(
                Code::ExitedEarly,
                format!("{short} was stopped again before it was ready"),
            )
            .hint("somebody else may be working on it: `parachute status`"),
        ),
        // Between two spawns: the last one ended, the budget is not used up yet.
        (ModuleStatus::Restarting | ModuleStatus::Crashed, None) => Verdict::Failed(ended(state)),
        // It was alive and unbound, and has ended since.
        (ModuleStatus::Restarting | ModuleStatus::Crashed, Some(error))
            if error.error_type == StartErrorType::StartedButUnbound =>
        {
            Verdict::Failed(ended(state))
        }
        (status, Some(error)) => Verdict::Failed(caused(short, status, error)),
    }
}

/// It ended, and nothing but its exit code is known.
fn ended(state: &ModuleState) -> Error {
    let short = &state.short;
    let how = match state.last_exit_code {
        Some(code @ 129..=192) => format!("was ended by signal {}", code - 128),
        Some(code) => format!("ended with exit code {code}"),
        None => "ended".into(),
    };
    let next = match state.status {
        ModuleStatus::Restarting => "before it was ready; the hub tries again",
        _ => "and is not started again",
    };
    Error::new(Code::ExitedEarly, format!("{short} {how} {next}"))
        .hint(format!("`parachute logs {short}` shows what it wrote"))
}

/// The hub says why.
fn caused(short: &str, status: ModuleStatus, error: &StartError) -> Error {
    let text = clean(&error.error_description);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.map(str::trim).filter(|l| !l.is_empty()).collect();
    let first = match (first, error.error_type, &error.binary) {
        ("", StartErrorType::MissingDependency, Some(binary)) => {
            format!("{} is not on this machine", clean(binary))
        }
        ("", StartErrorType::StartedButUnbound, _) => "its port is silent".into(),
        ("", ..) => "the hub does not say why".into(),
        (first, ..) => first.trim_end_matches('.').to_owned(),
    };
    let message = match (error.error_type, status) {
        (StartErrorType::StartedButUnbound, _) => {
            format!("{short} runs and is not ready: {first}")
        }
        (_, ModuleStatus::Running) => format!("{short} runs and is not well: {first}"),
        _ => format!("{short} did not start: {first}"),
    };
    let hint = advice(error)
        .or_else(|| (!rest.is_empty()).then(|| rest.join("\n")))
        .unwrap_or_else(|| match error.error_type {
            StartErrorType::StartedButUnbound => format!(
                "it may still come: `parachute status`; `parachute logs {short}` shows what it \
                 wrote"
            ),
            _ => format!("`parachute logs {short}` shows what it wrote"),
        });
    Error::new(error.error_type.code(), message).hint(hint)
}

/// How to get what is missing, for this platform.
fn advice(error: &StartError) -> Option<String> {
    let install: &Install = error.install.as_ref()?;
    let here = match std::env::consts::OS {
        "macos" => &install.darwin,
        _ => &install.linux,
    };
    let text = here.as_ref().or(install.generic.as_ref())?;
    let mut text = clean(text);
    if let Some(url) = &error.docs_url {
        text = format!("{text} ({})", clean(url));
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
