//! What a job's record means for the hub: the words of launchd made a unit's state. Pure. A word
//! that we do not know is `Unknown` with the text kept, never a false `Stopped`.

use super::{
    list::Listed,
    print::{LastExit, Printed},
};
use crate::manager::{Cause, UnitState};

/// The state of a printed job. `Running` comes without its start time: launchd does not tell.
pub fn of_printed(job: &Printed) -> UnitState {
    if !job.complete {
        return unknown("the answer of `launchctl print` breaks off");
    }
    let Some(word) = job.state.as_deref() else {
        return unknown("`launchctl print` shows no state");
    };
    let attempts = job.runs.unwrap_or(0).saturating_sub(1);
    match (word, job.pid) {
        ("running", Some(pid)) => UnitState::Running { pid, since: None },
        (word, _) if is_draining(word) => UnitState::Stopping,
        // xpcproxy(8) is what a job is for the moment between fork and its own exec.
        ("xpcproxy" | "spawn scheduled", _) => match ended(job) {
            Ended::Never => UnitState::Starting,
            Ended::Unsaid if job.runs.unwrap_or(0) < 1 => UnitState::Starting,
            Ended::Unsaid => UnitState::Retrying {
                cause: Cause::Other(word.to_owned()),
                attempts,
            },
            Ended::With(cause) => UnitState::Retrying { cause, attempts },
        },
        ("spawn failed", None) => {
            let cause = match ended(job) {
                Ended::With(cause) => cause,
                _ => Cause::Other(word.to_owned()),
            };
            match job.has("keepalive") {
                true => UnitState::Retrying { cause, attempts },
                false => UnitState::Failed { cause },
            }
        }
        ("not running" | "waiting", None) => match ended(job) {
            Ended::With(Cause::Exit(0)) => UnitState::Stopped,
            Ended::With(cause) => UnitState::Failed { cause },
            Ended::Never if job.job_state.as_deref() == Some("spawn failed") => UnitState::Failed {
                cause: Cause::Other("spawn failed".into()),
            },
            Ended::Never => UnitState::Stopped,
            Ended::Unsaid if job.runs == Some(0) => UnitState::Stopped,
            Ended::Unsaid => unknown("`launchctl print` does not say how it ended"),
        },
        (word, Some(pid)) => unknown(&format!("state = {word}, pid = {pid}")),
        (word, None) => unknown(&format!("state = {word}")),
    }
}

/// The state by `launchctl list`, which tells less: 0 may be "never ran".
pub fn of_listed(job: &Listed) -> UnitState {
    if let Some(pid) = job.pid {
        return UnitState::Running { pid, since: None };
    }
    match job.last().as_ref().map(cause) {
        None => unknown("`launchctl list` shows neither a pid nor how it ended"),
        Some(Cause::Exit(0)) => UnitState::Stopped,
        // OnDemand is false for a job that is kept alive: it will be spawned again.
        Some(cause) if job.on_demand == Some(false) => UnitState::Retrying { cause, attempts: 0 },
        Some(cause) => UnitState::Failed { cause },
    }
}

/// `SIGTERMed` and its kin: told to end, and still there.
fn is_draining(word: &str) -> bool {
    word.starts_with("SIG") && word.ends_with("ed")
}

/// macOS refused to run the binary, because it is not the one that was there at bootstrap (since
/// macOS 27 launchd pins the code requirement then) or its signature is broken.
pub fn refused(job: &Printed) -> bool {
    let stale = job.has("needs LWCR update");
    match &job.last {
        Some(LastExit::Reason(why)) => why.contains("OS_REASON_CODESIGNING"),
        // 78 is EX_CONFIG, said by xpcproxy(8) in the job's place when it could not hand over.
        Some(LastExit::Code(78, name)) => {
            stale || name.as_deref() == Some("EX_CONFIG") && failed(job)
        }
        _ => stale && failed(job),
    }
}

fn failed(job: &Printed) -> bool {
    [&job.state, &job.job_state]
        .iter()
        .any(|word| word.as_deref() == Some("spawn failed"))
}

enum Ended {
    Never,
    With(Cause),
    Unsaid,
}

fn ended(job: &Printed) -> Ended {
    if refused(job) {
        return Ended::With(Cause::CodeSigning);
    }
    match &job.last {
        None => Ended::Unsaid,
        Some(LastExit::Never) => Ended::Never,
        Some(last) => Ended::With(cause(last)),
    }
}

fn cause(last: &LastExit) -> Cause {
    match last {
        LastExit::Never => Cause::Exit(0),
        LastExit::Code(code, _) => Cause::Exit(*code),
        LastExit::Signal(Some(number), _) => Cause::Signal(*number),
        LastExit::Signal(None, text) | LastExit::Odd(text) => Cause::Other(text.clone()),
        // The names are those of the kernel's osreason table (sys/reason.h).
        LastExit::Reason(why) if why.contains("OS_REASON_JETSAM") => Cause::OutOfMemory,
        LastExit::Reason(why) if why.contains("OS_REASON_WATCHDOG") => Cause::Watchdog,
        LastExit::Reason(why) if why.contains("OS_REASON_CODESIGNING") => Cause::CodeSigning,
        LastExit::Reason(why) => Cause::Other(why.clone()),
    }
}

fn unknown(said: &str) -> UnitState {
    UnitState::Unknown { said: said.into() }
}
