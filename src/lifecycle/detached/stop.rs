//! Stopping modules side by side: SIGTERM to every proven member of the group, SIGKILL after the
//! grace, and the truth about the port afterwards.

use super::{
    Detached, GRACE, TURN,
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
        process::{self, Process, Snapshot},
    },
};
use std::{fs::File, io, time::Duration};
use tokio::task::JoinSet;

/// Stops these rows; one change each.
pub(super) async fn stop(detached: &Detached, rows: &[Row]) -> Vec<Change> {
    let mut all = Stops {
        detached,
        each: rows.iter().map(One::of).collect(),
        events: JoinSet::new(),
        changes: Vec::new(),
    };
    for at in 0..rows.len() {
        all.begin(at);
    }
    all.say_whom();
    while let Some(event) = all.events.join_next().await {
        match event {
            Ok(Event::Turn(at, turn)) => all.turned(at, turn),
            Ok(Event::Ended(at, ended)) => all.ended(at, ended),
            Err(_) => continue,
        }
        all.say_whom();
    }
    detached.tell.waiting(None);
    all.changes
}

/// What a stop waits for; of the row in that place.
enum Event {
    /// Nobody else works on the module.
    Turn(usize, Result<Option<File>>),
    /// A group of it has ended, or would not.
    Ended(usize, io::Result<Ended>),
}

/// One row's stop.
struct One<'a> {
    row: &'a Row,
    turn: Option<File>,
    /// Groups that have not ended yet.
    left: usize,
    /// What becomes of it when the last of them has.
    outcome: Result<Did>,
    /// The port was looked at after the first of them had ended.
    looked_again: bool,
    done: bool,
}

impl<'a> One<'a> {
    fn of(row: &'a Row) -> Self {
        Self {
            row,
            turn: None,
            left: 0,
            outcome: Ok(Did::AlreadyStopped),
            looked_again: false,
            done: false,
        }
    }
}

/// Every row's stop, side by side: one that has to wait for its turn keeps no other from ending. Each
/// holds its own turn only, so two runs never wait for each other.
struct Stops<'a> {
    detached: &'a Detached,
    each: Vec<One<'a>>,
    events: JoinSet<Event>,
    changes: Vec<Change>,
}

impl Stops<'_> {
    fn begin(&mut self, at: usize) {
        let home = &self.detached.home;
        if !home.root().is_dir() {
            return self.conclude(at);
        }
        let path = rel::turn(self.each[at].row.short());
        match files::lock_if_writable(home, &path, Duration::ZERO) {
            Err(error) if error.code == Code::TimedOut => {
                let home = home.clone();
                self.events.spawn_blocking(move || {
                    Event::Turn(at, files::lock_if_writable(&home, path, TURN))
                });
            }
            turn => self.turned(at, turn),
        }
    }

    /// It has its turn: finds what of it lives.
    fn turned(&mut self, at: usize, turn: Result<Option<File>>) {
        let one = &mut self.each[at];
        let found = turn.and_then(|turn| {
            one.turn = turn;
            living(self.detached, one.row, &snapshot()?)
        });
        match found {
            Ok(groups) if groups.is_empty() => self.conclude(at),
            Ok(groups) => {
                one.outcome = Ok(Did::Stopped);
                self.end(at, groups);
            }
            Err(error) => {
                one.outcome = Err(error);
                self.conclude(at);
            }
        }
    }

    fn end(&mut self, at: usize, groups: Vec<Group>) {
        self.each[at].left = groups.len();
        for group in groups {
            self.events
                .spawn(async move { Event::Ended(at, group::stop(group, GRACE).await) });
        }
    }

    fn ended(&mut self, at: usize, ended: io::Result<Ended>) {
        let one = &mut self.each[at];
        let short = one.row.short();
        match ended {
            Ok(Ended::Terminated) => {}
            Ok(Ended::Killed) => self
                .detached
                .tell
                .warn(&format!("{short} did not end within 10 s and was killed")),
            Ok(Ended::Survived) => one.outcome = Err(survived(short, None)),
            Err(error) => one.outcome = Err(survived(short, Some(&error))),
        }
        one.left -= 1;
        if one.left > 0 {
            return;
        }
        let escaped = if one.outcome.is_ok() && !std::mem::replace(&mut one.looked_again, true) {
            escaped(self.detached, one.row)
        } else {
            Vec::new()
        };
        if escaped.is_empty() {
            self.conclude(at);
        } else {
            self.end(at, escaped);
        }
    }

    fn conclude(&mut self, at: usize) {
        let one = &mut self.each[at];
        one.done = true;
        let outcome = std::mem::replace(&mut one.outcome, Ok(Did::AlreadyStopped));
        self.changes.push(match outcome {
            Ok(did) => finish(self.detached, one.row, did),
            Err(error) => Change::failed(one.row.short(), error),
        });
        one.turn = None;
    }

    fn say_whom(&self) {
        let open = self.each.iter().filter(|one| !one.done);
        let names: Vec<&str> = open.map(|one| one.row.short()).collect();
        if !names.is_empty() {
            let said = format!("waiting for {} to end", names.join(", "));
            self.detached.tell.waiting(Some(&said));
        }
    }
}

/// What left the group that has ended and still holds the module's port.
fn escaped(detached: &Detached, row: &Row) -> Vec<Group> {
    let Ok(listeners) = listeners() else {
        return Vec::new();
    };
    if listeners.on(row.port).next().is_none() {
        return Vec::new();
    }
    snapshot().map_or_else(
        |_| Vec::new(),
        |now| record::holders(detached, row, &now, &listeners),
    )
}

/// What a stop would do, for people.
pub(super) fn would(detached: &Detached, row: &Row, now: &Snapshot) -> Result<String> {
    let short = row.short();
    Ok(match living(detached, row, now)?.first() {
        Some(group) => format!(
            "stop {short} (pid {}, {})",
            group.pid(),
            processes(group.members.len())
        ),
        None => format!("find {short} stopped already"),
    })
}

/// What is there to be stopped.
fn living(detached: &Detached, row: &Row, now: &Snapshot) -> Result<Vec<Group>> {
    Ok(match record::standing(detached, row, now)? {
        Standing::Alive(group) => vec![group],
        Standing::Foreign { pid, why }
        | Standing::Apart {
            process: Process { pid, .. },
            why,
        } => {
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
            Holder::Process { pid } => match record::neighbour(detached, row, pid) {
                Some(other) => {
                    detached.tell.warn(&format!(
                        "port {} of {short} is still held, by module {other} (process {pid}): `parachute stop {other}` stops that",
                        row.port
                    ));
                    return Change::did(short, did);
                }
                None => format!("process {pid} ({})", process::command_line(pid)),
            },
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

fn survived(short: &str, error: Option<&io::Error>) -> Error {
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
