//! How a managed box stands: its manager, the hub's health, the hub's word on its modules and
//! their own health, asked side by side. Falls back a step for everything that does not answer.

use super::{
    Managed,
    hub::{self, HubIs},
};
use crate::{
    api::{HUB_SERVICE, ModuleList, ModuleState, ModuleStatus, SCHEMA, StartErrorType},
    client::{Look, PROBE_BOUND, Probe, TokenState, probe_all, state_of},
    error::{Code, Error, Result},
    lifecycle::status::{BoxStatus, HubStatus, RowStatus, State, UnitFacts, Way},
    manager::{Installed, UnitState},
    modules::{
        logfile,
        registry::{Registry, Row},
    },
    os::process::{self, Process, Snapshot},
};
use std::time::Duration;

/// How many log lines stand under a failing row.
const EXCERPT: usize = 5;

/// Looks at everything once.
pub(super) async fn observe(managed: &Managed, barred: Option<&Error>) -> BoxStatus {
    let mut notes = Vec::new();
    let registry = Registry::read(&managed.home);
    let readable = registry.is_ok();
    let registry = registry.unwrap_or_else(|error| {
        notes.push(match barred {
            Some(barred) => advised(barred),
            None => error.message,
        });
        Registry::default()
    });
    notes.extend(registry.warnings.iter().cloned());
    let asked = registry
        .rows
        .iter()
        .map(|row| (row.port, row.health.clone()))
        .collect();
    // What is odd about the token is a note of the status.
    let client = managed.client.quiet();
    // The process table is walked while the others think about their answers.
    let (unit, health, list, probes, walk) = tokio::join!(
        managed.look(),
        managed.client.look(),
        client.modules(),
        probe_all(asked, PROBE_BOUND),
        tokio::task::spawn_blocking(Snapshot::take),
    );
    let health = health.map(|look| managed.settled(&unit, look));
    let hub = HubIs::of(&health, managed.manager.name());
    let up = hub == HubIs::Up;
    let list = match list {
        Ok(list) => {
            notes.extend(open_token(managed));
            Some(list)
        }
        Err(error) => {
            // Who sees nothing of the home cannot see its token, which is said with that.
            if up && barred.is_none() {
                notes.push(tokenless(&error));
            }
            None
        }
    };
    let (list, probes) = managed.agreed(&client, &registry, list, probes).await;
    let now = walk.ok().and_then(Result::ok).unwrap_or_default();
    let modules = registry
        .rows
        .iter()
        .zip(probes)
        .map(|(row, probe)| {
            let known = list
                .as_ref()
                .filter(|_| up)
                .and_then(|list| state_of(list, registry.process_of(row).short()));
            let listed = list.is_some();
            let mut out = module(managed, row, known, listed, probe, hub, &now);
            let process = registry.process_of(row);
            if process.name != row.name {
                out.source = Some(format!("a view of {}", process.short()));
            }
            out
        })
        .chain(unregistered(
            readable.then_some(&registry),
            list.as_ref().filter(|_| up),
            &now,
        ))
        .collect();
    let unreachable = unit
        .as_ref()
        .is_err_and(|e| e.code == Code::ManagerUnreachable)
        && !up;
    BoxStatus {
        schema: SCHEMA,
        home: managed.home.clone(),
        way: Way::Managed,
        manager: Some(managed.manager.name()),
        hub: Some(hub_row(managed, unit, health, &now)),
        modules,
        notes,
        unreachable,
    }
}

/// A token that others than its owner may read is used, and said.
fn open_token(managed: &Managed) -> Option<String> {
    match managed.client.token() {
        TokenState::Usable { warning, .. } => warning,
        _ => None,
    }
}

/// One note in place of the hub's word on its modules.
fn tokenless(error: &Error) -> String {
    format!(
        "the hub was not asked for its modules, so they are shown by their own health: {}",
        advised(error)
    )
}

/// An error and what to do about it, in one line.
fn advised(error: &Error) -> String {
    match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    }
}

