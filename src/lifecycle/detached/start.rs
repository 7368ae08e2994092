//! Starting modules side by side: look, spawn, record, wait until each is ready or has failed,
//! and write down why.

use super::{
    Detached,
    failure::{Failure, Seen, squatter, unready},
    ready::{self, Starting},
    record::{self, Standing},
};
use crate::{
    api::{StartError, StartErrorType},
    client::probe,
    error::{Code, Error, Result},
    home::rel,
    lifecycle::{Change, Did},
    modules::{launch, logfile, registry, registry::Row},
    os::{
        files, group, pidfile,
        port::{self, Holding, Listeners},
        process::{self, Process, Snapshot},
        spawn,
    },
};
use std::time::{Duration, Instant};

/// How old a look at the listening ports may be before a spawn.
const SHARED: Duration = Duration::from_millis(50);

enum Begun {
    Running(Option<u32>),
    Starting(Box<Starting>),
}

/// Starts these rows; one change each.
pub(super) async fn start(detached: &Detached, mut rows: Vec<Row>) -> Vec<Change> {
    // Locks are taken in one order everywhere, so two runs never wait for each other.
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let mut outcomes: Vec<(Row, Result<Did, Failure>)> = Vec::new();
    let mut starting = Vec::new();
    for row in rows {
        match begin(detached, &row).await {
            Ok(Begun::Running(pid)) => outcomes.push((row, Ok(Did::AlreadyRunning { pid }))),
            Ok(Begun::Starting(it)) => starting.push(*it),
            Err(failure) => outcomes.push((row, Err(failure))),
        }
    }
    outcomes.extend(ready::wait(detached, starting).await);
    outcomes
        .into_iter()
        .map(|(row, outcome)| conclude(detached, row, outcome))
        .collect()
}

/// Writes down what became of a start.
fn conclude(detached: &Detached, row: Row, outcome: Result<Did, Failure>) -> Change {
    let recorded = match &outcome {
        Ok(Did::Started { .. } | Did::AlreadyRunning { .. }) => None,
        Ok(_) | Err(Failure { recorded: None, .. }) => {
            return Change {
                who: row.short().to_owned(),
                what: outcome.map_err(|f| f.error),
            };
        }
        Err(Failure { recorded, .. }) => recorded.as_deref(),
    };
    if let Err(error) = registry::set_start_error(&detached.home, &row.name, recorded) {
        detached.tell.warn(&format!(
            "what became of {} could not be recorded: {error}",
            row.short()
        ));
    }
    Change {
        who: row.short().to_owned(),
        what: outcome.map_err(|f| f.error),
    }
}

/// What a start would do, for people; with `anew`, of a module that is stopped before.
pub(super) fn would(detached: &Detached, row: &Row, now: &Snapshot, anew: bool) -> Result<String> {
    let short = row.short();
    let alive = match record::standing(detached, row, now)? {
        Standing::Alive(group) if !anew => {
            return Ok(format!("leave {short} running (pid {})", group.pid()));
        }
        Standing::Apart { process, .. } if !anew => {
            return Ok(format!("leave {short} running (pid {})", process.pid));
        }
        Standing::Alive(group) => Some(group),
        _ => None,
    };
    let inputs = launch::gather(&detached.home, row, &detached.spawner)?;
    let launch = launch::plan(&inputs, &detached.spawner, "")?;
    let plan = launch::preflight(&launch).map_err(|e| Failure::of(e, None, Vec::new()).error)?;
    let listeners = listeners()?;
    let taken = listeners.on(row.port).next().is_some()
        && !alive.is_some_and(|group| holds(row.port, &group, &listeners))
        && record::in_the_way(detached, row, now, &listeners).is_empty();
    if taken {
        return Err(squatter(detached, row, &listeners).error);
    }
    let command = shlex::try_join(launch.argv.iter().map(String::as_str)).unwrap_or_default();
    let dir = plan
        .cwd
        .map(|dir| format!(" in {}", dir.display()))
        .unwrap_or_default();
    Ok(format!(
        "start {short} on port {}{dir}: {command}",
        row.port
    ))
}

