//! Why a module did not start: what is written into its row, and what the person is told. What a
//! module wrote is only for the person: its log may be read by fewer than the registry.

use super::{Detached, record};
use crate::{
    api::{StartError, StartErrorType},
    client::Probe,
    error::{Code, Error},
    modules::registry::Row,
    os::{
        port::{self, Holder, Listeners},
        process,
    },
};
use std::time::Duration;

/// A start that failed.
pub(super) struct Failure {
    /// For `lastStartError`; none when it says nothing of the module, whose last one stays.
    pub(super) recorded: Option<Box<StartError>>,
    /// For the person.
    pub(super) error: Error,
}

/// Something that a start needs is not as it should be. A row without a start command is none to
/// start, which is no failure of its.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let described = match &error.hint {
            Some(hint) => format!("{}\n{hint}", error.message),
            None => error.message.clone(),
        };
        let recorded = (error.code != Code::NoStartCommand)
            .then(|| Box::new(StartError::new(StartErrorType::SpawnFailed, described)));
        Self { recorded, error }
    }
}

impl Failure {
    /// A failure of the module itself.
    pub(super) fn of(start_error: StartError, hint: Option<String>, log: Vec<String>) -> Self {
        let mut error = Error::new(
            start_error.error_type.code(),
            start_error.error_description.clone(),
        )
        .log(log);
        error.hint = hint.or_else(|| start_error.sysadmin_hint.clone());
        Self {
            recorded: Some(Box::new(start_error)),
            error,
        }
    }

    /// It was not tried: the module's turn is somebody else's, or not for us to take.
    pub(super) fn no_turn(error: Error) -> Self {
        Self {
            recorded: None,
            error,
        }
    }
}

/// How a module's port looked last.
pub(super) enum Seen {
    /// Nobody listens there.
    Silent,
    /// Somebody does who is not of the module.
    Theirs,
    /// Somebody does who cannot be looked up, and this is what the health path says.
    Unhealthy(Probe),
}

/// The failure of a module that lives without being ready.
pub(super) fn unready(
    detached: &Detached,
    row: &Row,
    pid: u32,
    age: Duration,
    seen: &Seen,
    log: Vec<String>,
) -> Failure {
    let (port, short, after) = (row.port, row.short(), age.as_secs());
    let said = match seen {
        Seen::Theirs => {
            return match Listeners::read() {
                Ok(listeners) => squatter(detached, row, &listeners),
                Err(e) => super::start::no_listeners(&e).into(),
            };
        }
        Seen::Silent => {
            format!("it runs (pid {pid}), and nothing listens on port {port} after {after} s")
        }
        Seen::Unhealthy(answer) => format!(
            "it runs (pid {pid}), who holds port {port} cannot be looked up, and after {after} s {}",
            answer.unhealthy(&row.health)
        ),
    };
    let hint =
        format!("it may be slow to start: `parachute status {short}`, `parachute logs {short}`");
    Failure::of(
        StartError::new(StartErrorType::StartedButUnbound, said),
        Some(hint),
        log,
    )
}

/// The failure of a module whose port somebody else has.
pub(super) fn squatter(detached: &Detached, row: &Row, listeners: &Listeners) -> Failure {
    let (port, short) = (row.port, row.short());
    let (who, hint) = match port::holder(port, listeners) {
        Holder::Process { pid } => {
            let line = process::command_line(pid);
            match record::neighbour(detached, row, pid) {
                Some(other) => (
                    format!("module {other} (process {pid}, {line})"),
                    format!(
                        "`parachute stop {other}` stops that, `parachute restart {other}` moves it to the port it has now, or give {short} another port"
                    ),
                ),
                None => (
                    format!("process {pid} ({line})"),
                    format!(
                        "stop process {pid} if you do not need it, or give {short} another port"
                    ),
                ),
            }
        }
        Holder::Hidden { uid } => (
            format!("a process of uid {uid} that cannot be looked into"),
            format!("`sudo parachute status` may name it, or `sudo ss -ltnp 'sport = :{port}'`"),
        ),
        Holder::Nobody => (
            "somebody who has just left".to_owned(),
            "try again".to_owned(),
        ),
    };
    let said = format!("port {port} is held by {who}, which is not {short}'s");
    Failure::of(
        StartError::new(StartErrorType::PortSquatter, said),
        Some(hint),
        Vec::new(),
    )
}
