//! What systemd says of a unit, read from its properties into plain values, and what that means
//! for the hub. Pure; asks nobody.

use crate::manager::{Cause, UnitState};
use std::{collections::HashMap, path::PathBuf};
use zbus::Variant;

/// `CLD_EXITED` of waitid(2), as `ExecMainCode` has it.
const EXITED: i32 = 1;

/// The properties that matter, by the names of org.freedesktop.systemd1(5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) load: String,
    pub(super) load_error: String,
    pub(super) active: String,
    pub(super) sub: String,
    pub(super) result: String,
    pub(super) path: Option<PathBuf>,
    pub(super) drop_ins: Vec<PathBuf>,
    pub(super) file_state: String,
    pub(super) stale_file: bool,
    pub(super) pid: u32,
    pub(super) main_code: i32,
    pub(super) main_status: i32,
    pub(super) restarts: u32,
    /// Microseconds since 1970.
    pub(super) since: u64,
    pub(super) cpu: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) user: String,
    pub(super) exec: Vec<String>,
    pub(super) environment: Vec<String>,
    /// Path, and whether it may be missing.
    pub(super) environment_files: Vec<(String, bool)>,
    pub(super) unset_environment: Vec<String>,
}

/// The answer of `GetAll`.
pub(super) type Properties<'a> = HashMap<&'a str, Variant<'a>>;

impl Facts {
    /// Absent and odd properties read as empty: an older systemd has fewer.
    pub(super) fn read(all: &Properties<'_>) -> Self {
        let text = |name: &str| match all.get(name) {
            Some(Variant::Str(text)) => text.as_str().to_owned(),
            _ => String::new(),
        };
        let list = |name: &str| -> Vec<String> {
            match all.get(name) {
                Some(Variant::Array(array)) => array.iter().filter_map(as_text).collect(),
                _ => Vec::new(),
            }
        };
        let counter = |name: &str| match all.get(name) {
            Some(Variant::U64(number)) => Some(*number).filter(|&number| number != u64::MAX),
            _ => None,
        };
        let signed = |name: &str| match all.get(name) {
            Some(Variant::I32(number)) => *number,
            _ => 0,
        };
        let unsigned = |name: &str| match all.get(name) {
            Some(Variant::U32(number)) => *number,
            _ => 0,
        };
        let path = text("FragmentPath");
        Self {
            load: text("LoadState"),
            load_error: match all.get("LoadError") {
                Some(Variant::Structure(pair)) => {
                    (pair.fields().get(1)).and_then(as_text).unwrap_or_default()
                }
                _ => String::new(),
            },
            active: text("ActiveState"),
            sub: text("SubState"),
            result: text("Result"),
            path: (!path.is_empty()).then(|| path.into()),
            drop_ins: list("DropInPaths").into_iter().map(PathBuf::from).collect(),
            file_state: text("UnitFileState"),
            stale_file: matches!(all.get("NeedDaemonReload"), Some(Variant::Bool(true))),
            pid: unsigned("MainPID"),
            main_code: signed("ExecMainCode"),
            main_status: signed("ExecMainStatus"),
            restarts: unsigned("NRestarts"),
            since: counter("ActiveEnterTimestamp").unwrap_or(0),
            cpu: counter("CPUUsageNSec"),
            memory: counter("MemoryCurrent"),
            user: text("User"),
            exec: match all.get("ExecStart") {
                Some(Variant::Array(commands)) => first_command(commands).unwrap_or_default(),
                _ => Vec::new(),
            },
            environment: list("Environment"),
            environment_files: match all.get("EnvironmentFiles") {
                Some(Variant::Array(files)) => files.iter().filter_map(env_file).collect(),
                _ => Vec::new(),
            },
            unset_environment: list("UnsetEnvironment"),
        }
    }