/// Spawns a module unless it runs already.
async fn begin(detached: &Detached, row: &Row) -> Result<Begun, Failure> {
    let turn = detached.turn(row).map_err(Failure::no_turn)?;
    let short = row.short();
    // A walk over the process table costs milliseconds; without a record there is nothing to hold
    // against it.
    let standing = match pidfile::read(&detached.home, &rel::pidfile(short))? {
        Some(_) => record::standing(detached, row, &snapshot()?)?,
        None => Standing::Down,
    };
    match standing {
        Standing::Alive(group) => return running(detached, row, &Life::Ours(group)).await,
        Standing::Apart { process, .. } => {
            return running(detached, row, &Life::Apart(process)).await;
        }
        Standing::Foreign { pid, why } => {
            detached.tell.warn(&format!(
                "the pidfile of {short} names process {pid}, which is left alone: {why}"
            ));
            pidfile::remove(&detached.home, &rel::pidfile(short))?;
        }
        Standing::Died(_) | Standing::EarlierBoot | Standing::Down => {}
    }
    let _ = files::remove(&detached.home, rel::stopped(short));
    let inputs = launch::gather(&detached.home, row, &detached.spawner)?;
    for warning in &inputs.warnings {
        detached.tell.warn(&format!("{short}: {warning}"));
    }
    let spawn_id = uuid::Uuid::new_v4().to_string();
    let launch = launch::plan(&inputs, &detached.spawner, &spawn_id)?;
    let plan = launch::preflight(&launch).map_err(|e| Failure::of(e, None, Vec::new()))?;
    free_port(detached, row).await?;
    let path = rel::log(short);
    logfile::rotate_if_due(&detached.home, &path)?;
    let log = logfile::open(&detached.home, &path)?;
    let log_from = log.metadata().map(|m| m.len()).unwrap_or_default();
    let mut child = spawn::spawn(&plan, spawn::Output::Both(log.into()), false).map_err(|e| {
        let said = format!(
            "cannot run {}: {}",
            plan.program.display(),
            crate::error::reason(&e)
        );
        Failure::of(
            StartError::new(StartErrorType::SpawnFailed, said),
            None,
            Vec::new(),
        )
    })?;
    let record = pidfile::Record {
        pid: child.id(),
        start: process::look(child.id()).ok().flatten().map(|p| p.start),
        boot: process::boot_id().ok(),
        spawn: Some(spawn_id),
    };
    if let Err(error) = pidfile::write(&detached.home, &rel::pidfile(short), &record) {
        // Without a record nobody could stop it again. It is our own child, not reaped yet.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error.into());
    }
    let row = row.clone();
    Ok(Begun::Starting(Box::new(Starting {
        row,
        child,
        record,
        log_from,
        since: Instant::now(),
        turn,
    })))
}

/// What of a module runs already.
enum Life {
    /// Proven members.
    Ours(group::Group),
    /// The recorded process as somebody else.
    Apart(Process),
}

/// It runs already. Is it ready too? One that was spawned a moment ago gets the rest of its time.
async fn running(detached: &Detached, row: &Row, life: &Life) -> Result<Begun, Failure> {
    let (pid, age) = match life {
        Life::Ours(group) => (
            group.pid(),
            group
                .members
                .iter()
                .map(|p| p.age())
                .max()
                .unwrap_or_default(),
        ),
        Life::Apart(process) => (process.pid, process.age()),
    };
    let members = || match snapshot().and_then(|now| record::standing(detached, row, &now)) {
        Ok(Standing::Alive(group)) => group.members,
        _ => Vec::new(),
    };
    let deadline = Instant::now() + ready::IN_TIME.saturating_sub(age);
    loop {
        let holding = match life {
            Life::Ours(_) => port::until_held(row.port, members, deadline).await,
            Life::Apart(process) => port::held_by_session(row.port, process.pid, &listeners()?),
        };
        let seen = match holding {
            Holding::Ours => return Ok(Begun::Running(Some(pid))),
            Holding::Theirs => Seen::Theirs,
            Holding::Nobody => Seen::Silent,
            Holding::Unknown => match probe(row.port, &row.health, ready::PROBE).await {
                answer if answer.live() => {
                    ready::note_unknown(detached, row);
                    return Ok(Begun::Running(Some(pid)));
                }
                answer => Seen::Unhealthy(answer),
            },
        };
        if Instant::now() >= deadline {
            let age = age.max(ready::IN_TIME);
            return Err(unready(detached, row, pid, age, &seen, Vec::new()));
        }
        tokio::time::sleep(ready::AGAIN).await;
    }
}

fn holds(port: u16, group: &group::Group, listeners: &Listeners) -> bool {
    port::held(port, &group.members, listeners) == Holding::Ours
}

/// Sees to it that the port is free: an orphan that is provably of this module is stopped, a
/// stranger is named and left alone.
async fn free_port(detached: &Detached, row: &Row) -> Result<(), Failure> {
    // Modules that start side by side share one look, unless it shows the port taken.
    if let Ok(recent) = Listeners::recent(SHARED)
        && recent.on(row.port).next().is_none()
    {
        return Ok(());
    }
    let listeners = listeners()?;
    if listeners.on(row.port).next().is_none() {
        return Ok(());
    }
    let orphans = record::in_the_way(detached, row, &snapshot()?, &listeners);
    if orphans.is_empty() {
        return Err(squatter(detached, row, &listeners));
    }
    detached.tell.say(&format!(
        "stopping an earlier life of {} that still holds port {}",
        row.short(),
        row.port
    ));
    for group in orphans {
        group::stop(group, super::GRACE).await.map_err(|e| {
            Error::new(
                Code::StillRunning,
                format!("cannot stop an earlier life of {}: {e}", row.short()),
            )
        })?;
    }
    let listeners = self::listeners()?;
    if listeners.on(row.port).next().is_some() {
        return Err(squatter(detached, row, &listeners));
    }
    Ok(())
}

/// All processes now.
pub(super) fn snapshot() -> Result<Snapshot> {
    Snapshot::take()
        .map_err(|e| Error::new(Code::Io, format!("cannot read the process table: {e}")))
}

/// All listeners now.
pub(super) fn listeners() -> Result<Listeners> {
    Listeners::read().map_err(|e| no_listeners(&e))
}

/// The table of listening ports could not be read.
pub(super) fn no_listeners(error: &std::io::Error) -> Error {
    Error::new(
        Code::Io,
        format!("cannot read the table of listening ports: {error}"),
    )
}
