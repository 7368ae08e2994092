//! How a detached box stands: pidfiles held against the process table, health probes side by
//! side. Reads, but for two things it may put right: the note of a start that has come good
//! since, and nothing else.

use super::{
    Detached, ready,
    record::{self, Standing},
};
use crate::{
    api::{StartError, StartErrorType},
    client::{self, Probe},
    error::Code,
    home::rel,
    lifecycle::status::{BoxStatus, RowStatus, State, Way},
    modules::{
        logfile,
        registry::{self, Registry, Row},
    },
    os::{
        group::Group,
        port::{self, Holder, Holding, Listeners},
        process::{self, Snapshot},
    },
};
use std::{collections::HashMap, time::Duration};

/// How many log lines stand under a failing row.
const EXCERPT: usize = 5;
/// A module may take this long to bind before its silence is a failure.
const PATIENCE: Duration = Duration::from_secs(4);

/// Looks at everything once.
pub(super) async fn observe(detached: &Detached) -> BoxStatus {
    let mut notes = Vec::new();
    let registry = Registry::read(&detached.home).unwrap_or_else(|error| {
        let hint = error
            .hint
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        notes.push(format!("{}{hint}", error.message));
        Registry::default()
    });
    notes.extend(registry.warnings.iter().cloned());
    let mut kernel = |what: &str, e: std::io::Error| notes.push(format!("cannot read {what}: {e}"));
    let listeners = Listeners::read().unwrap_or_else(|e| {
        kernel("the table of listening ports", e);
        Listeners::default()
    });
    let bound: Vec<&Row> = registry
        .rows
        .iter()
        .filter(|row| listeners.on(row.port).next().is_some())
        .collect();
    let questions = bound
        .iter()
        .map(|row| (row.port, row.health.clone()))
        .collect();
    // The process table is walked while the modules think about their answers.
    let (answers, walk) = tokio::join!(
        client::probe_all(questions, client::PROBE_BOUND),
        tokio::task::spawn_blocking(Snapshot::take)
    );
    let now = walk
        .map_err(std::io::Error::other)
        .flatten()
        .unwrap_or_else(|e| {
            kernel("the process table", e);
            Snapshot::default()
        });
    let mut answers: HashMap<&str, Probe> = bound
        .into_iter()
        .map(|row| row.name.as_str())
        .zip(answers)
        .collect();
    let seen = registry.rows.iter().map(|row| {
        (
            look(detached, &registry, row, &now),
            answers.remove(row.name.as_str()),
        )
    });
    let modules: Vec<RowStatus> = seen
        .map(|(seen, probe)| tell(detached, seen, probe, &listeners))
        .collect();
    let live = |row: &&Row| {
        modules
            .iter()
            .any(|m| m.service == row.name && m.state == State::Active)
    };
    let come_good: Vec<&Row> = registry
        .rows
        .iter()
        .filter(|r| r.last_start_error.is_some())
        .filter(live)
        .collect();
    notes.extend(forget(detached, &come_good));
    BoxStatus {
        schema: crate::api::SCHEMA,
        home: detached.home.clone(),
        way: Way::Detached,
        manager: None,
        hub: None,
        modules,
        notes,
        unreachable: false,
    }
}

/// Takes the start errors away of modules that have come good since: whoever sees that does it
/// (contract, section 4). An error that was written meanwhile stays. Somebody who may only look
/// leaves it to others.
fn forget(detached: &Detached, rows: &[&Row]) -> Option<String> {
    const FIELD: &str = "lastStartError";
    if rows.is_empty() {
        return None;
    }
    let edited = registry::edit(&detached.home, |document| {
        let mut changed = false;
        for row in rows {
            let there = document
                .field(&row.name, FIELD)
                .and_then(|value| serde_json::from_value(value).ok());
            if there == row.last_start_error
                && let Some(fields) = document.row_mut(&row.name)
            {
                changed |= fields.shift_remove(FIELD).is_some();
            }
        }
        Ok(changed)
    });
    match edited {
        Err(error) if error.code != Code::NoPermission => Some(format!(
            "the notes of failed starts could not be removed: {error}"
        )),
        _ => None,
    }
}

/// A row and what the kernel says of it.
struct Seen<'a> {
    row: &'a Row,
    /// The row whose process it is a view of, when that is another one.
    view_of: Option<&'a Row>,
    standing: Result<Standing, crate::error::Error>,
}

fn look<'a>(detached: &Detached, registry: &'a Registry, row: &'a Row, now: &Snapshot) -> Seen<'a> {
    let process = registry.process_of(row);
    Seen {
        row,
        view_of: (process.name != row.name).then_some(process),
        standing: record::standing(detached, process, now),
    }
}

