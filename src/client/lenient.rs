//! Reads what hubs of any make answer: field by field, so that a wrong type costs that field and a
//! bad element costs that element, never the rest. Decides nothing.

use crate::api::{
    Health, ModuleInfo, ModuleList, ModuleState, ModuleStatus, Operation, Ready, Reloaded,
    StartError, StartErrorType,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A field, where it is there and of this type.
fn field<T: DeserializeOwned>(of: &Value, name: &str) -> Option<T> {
    let value = of.get(name)?;
    T::deserialize(value).ok()
}

/// The elements of an array that can be read; `None` when it is none.
fn each<T>(of: &Value, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    Some(of.get(name)?.as_array()?.iter().filter_map(read).collect())
}

fn texts(of: &Value, name: &str) -> Option<Vec<String>> {
    each(of, name, |v| v.as_str().map(str::to_owned))
}

/// A start error needs its description or its type; the rest may be missing.
fn start_error(value: &Value) -> Option<StartError> {
    let kind = field::<StartErrorType>(value, "error_type");
    let text = field::<String>(value, "error_description");
    if kind.is_none() && text.is_none() {
        return None;
    }
    let mut error = StartError::new(
        kind.unwrap_or(StartErrorType::Other),
        text.unwrap_or_default(),
    );
    error.binary = field(value, "binary");
    error.why = field(value, "why");
    error.docs_url = field(value, "docs_url");
    error.install = field(value, "install");
    error.sysadmin_hint = field(value, "sysadmin_hint");
    error.at = field(value, "at");
    Some(error)
}

/// A module's state; needs its `short`, or one that the caller knows, and its `status`.
pub(super) fn state(value: &Value, short: Option<&str>) -> Option<ModuleState> {
    Some(ModuleState {
        short: field(value, "short").or_else(|| short.map(str::to_owned))?,
        status: field::<ModuleStatus>(value, "status")?,
        pid: field(value, "pid"),
        started_at: field(value, "startedAt"),
        restarts_in_window: field(value, "restartsInWindow").unwrap_or_default(),
        last_crash_at: field(value, "lastCrashAt"),
        last_exit_code: field(value, "lastExitCode"),
        start_error: value.get("startError").and_then(start_error),
    })
}

fn info(value: &Value) -> Option<ModuleInfo> {
    Some(ModuleInfo {
        short: field(value, "short")?,
        package: field(value, "package"),
        display_name: field(value, "display_name"),
        tagline: field(value, "tagline"),
        available: field(value, "available"),
        installed: field(value, "installed"),
        installed_version: field(value, "installed_version"),
        latest_version: field(value, "latest_version"),
        supervisor_status: field(value, "supervisor_status"),
        pid: field(value, "pid"),
        supervisor_start_error: value.get("supervisor_start_error").and_then(start_error),
        install_dir: field(value, "install_dir"),
        uis: field(value, "uis").unwrap_or_default(),
        management_url: field(value, "management_url"),
    })
}

/// `GET /api/modules`; `None` when it has no list of modules at all.
pub(super) fn list(value: &Value) -> Option<ModuleList> {
    Some(ModuleList {
        modules: each(value, "modules", info)?,
        supervised: each(value, "supervised", |v| state(v, None)),
        supervisor_available: field(value, "supervisor_available"),
        module_install_channel: field(value, "module_install_channel"),
    })
}

/// `GET /health`; `None` when it has no `status`.
pub(super) fn health(value: &Value) -> Option<Health> {
    Some(Health {
        status: field(value, "status")?,
        service: field(value, "service"),
        version: field(value, "version"),
        instance: field(value, "instance"),
    })
}

/// `GET /api/ready`; `None` when it has no `ready`.
pub(super) fn ready(value: &Value) -> Option<Ready> {
    Some(Ready {
        ready: field(value, "ready")?,
        ready_modules: texts(value, "ready_modules").unwrap_or_default(),
        transient_modules: texts(value, "transient_modules").unwrap_or_default(),
        persistent_modules: texts(value, "persistent_modules").unwrap_or_default(),
    })
}

/// The lines of `GET …/logs`, without their newlines.
pub(super) fn lines(value: &Value) -> Option<Vec<String>> {
    let cut = |line: &str| line.trim_end_matches(['\n', '\r']).to_owned();
    match texts(value, "lines") {
        Some(lines) => Some(lines.iter().map(|l| cut(l)).collect()),
        None => field::<String>(value, "text").map(|text| text.lines().map(cut).collect()),
    }
}

/// `POST /api/reload`.
pub(super) fn reloaded(value: &Value) -> Option<Reloaded> {
    value.as_object()?;
    Some(Reloaded {
        added: texts(value, "added").unwrap_or_default(),
        removed: texts(value, "removed").unwrap_or_default(),
        changed: texts(value, "changed").unwrap_or_default(),
    })
}

/// An operation; needs its `status`.
pub(super) fn operation(value: &Value, id: &str) -> Option<Operation> {
    Some(Operation {
        id: field(value, "id").unwrap_or_else(|| id.to_owned()),
        kind: field(value, "kind").unwrap_or_default(),
        short: field(value, "short").unwrap_or_default(),
        status: field(value, "status")?,
        log: texts(value, "log").unwrap_or_default(),
        error: field(value, "error"),
        error_detail: value.get("error_detail").filter(|v| !v.is_null()).cloned(),
        started_at: field(value, "startedAt"),
        finished_at: field(value, "finishedAt"),
    })
}

/// A module's state in a list: from `modules`, else from `supervised`; `None` where neither says
/// (the module's own health path is to be asked then).
pub fn state_of(list: &ModuleList, short: &str) -> Option<ModuleState> {
    let supervised = list
        .supervised
        .iter()
        .flatten()
        .find(|state| state.short == short);
    let listed = list.modules.iter().find(|info| info.short == short);
    let Some((listed, status)) = listed.and_then(|l| Some((l, l.supervisor_status?))) else {
        return supervised.cloned();
    };
    Some(ModuleState {
        short: short.to_owned(),
        status,
        pid: listed.pid.or(supervised.and_then(|s| s.pid)),
        started_at: supervised.and_then(|s| s.started_at),
        restarts_in_window: supervised.map_or(0, |s| s.restarts_in_window),
        last_crash_at: supervised.and_then(|s| s.last_crash_at),
        last_exit_code: supervised.and_then(|s| s.last_exit_code),
        start_error: listed
            .supervisor_start_error
            .clone()
            .or_else(|| supervised.and_then(|s| s.start_error.clone())),
    })
}

#[cfg(test)]
#[path = "lenient_tests.rs"]
mod tests;
