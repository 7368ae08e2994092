//! Starting modules side by side: look, spawn, record, wait until each is ready or has failed,
//! and write down why.

use super::{
    Detached,
    ready::{self, Starting},
    record::{self, Standing},
};
use crate::{
    api::{StartError, StartErrorType},
    error::{Code, Error, Result},
    home::rel,
    lifecycle::{Change, Did},
    modules::{launch, logfile, registry, registry::Row},
    os::{
        files, group, pidfile,
        port::{self, Holder, Holding, Listeners},
        process::{self, Snapshot},
        spawn,
    },
};
use std::time::{Duration, Instant};

/// Why a module did not start: what is written into its row, and what the person is told.
pub(super) struct Failure {
    /// For `lastStartError`; none when the failure is ours and not the module's.
    pub(super) recorded: Option<Box<StartError>>,
    /// For the person.
    pub(super) error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            recorded: None,
            error,
        }
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
}

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
        Ok(_) => {
            return Change {
                who: row.short().to_owned(),
                what: outcome.map_err(|f| f.error),
            };
        }
        Err(Failure { recorded: None, .. }) => row.last_start_error.as_ref(),
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
            return Ok(format!("leave {short} running (pid {})", group.leader));
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
        && !record::orphans(detached, row, now, &listeners)
            .iter()
            .any(|group| holds(row.port, group, &listeners));
    if taken {
        return Err(squatter(row, &listeners).error);
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
    let turn = detached.turn(row)?;
    let short = row.short();
    // A walk over the process table costs milliseconds; without a record there is nothing to hold
    // against it.
    let standing = match pidfile::read(&detached.home, &rel::pidfile(short))? {
        Some(_) => record::standing(detached, row, &snapshot()?)?,
        None => Standing::Down,
    };
    match standing {
        Standing::Alive(group) => return running(detached, row, &group).await,
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

/// It runs already. Is it ready too? One that was spawned a moment ago gets the rest of its time.
async fn running(detached: &Detached, row: &Row, group: &group::Group) -> Result<Begun, Failure> {
    let age = group
        .members
        .iter()
        .map(|p| p.age())
        .max()
        .unwrap_or_default();
    let members = || match snapshot().and_then(|now| record::standing(detached, row, &now)) {
        Ok(Standing::Alive(group)) => group.members,
        _ => Vec::new(),
    };
    let deadline = Instant::now() + ready::IN_TIME.saturating_sub(age);
    match port::until_held(row.port, members, deadline).await {
        Holding::Ours | Holding::Unknown => Ok(Begun::Running(Some(group.leader))),
        Holding::Theirs => Err(squatter(row, &listeners()?)),
        Holding::Nobody => Err(ready::unbound(
            row,
            group.leader,
            age.max(ready::IN_TIME),
            Vec::new(),
        )),
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
    let orphans = record::orphans(detached, row, &snapshot()?, &listeners);
    if orphans
        .iter()
        .any(|group| holds(row.port, group, &listeners))
    {
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
        if listeners_on(row.port)? {
            return Err(squatter(row, &listeners));
        }
        return Ok(());
    }
    Err(squatter(row, &listeners))
}

/// The failure of a module whose port somebody else has.
pub(super) fn squatter(row: &Row, listeners: &Listeners) -> Failure {
    let port = row.port;
    let (who, hint) = match port::holder(port, listeners) {
        Holder::Process { pid } => (
            format!("process {pid} ({})", process::command_line(pid)),
            format!(
                "stop process {pid} if you do not need it, or give {} another port",
                row.short()
            ),
        ),
        Holder::Hidden { uid } => (
            format!("a process of uid {uid} that cannot be looked into"),
            format!("`sudo parachute status` may name it, or `sudo ss -ltnp 'sport = :{port}'`"),
        ),
        Holder::Nobody => (
            "somebody who has just left".to_owned(),
            "try again".to_owned(),
        ),
    };
    let said = format!(
        "port {port} is held by {who}, which is not {}'s",
        row.short()
    );
    Failure::of(
        StartError::new(StartErrorType::PortSquatter, said),
        Some(hint),
        Vec::new(),
    )
}

/// All processes now.
pub(super) fn snapshot() -> Result<Snapshot> {
    Snapshot::take()
        .map_err(|e| Error::new(Code::Io, format!("cannot read the process table: {e}")))
}

/// All listeners now.
pub(super) fn listeners() -> Result<Listeners> {
    Listeners::read().map_err(|e| {
        Error::new(
            Code::Io,
            format!("cannot read the table of listening ports: {e}"),
        )
    })
}

fn listeners_on(port: u16) -> Result<bool> {
    Ok(listeners()?.on(port).next().is_some())
}
