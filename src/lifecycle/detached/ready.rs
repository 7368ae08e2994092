//! Waiting until spawned modules are ready or have failed: one loop for all of them, so that
//! twenty cost no more looks at the kernel's tables than one.

use super::{
    Detached,
    failure::{Failure, Seen, squatter, unready},
    record::claim,
    start::{listeners, snapshot},
};
use crate::{
    api::{StartError, StartErrorType},
    client::probe,
    home::rel,
    lifecycle::Did,
    modules::registry::Row,
    os::{
        files,
        group::{self, Group, Proof},
        pidfile::Record,
        port::{self, Holding},
        process::Snapshot,
    },
};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

/// A module that dies this soon has failed (contract, section 7).
const SETTLE: Duration = Duration::from_millis(250);
/// How long after that its port may stay silent.
const WINDOW: Duration = Duration::from_secs(4);
/// Both together: a module that is ready later than this was not ready in time.
pub(super) const IN_TIME: Duration = Duration::from_millis(4250);
/// How often the kernel is asked; the first is for the first tenth of a second.
const TICKS: [Duration; 2] = [Duration::from_millis(4), Duration::from_millis(8)];
/// How long a health path may take where the port's holder cannot be looked up.
pub(super) const PROBE: Duration = Duration::from_millis(500);
/// How long until it is asked again.
pub(super) const AGAIN: Duration = Duration::from_millis(50);
/// How many of its last lines a failure shows.
const EXCERPT: usize = 20;

/// A module that has been spawned and is not judged yet.
pub(super) struct Starting {
    pub(super) row: Row,
    pub(super) child: Child,
    pub(super) record: Record,
    /// Where in its log this life began.
    pub(super) log_from: u64,
    pub(super) since: Instant,
    /// Held until it is judged.
    pub(super) turn: File,
}

/// Waits for all of them, at most the settling time and the readiness window.
pub(super) async fn wait(
    detached: &Detached,
    mut starting: Vec<Starting>,
) -> Vec<(Row, Result<Did, Failure>)> {
    let begun = Instant::now();
    let mut judged = Vec::new();
    while !starting.is_empty() {
        detached.tell.waiting(Some(&waiting_for(&starting)));
        let mut still = Vec::new();
        let mut look = Look::default();
        for mut it in starting {
            match judge(detached, &mut it, &mut look).await {
                Some(outcome) => {
                    drop(it.turn);
                    judged.push((it.row, outcome));
                }
                None => still.push(it),
            }
        }
        starting = still;
        let early = begun.elapsed() < Duration::from_millis(100);
        tokio::time::sleep(TICKS[usize::from(!early)]).await;
    }
    detached.tell.waiting(None);
    judged
}

fn waiting_for(starting: &[Starting]) -> String {
    let names: Vec<&str> = starting.iter().map(|it| it.row.short()).collect();
    format!("waiting for {}", names.join(", "))
}

/// One look at the kernel's tables, taken when the first module needs it.
#[derive(Default)]
struct Look {
    processes: Option<Snapshot>,
    listeners: Option<port::Listeners>,
}

impl Look {
    fn processes(&mut self) -> Result<&Snapshot, Failure> {
        if self.processes.is_none() {
            self.processes = Some(snapshot()?);
        }
        Ok(self.processes.get_or_insert_default())
    }

    fn listeners(&mut self) -> Result<&port::Listeners, Failure> {
        if self.listeners.is_none() {
            self.listeners = Some(listeners()?);
        }
        Ok(self.listeners.get_or_insert_default())
    }
}

/// What has become of it by now; `None` while that is open.
async fn judge(
    detached: &Detached,
    it: &mut Starting,
    look: &mut Look,
) -> Option<Result<Did, Failure>> {
    match try_judge(detached, it, look).await {
        Ok(None) => None,
        Ok(Some(did)) => Some(Ok(did)),
        Err(failure) => Some(Err(failure)),
    }
}