fn hub_row(
    managed: &Managed,
    unit: Result<Installed>,
    health: Result<Look>,
    now: &Snapshot,
) -> HubStatus {
    let judged = hub::judge(&unit, &health, managed.manager.name());
    let up = HubIs::of(&health, managed.manager.name()) == HubIs::Up;
    let port = managed.client.port();
    let mut row = RowStatus {
        name: "hub".to_owned(),
        service: HUB_SERVICE.to_owned(),
        state: judged.state,
        port: Some(port),
        version: health
            .as_ref()
            .ok()
            .filter(|_| up)
            .and_then(|look| look.health.version.clone()),
        pid: None,
        uptime_seconds: None,
        latency_ms: health
            .as_ref()
            .ok()
            .filter(|_| up)
            .map(|look| milliseconds(look.latency)),
        url: Some(format!("http://127.0.0.1:{port}")),
        source: Some(managed.manager.name().to_owned()),
        start_error: None,
        notes: judged.notes,
        cpu_percent: None,
        memory_bytes: None,
        log: Vec::new(),
    };
    let mut facts = None;
    if let Ok(unit) = unit {
        if let UnitState::Running { pid, since } = &unit.state {
            row.pid = Some(*pid);
            usage(&mut row, *pid, now);
            if let Some(since) = since {
                let age = jiff::Timestamp::now().duration_since(since.0).as_secs();
                row.uptime_seconds = u64::try_from(age).ok();
            }
        }
        row.memory_bytes = unit.memory.or(row.memory_bytes);
        if let (Some(cpu), Some(seconds @ 1..)) = (unit.cpu, row.uptime_seconds) {
            row.cpu_percent = Some(tenth(cpu.as_secs_f64() / seconds as f64 * 100.0));
        }
        row.notes.extend(
            unit.restarts
                .filter(|&n| n > 0 && row.state == State::Active)
                .map(|n| format!("restarted {n} times since it was first started")),
        );
        row.notes.extend(
            unit.drop_ins
                .iter()
                .map(|path| format!("changed by {}", path.display())),
        );
        if let Some(path) = &unit.path {
            row.source = Some(path.to_string_lossy().into_owned());
            if unit.enabled == Some(false) && row.state != State::Inactive {
                row.notes.push("it does not start at boot".to_owned());
            }
            facts = Some(UnitFacts {
                path: Some(path.clone()),
                scope: unit.scope,
                enabled: unit.enabled,
            });
        }
    }
    HubStatus { row, unit: facts }
}

fn module(
    managed: &Managed,
    row: &Row,
    known: Option<ModuleState>,
    listed: bool,
    probe: Probe,
    hub: HubIs,
    now: &Snapshot,
) -> RowStatus {
    let mut out = RowStatus::of(row);
    out.start_error = None;
    if let Probe::Live { latency } = &probe {
        out.latency_ms = Some(milliseconds(*latency));
    }
    match known {
        Some(state) => supervised(row, state, &probe, now, &mut out),
        None if hub == HubIs::Down => {
            if probe.somebody() {
                out.notes.push(format!(
                    "the hub is down, and yet {} answers on port {}",
                    managed.holder(row.port),
                    row.port
                ));
            }
        }
        None => by_health(row, listed && hub == HubIs::Up, &probe, &mut out),
    }
    if out.state == State::Failing {
        out.log = logfile::tail(&managed.home, &crate::home::rel::log(row.short()), EXCERPT)
            .unwrap_or_default();
    }
    out
}

/// The hub knows it.
fn supervised(row: &Row, state: ModuleState, probe: &Probe, now: &Snapshot, out: &mut RowStatus) {
    let late_bind = state
        .start_error
        .as_ref()
        .is_some_and(|e| e.error_type == StartErrorType::StartedButUnbound);
    out.state = match state.status {
        ModuleStatus::Running if state.start_error.is_some() && !(late_bind && probe.live()) => {
            State::Failing
        }
        ModuleStatus::Running if probe.live() => State::Active,
        ModuleStatus::Running => {
            out.notes.push(probe.unhealthy(&row.health));
            State::Failing
        }
        ModuleStatus::Starting | ModuleStatus::Restarting => State::Pending,
        ModuleStatus::Stopped => State::Inactive,
        ModuleStatus::Crashed => State::Failing,
        ModuleStatus::Unknown if probe.live() => State::Active,
        ModuleStatus::Unknown => State::Failing,
    };
    if out.state == State::Inactive && probe.somebody() {
        out.notes.push(format!(
            "stopped, and yet something answers on port {}",
            row.port
        ));
    }
    describe(&state, now, out);
}