    /// How the unit stands. A process that runs is running, whatever has become of its file.
    pub(super) fn state(&self) -> UnitState {
        match self.active.as_str() {
            "active" | "reloading" | "refreshing" if self.pid != 0 => UnitState::Running {
                pid: self.pid,
                since: i64::try_from(self.since)
                    .ok()
                    .filter(|&since| since != 0)
                    .and_then(|since| jiff::Timestamp::from_microsecond(since).ok())
                    .map(crate::api::Time),
            },
            "activating" if self.sub.starts_with("auto-restart") => UnitState::Retrying {
                cause: self.cause(),
                attempts: self.restarts,
            },
            // systemd forgets why the last attempt failed as it makes the next one.
            "activating" if self.restarts > 0 => UnitState::Retrying {
                cause: Cause::Other("it has failed before and is starting again".into()),
                attempts: self.restarts,
            },
            "activating" => UnitState::Starting,
            "deactivating" => UnitState::Stopping,
            "inactive" | "failed" => match self.load.as_str() {
                "not-found" => UnitState::NotInstalled,
                "masked" => UnitState::Masked,
                "bad-setting" | "error" => UnitState::Broken {
                    said: match self.load_error.is_empty() {
                        true => self.load.clone(),
                        false => self.load_error.clone(),
                    },
                },
                _ if self.active == "failed" => UnitState::Failed {
                    cause: self.cause(),
                },
                _ => UnitState::Stopped,
            },
            _ => UnitState::Unknown {
                said: format!("{} ({}), {}", self.active, self.sub, self.load),
            },
        }
    }

    /// Why it is not up, from `Result` and how its main process ended.
    pub(super) fn cause(&self) -> Cause {
        match self.result.as_str() {
            "exit-code" if self.main_code == EXITED => Cause::Exit(self.main_status),
            "exit-code" => Cause::Other("a command before or after the hub failed".into()),
            "signal" | "core-dump" if self.main_status != 0 => Cause::Signal(self.main_status),
            "watchdog" => Cause::Watchdog,
            "timeout" => Cause::Timeout,
            "start-limit-hit" => Cause::StartLimit,
            "oom-kill" => Cause::OutOfMemory,
            // A clean exit that `Restart=always` undoes.
            "success" if self.main_code == EXITED => Cause::Exit(self.main_status),
            "protocol" => Cause::Other("it never said that it is ready".into()),
            "resources" => Cause::Other("systemd lacked what it takes to start it".into()),
            "" => Cause::Other("systemd does not say why".into()),
            other => Cause::Other(other.to_owned()),
        }
    }

    /// Starts at boot or login; `None` where neither the file nor its links say so.
    pub(super) fn enabled(&self) -> Option<bool> {
        match self.file_state.as_str() {
            "enabled" | "alias" => Some(true),
            "enabled-runtime" | "disabled" | "masked" | "masked-runtime" | "linked"
            | "linked-runtime" | "indirect" => Some(false),
            _ => None,
        }
    }
}

fn as_text(value: &Variant<'_>) -> Option<String> {
    match value {
        Variant::Str(text) => Some(text.as_str().to_owned()),
        Variant::ObjectPath(path) => Some(path.as_str().to_owned()),
        _ => None,
    }
}

/// The argv of the first of `a(sasbttttuii)`, with the path that is really executed in front of
/// what the program sees as its name.
fn first_command(commands: &zbus::Array<'_>) -> Option<Vec<String>> {
    let Variant::Structure(command) = commands.iter().next()? else {
        return None;
    };
    let [path, Variant::Array(argv), ..] = command.fields() else {
        return None;
    };
    let mut all = vec![as_text(path)?];
    all.extend(argv.iter().skip(1).filter_map(as_text));
    Some(all)
}

fn env_file(file: &Variant<'_>) -> Option<(String, bool)> {
    let Variant::Structure(file) = file else {
        return None;
    };
    match file.fields() {
        [path, Variant::Bool(optional)] => Some((as_text(path)?, *optional)),
        _ => None,
    }
}