async fn try_judge(
    detached: &Detached,
    it: &mut Starting,
    look: &mut Look,
) -> Result<Option<Did>, Failure> {
    let exit = it.child.try_wait().ok().flatten();
    if let Some(status) = exit
        && group_of(detached, it, look.processes()?).is_none()
    {
        return Err(exited(detached, it, status));
    }
    let age = it.since.elapsed();
    if age < SETTLE {
        return Ok(None);
    }
    let seen = if look.listeners()?.on(it.row.port).next().is_some() {
        match at_the_port(detached, it, look, exit.is_none()).await? {
            Ok(pid) => return Ok(Some(Did::Started { pid: Some(pid) })),
            Err(seen) => seen,
        }
    } else {
        Seen::Silent
    };
    if age < SETTLE + WINDOW {
        return Ok(None);
    }
    let (pid, log) = (it.record.pid, excerpt(detached, it));
    Err(unready(detached, &it.row, pid, WINDOW, &seen, log))
}

/// Somebody listens on its port: the pid to name when it is the module, else what was seen. A child
/// that nobody has waited for is itself also when it has become somebody else (a set-uid program).
async fn at_the_port(
    detached: &Detached,
    it: &Starting,
    look: &mut Look,
    is_child: bool,
) -> Result<Result<u32, Seen>, Failure> {
    let port = it.row.port;
    let (holding, pid) = match group_of(detached, it, look.processes()?) {
        Some(group) => (
            port::held(port, &group.members, look.listeners()?),
            group.pid(),
        ),
        None if is_child => (
            port::held_by_session(port, it.record.pid, look.listeners()?),
            it.record.pid,
        ),
        None => return Ok(Err(Seen::Silent)),
    };
    Ok(match holding {
        Holding::Ours => Ok(pid),
        Holding::Theirs => Err(Seen::Theirs),
        Holding::Nobody => Err(Seen::Silent),
        Holding::Unknown => match probe(port, &it.row.health, PROBE).await {
            answer if answer.live() => {
                note_unknown(detached, &it.row);
                Ok(pid)
            }
            answer => Err(Seen::Unhealthy(answer)),
        },
    })
}

/// What is said where a live health path alone makes a module ready.
pub(super) const UNKNOWN: &str = "who holds its port cannot be looked up; its health path answers";

pub(super) fn note_unknown(detached: &Detached, row: &Row) {
    detached.tell.warn(&format!("{}: {UNKNOWN}", row.short()));
}

fn group_of(detached: &Detached, it: &Starting, now: &Snapshot) -> Option<Group> {
    match group::prove(&it.record, &claim(detached, &it.row, false), now) {
        Proof::Alive(group) => Some(group),
        Proof::Gone | Proof::Unprovable { .. } => None,
    }
}

/// It ended before it was ready. The record stays, so that `status` can tell a crash from a stop.
fn exited(detached: &Detached, it: &Starting, status: ExitStatus) -> Failure {
    let log = excerpt(detached, it);
    let short = it.row.short();
    let said = format!("it ended at once: {}", ending(status));
    let conflict = log.iter().any(|line| {
        let line = line.to_ascii_lowercase();
        line.contains("eaddrinuse") || line.contains("address already in use")
    });
    if conflict
        && let Ok(listeners) = listeners()
        && listeners.on(it.row.port).next().is_some()
    {
        let mut failure = squatter(detached, &it.row, &listeners);
        failure.error.log = log;
        return failure;
    }
    let hint = (log.len() >= EXCERPT).then(|| format!("the whole log: `parachute logs {short}`"));
    // The registry may be read by more people than the log: no line of it goes there.
    let described = if log.is_empty() {
        said.clone()
    } else {
        format!("{said}\n`parachute logs {short}` shows what it said")
    };
    let mut failure = Failure::of(
        StartError::new(StartErrorType::ExitedEarly, described),
        hint,
        log,
    );
    failure.error.message = said;
    failure
}

/// `exit code 3`, `killed by signal 9`.
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "for an unknown reason".to_owned(),
    }
}

/// The last lines that this life wrote; at most its last 64 KiB are read.
fn excerpt(detached: &Detached, it: &Starting) -> Vec<String> {
    let read = || -> Option<Vec<u8>> {
        let mut file = files::open(&detached.home, rel::log(it.row.short())).ok()??;
        let end = file.metadata().ok()?.len();
        let from = if end < it.log_from { 0 } else { it.log_from };
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(64 * 1024))))
            .ok()?;
        let mut bytes = Vec::new();
        file.take(64 * 1024).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(EXCERPT)..].to_vec()
}
