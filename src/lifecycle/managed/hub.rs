//! The hub's own row: what its manager says and what its health says, put together. Pure.

use crate::{
    client::{Identity, Look},
    error::{Code, Error},
    lifecycle::status::State,
    manager::{Cause, Installed, UnitState},
};

/// The hub's state and what a person should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HubState {
    pub(super) state: State,
    pub(super) notes: Vec<String>,
}

/// How the hub of this home stands, as far as its health tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HubIs {
    Up,
    /// Nobody listens on its port.
    Down,
    /// Silent, or another program answers in its place: its modules may run all the same.
    Unheard,
}

impl HubIs {
    pub(super) fn of(health: &Result<Look, Error>, manager: &str) -> Self {
        // One that is kept elsewhere was seen to run, even where it cannot be asked.
        let runs = manager == "external";
        match health {
            Ok(look) if !matches!(look.identity, Identity::Mismatch { .. }) => Self::Up,
            Err(error) if error.code == Code::HubUnreachable && !runs => Self::Down,
            _ => Self::Unheard,
        }
    }
}

/// Judges the hub (contract, section 9). `manager`: what keeps it.
pub(super) fn judge(
    unit: &Result<Installed, Error>,
    health: &Result<Look, Error>,
    manager: &str,
) -> HubState {
    let mut notes = Vec::new();
    let healthy = match health {
        Ok(Look {
            identity: Identity::Mismatch { listener },
            ..
        }) => {
            notes.push(format!(
                "what answers on its port is another home's hub, or none: {listener}"
            ));
            let stopped = unit.as_ref().is_ok_and(|unit| {
                matches!(
                    unit.state,
                    UnitState::Stopped | UnitState::NotInstalled | UnitState::Masked
                )
            });
            // One that is not meant to run does not fail for who has its port meanwhile.
            let state = match stopped {
                true => State::Inactive,
                false => State::Failing,
            };
            return HubState { state, notes };
        }
        Ok(_) => true,
        Err(_) => false,
    };
    let state = match unit {
        Err(error) => {
            notes.push(error.message.clone());
            notes.extend(error.hint.clone());
            if healthy {
                State::Active
            } else {
                State::Failing
            }
        }
        Ok(unit) if manager == "external" => {
            notes.extend(unit.notes.iter().cloned());
            if healthy {
                State::Active
            } else {
                State::Failing
            }
        }
        Ok(unit) => {
            notes.extend(unit.notes.iter().cloned());
            let state = of_unit(&unit.state, healthy, unit.restarts, &mut notes);
            // systemd has its unit start again after a failure: one that stays failed has used its
            // starts up, whatever its last failure was.
            if let UnitState::Failed { cause } = &unit.state
                && manager == "systemd"
                && *cause != Cause::StartLimit
            {
                notes.push(
                    "systemd does not start it again by itself; `parachute start hub` does"
                        .to_owned(),
                );
            }
            state
        }
    };
    if let Err(error) = health
        && state != State::Inactive
        && !(state == State::Pending && error.code == Code::HubUnreachable)
    {
        notes.push(error.message.clone());
    }
    HubState { state, notes }
}

fn of_unit(
    state: &UnitState,
    healthy: bool,
    restarts: Option<u32>,
    notes: &mut Vec<String>,
) -> State {
    match state {
        UnitState::Running { .. } if healthy => State::Active,
        UnitState::Running { .. } => {
            notes.push(
                "starting or unhealthy: its process runs, its health does not answer".to_owned(),
            );
            State::Failing
        }
        UnitState::Starting => match restarts {
            Some(count) if count > 0 && !healthy => {
                notes.push(format!("starting again, for the {}", nth(count)));
                State::Failing
            }
            _ => State::Pending,
        },
        UnitState::Stopping => State::Pending,
        UnitState::Retrying {
            cause: why,
            attempts,
        } => {
            notes.push(match attempts {
                0 => format!("it has failed and is started again: {}", cause(why)),
                n => format!("it keeps failing ({}): {}", times(*n), cause(why)),
            });
            State::Failing
        }
        UnitState::Failed { cause: why } => {
            notes.push(cause(why));
            State::Failing
        }
        UnitState::Stopped | UnitState::NotInstalled if healthy => {
            notes.push("it answers, though its manager has not started it".to_owned());
            State::Active
        }
        UnitState::Stopped | UnitState::NotInstalled => State::Inactive,
        UnitState::Masked => {
            notes.push(
                "its unit is forbidden to start (masked or disabled by the operator)".to_owned(),
            );
            if healthy {
                State::Active
            } else {
                State::Inactive
            }
        }
        UnitState::Broken { said } => {
            notes.push(format!("its unit cannot be used: {said}"));
            State::Failing
        }
        UnitState::Unknown { said } => {
            notes.push(format!(
                "its manager says something that is not known here: {said}"
            ));
            if healthy {
                State::Active
            } else {
                State::Failing
            }
        }
    }
}

/// A cause, for people.
pub(super) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Exit(code) => format!("it ended with exit code {code}"),
        Cause::Signal(signal) => format!("it was ended by signal {signal}"),
        Cause::Watchdog => "it stopped answering its watchdog".to_owned(),
        Cause::OutOfMemory => "it was ended for want of memory".to_owned(),
        Cause::Timeout => "it did not start or stop in time".to_owned(),
        Cause::StartLimit => {
            "it failed too often in a row; `parachute start hub` tries again".to_owned()
        }
        Cause::CodeSigning => {
            "macOS refused its binary; `parachute restart hub` has it checked anew".to_owned()
        }
        Cause::Other(said) => said.clone(),
    }
}

fn times(count: u32) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

fn nth(count: u32) -> String {
    format!(
        "{count}{} time",
        match (count % 10, count % 100) {
            (1, n) if n != 11 => "st",
            (2, n) if n != 12 => "nd",
            (3, n) if n != 13 => "rd",
            _ => "th",
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes_of(state: UnitState) -> Vec<String> {
        let mut notes = Vec::new();
        assert_eq!(of_unit(&state, false, None, &mut notes), State::Failing);
        notes
    }

    #[test]
    fn a_first_failure_is_not_counted() {
        let retrying = |attempts| UnitState::Retrying {
            cause: Cause::Exit(2),
            attempts,
        };
        let said = "it has failed and is started again: it ended with exit code 2";
        assert_eq!(notes_of(retrying(0)), [said]);
        let said = "it keeps failing (once): it ended with exit code 2";
        assert_eq!(notes_of(retrying(1)), [said]);
    }
}