/// Turns what was seen into a row.
fn tell(
    detached: &Detached,
    seen: Seen<'_>,
    probe: Option<Probe>,
    listeners: &Listeners,
) -> RowStatus {
    let row = seen.row;
    let process = seen.view_of.unwrap_or(row);
    let mut out = RowStatus::of(row);
    if let Some(other) = seen.view_of {
        out.source = Some(format!("a view of {}", other.short()));
    }
    if let Some(Probe::Live { latency }) = &probe {
        out.latency_ms = Some((latency.as_secs_f64() * 1e4).round() / 10.0);
    }
    match seen.standing {
        Ok(Standing::Alive(group)) => {
            let holding = port::held(process.port, &group.members, listeners);
            alive(process, &group, holding, probe, listeners, &mut out);
        }
        Ok(Standing::Apart { process: it, why }) => {
            let holding = port::held_by_session(process.port, it.pid, listeners);
            let alone = Group {
                leader: it.pid,
                spawn: None,
                members: vec![it],
            };
            out.notes
                .push(format!("it can be looked at, not stopped: {why}"));
            alive(process, &alone, holding, probe, listeners, &mut out);
        }
        Ok(standing) => down(detached, process, standing, probe, listeners, &mut out),
        Err(error) => {
            out.state = State::Failing;
            out.notes.push(error.message);
        }
    }
    // What never began has written nothing; what is there are the words of an earlier life.
    let spawned = out.start_error.as_ref().is_none_or(|error| {
        matches!(
            error.error_type,
            StartErrorType::ExitedEarly | StartErrorType::StartedButUnbound
        )
    });
    if out.state == State::Failing && out.log.is_empty() && spawned {
        out.log =
            logfile::tail(&detached.home, &rel::log(process.short()), EXCERPT).unwrap_or_default();
    }
    out
}

/// Proven members live.
fn alive(
    row: &Row,
    group: &Group,
    holding: Holding,
    probe: Option<Probe>,
    listeners: &Listeners,
    out: &mut RowStatus,
) {
    let age = usage(group, out);
    match (holding, probe) {
        (Holding::Theirs, _) => {
            out.state = State::Failing;
            out.latency_ms = None;
            out.notes.push(format!(
                "it runs, but port {} is held by {}",
                row.port,
                holder(row.port, listeners)
            ));
        }
        (Holding::Ours | Holding::Unknown, Some(Probe::Live { .. })) => {
            out.state = State::Active;
            if holding == Holding::Unknown {
                out.notes.push(ready::UNKNOWN.to_owned());
            }
            // It has come good since.
            out.start_error = None;
        }
        (Holding::Nobody, _) | (_, None) if age < PATIENCE => {
            out.state = State::Pending;
            out.notes.push(format!(
                "starting: nothing listens on port {} yet",
                row.port
            ));
        }
        (Holding::Nobody, _) | (_, None) => {
            out.state = State::Failing;
            let said = format!("it runs, but nothing listens on port {}", row.port);
            out.notes.push(said.clone());
            out.start_error
                .get_or_insert_with(|| StartError::new(StartErrorType::StartedButUnbound, said));
        }
        (_, Some(other)) => {
            out.state = State::Failing;
            out.notes.push(other.unhealthy(&row.health));
        }
    }
}

/// Nothing of it lives that is proven.
fn down(
    detached: &Detached,
    row: &Row,
    standing: Standing,
    probe: Option<Probe>,
    listeners: &Listeners,
    out: &mut RowStatus,
) {
    if let Standing::Foreign { pid, why } = &standing {
        out.notes.push(format!(
            "its pidfile names process {pid}, which is left alone: {why}"
        ));
    }
    if let Some(probe) = probe {
        out.notes.push(format!(
            "not started from here, but port {} is held by {}",
            row.port,
            holder(row.port, listeners)
        ));
        if !probe.live() {
            out.latency_ms = None;
        }
    }
    let stopped = record::stopped_on_request(detached, row);
    match standing {
        _ if stopped => {}
        Standing::Died(record) => {
            out.state = State::Failing;
            if row.last_start_error.is_none() {
                out.notes.push(format!(
                    "it ended by itself (pid {} is gone); `parachute start {}`",
                    record.pid,
                    row.short()
                ));
            }
        }
        Standing::EarlierBoot => {
            out.notes
                .push("not started since this machine booted".to_owned());
        }
        Standing::Down | Standing::Foreign { .. } | Standing::Alive(_) | Standing::Apart { .. } => {
            if row.last_start_error.is_some() {
                out.state = State::Failing;
            }
        }
    }
    if let (State::Failing, Some(error)) = (out.state, &row.last_start_error) {
        let first = error.error_description.lines().next().unwrap_or_default();
        out.notes.push(format!("its last start failed: {first}"));
        if let Some(hint) = &error.sysadmin_hint {
            out.notes.push(hint.clone());
        }
    }
}

/// Pid, uptime, CPU and memory of a whole group; gives its age.
fn usage(group: &Group, out: &mut RowStatus) -> Duration {
    let ages = group.members.iter().map(|p| (p, process::age(p.start)));
    let mut oldest = Duration::ZERO;
    let mut percent = 0.0;
    let mut memory = 0;
    for (member, age) in ages {
        oldest = oldest.max(age);
        memory += member.memory;
        if !age.is_zero() {
            percent += member.cpu.as_secs_f64() / age.as_secs_f64() * 100.0;
        }
    }
    out.pid = Some(group.pid());
    out.uptime_seconds = Some(oldest.as_secs());
    out.cpu_percent = Some((percent * 10.0).round() / 10.0);
    out.memory_bytes = Some(memory);
    oldest
}

fn holder(port: u16, listeners: &Listeners) -> String {
    match port::holder(port, listeners) {
        Holder::Process { pid } => format!("process {pid} ({})", process::command_line(pid)),
        Holder::Hidden { uid } => format!("a process of uid {uid}"),
        Holder::Nobody => "somebody who has just left".to_owned(),
    }
}