/// What a state tells apart from its word.
fn describe(state: &ModuleState, now: &Snapshot, out: &mut RowStatus) {
    if let Some(pid) = state.pid.filter(|_| state.status != ModuleStatus::Stopped) {
        out.pid = Some(pid);
        usage(out, pid, now);
    }
    if out.state == State::Active {
        return;
    }
    if let Some(error) = &state.start_error {
        out.notes
            .extend(error.error_description.lines().next().map(str::to_owned));
        out.notes.extend(error.sysadmin_hint.clone());
        out.start_error = Some(error.clone());
    } else if state.status == ModuleStatus::Crashed {
        let code = state
            .last_exit_code
            .map(|code| format!(" with exit code {code}"))
            .unwrap_or_default();
        out.notes.push(format!(
            "it crashed too often, the last time{code}; `parachute start {}` tries again",
            state.short
        ));
    } else if state.status == ModuleStatus::Restarting {
        out.notes.push(match state.restarts_in_window {
            0 => "it crashed, and is being started again".to_owned(),
            n => format!(
                "it crashed, and is being started again, after {n} times in the last minute"
            ),
        });
    }
}

/// The hub does not tell of it.
fn by_health(row: &Row, listed: bool, probe: &Probe, out: &mut RowStatus) {
    match probe {
        Probe::Live { .. } => {
            out.state = State::Active;
            if listed {
                out.notes
                    .push("the hub does not list it; it answers by itself".to_owned());
            }
        }
        Probe::Refused => {}
        other => {
            out.state = State::Failing;
            out.notes.push(other.unhealthy(&row.health));
        }
    }
}

/// What the hub supervises and no row names; a file that cannot be read says nothing about rows.
fn unregistered(
    registry: Option<&Registry>,
    list: Option<&ModuleList>,
    now: &Snapshot,
) -> Vec<RowStatus> {
    let states = list
        .and_then(|list| list.supervised.as_deref())
        .unwrap_or_default();
    states
        .iter()
        .filter(|state| registry.is_none_or(|all| all.find(&state.short).is_none()))
        .map(|state| {
            let mut out = RowStatus::bare(&state.short);
            out.state = match state.status {
                ModuleStatus::Running => State::Active,
                ModuleStatus::Starting | ModuleStatus::Restarting => State::Pending,
                ModuleStatus::Stopped => State::Inactive,
                ModuleStatus::Crashed | ModuleStatus::Unknown => State::Failing,
            };
            describe(state, now, &mut out);
            if registry.is_some() {
                out.notes
                    .push("the hub runs it, and services.json has no row for it".to_owned());
            }
            out
        })
        .collect()
}

/// Uptime, CPU and memory of a leader and everything of its session.
fn usage(out: &mut RowStatus, leader: u32, now: &Snapshot) {
    let group: Vec<&Process> = now
        .processes
        .iter()
        .filter(|p| (p.pid == leader || p.session == leader) && p.alive())
        .collect();
    if group.is_empty() {
        return;
    }
    let age = |p: &&Process| process::age(p.start);
    out.uptime_seconds = group.iter().map(age).max().map(|age| age.as_secs());
    out.memory_bytes = Some(group.iter().map(|p| p.memory).sum());
    let percent = |p: &&Process| p.cpu.as_secs_f64() / age(p).as_secs_f64().max(0.01) * 100.0;
    out.cpu_percent = Some(tenth(group.iter().map(percent).sum()));
}

fn milliseconds(latency: Duration) -> f64 {
    tenth(latency.as_secs_f64() * 1e3)
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
