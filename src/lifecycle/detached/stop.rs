//! Stopping modules side by side: SIGTERM to every proven member of the group, SIGKILL after the
//! grace, and the truth about the port afterwards.

use super::{
    Detached, GRACE,
    record::{self, Standing},
    start::{listeners, snapshot},
};
use crate::{
    error::{Code, Error, Result},
    home::rel,
    lifecycle::{Change, Did},
    modules::registry::Row,
    os::{
        files,
        group::{self, Ended, Group},
        pidfile,
        port::{self, Holder},
        process::{self, Snapshot},
    },
};
use std::fs::File;
use tokio::task::JoinSet;

/// Stops these rows; one change each.
pub(super) async fn stop(detached: &Detached, rows: &[Row]) -> Vec<Change> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let mut changes = Vec::new();
    let mut stopping = JoinSet::new();
    let mut turns: Vec<(&Row, Option<File>)> = Vec::new();
    for row in rows {
        match begin(detached, row) {
            Ok((_, groups)) if groups.is_empty() => {
                changes.push(finish(detached, row, Did::AlreadyStopped));
            }
            Ok((turn, groups)) => {
                let at = turns.len();
                turns.push((row, turn));
                for group in groups {
                    stopping.spawn(async move { (at, group::stop(group, GRACE).await) });
                }
            }
            Err(error) => changes.push(Change::failed(row.short(), error)),
        }
    }
    let mut outcomes: Vec<Result<Did>> = turns.iter().map(|_| Ok(Did::Stopped)).collect();
    if !turns.is_empty() {
        let names: Vec<&str> = turns.iter().map(|(row, _)| row.short()).collect();
        detached
            .tell
            .waiting(Some(&format!("waiting for {} to end", names.join(", "))));
    }
    while let Some(ended) = stopping.join_next().await {
        let Ok((at, ended)) = ended else { continue };
        let short = turns[at].0.short();
        match ended {
            Ok(Ended::Terminated) => {}
            Ok(Ended::Killed) => {
                detached
                    .tell
                    .warn(&format!("{short} did not end within 10 s and was killed"));
            }
            Ok(Ended::Survived) => outcomes[at] = Err(survived(short, None)),
            Err(error) => outcomes[at] = Err(survived(short, Some(&error))),
        }
    }
    detached.tell.waiting(None);
    for ((row, _turn), outcome) in turns.iter().zip(outcomes) {
        changes.push(match outcome {
            Ok(did) => finish(detached, row, did),
            Err(error) => Change::failed(row.short(), error),
        });
    }
    changes
}

/// What a stop would do, for people.
pub(super) fn would(detached: &Detached, row: &Row, now: &Snapshot) -> Result<String> {
    let short = row.short();
    Ok(match living(detached, row, now)?.first() {
        Some(group) => format!(
            "stop {short} (pid {}, {})",
            group.leader,
            processes(group.members.len())
        ),
        None => format!("find {short} stopped already"),
    })
}

/// Takes the module's turn and finds what of it lives.
fn begin(detached: &Detached, row: &Row) -> Result<(Option<File>, Vec<Group>)> {
    if !detached.home.root().is_dir() {
        return Ok((None, Vec::new()));
    }
    let turn = detached.turn_to_stop(row)?;
    let now = snapshot()?;
    Ok((turn, living(detached, row, &now)?))
}

fn living(detached: &Detached, row: &Row, now: &Snapshot) -> Result<Vec<Group>> {
    Ok(match record::standing(detached, row, now)? {
        Standing::Alive(group) => vec![group],
        Standing::Foreign { pid, why } => {
            detached.tell.warn(&format!(
                "the pidfile of {} names process {pid}, which is left alone: {why}; the pidfile is cleared",
                row.short()
            ));
            Vec::new()
        }
        // A start that was cut off before it could write its record leaves its spawn id behind.
        Standing::Down | Standing::Died(_) | Standing::EarlierBoot => {
            let listeners = listeners()?;
            if listeners.on(row.port).next().is_none() {
                return Ok(Vec::new());
            }
            record::orphans(detached, row, now, &listeners)
        }
    })
}

/// Clears the record, and says so when the port is still held.
fn finish(detached: &Detached, row: &Row, did: Did) -> Change {
    let short = row.short();
    let mark = || match row.last_start_error {
        Some(_) => files::replace(&detached.home, rel::stopped(short), 0o644, b""),
        None => Ok(()),
    };
    if detached.home.root().is_dir() {
        // It has ended, which was the task; a disk that is full or read-only does not change that.
        for error in [
            pidfile::remove(&detached.home, &rel::pidfile(short)),
            mark(),
        ]
        .into_iter()
        .filter_map(Result::err)
        {
            detached.tell.warn(&format!(
                "{short} is stopped, but that could not be recorded: {error}"
            ));
        }
    }
    if let Ok(listeners) = listeners()
        && listeners.on(row.port).next().is_some()
    {
        let who = match port::holder(row.port, &listeners) {
            Holder::Process { pid } => format!("process {pid} ({})", process::command_line(pid)),
            Holder::Hidden { uid } => format!("a process of uid {uid}"),
            Holder::Nobody => return Change::did(short, did),
        };
        detached.tell.warn(&format!(
            "port {} of {short} is still held, by {who}, which is not ours to stop",
            row.port
        ));
    }
    Change::did(short, did)
}

fn processes(count: usize) -> String {
    if count == 1 {
        "1 process".to_owned()
    } else {
        format!("{count} processes")
    }
}

fn survived(short: &str, error: Option<&std::io::Error>) -> Error {
    let why = error
        .map(|e| format!(": {}", crate::error::reason(e)))
        .unwrap_or_default();
    Error::new(
        Code::StillRunning,
        format!("{short} still runs after SIGKILL{why}"),
    )
    .hint(format!(
        "`parachute status {short}` shows its pid; `ps -o pid,stat,wchan` says what it waits for"
    ))
}
