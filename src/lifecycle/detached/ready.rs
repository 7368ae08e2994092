//! Waiting until spawned modules are ready or have failed: one loop for all of them, so that
//! twenty cost no more looks at the kernel's tables than one.

use super::{
    Detached,
    record::claim,
    start::{Failure, listeners, snapshot, squatter},
};
use crate::{
    api::{StartError, StartErrorType},
    client::{Probe, probe},
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
const PROBE: Duration = Duration::from_millis(500);
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
    let port = it.row.port;
    let mut taken = false;
    if look.listeners()?.on(port).next().is_some()
        && let Some(group) = group_of(detached, it, look.processes()?)
    {
        let started = Did::Started {
            pid: Some(it.record.pid),
        };
        match port::held(port, &group.members, look.listeners()?) {
            Holding::Ours => return Ok(Some(started)),
            Holding::Unknown => {
                if let Probe::Live { .. } = probe(port, &it.row.health, PROBE).await {
                    let said = "who holds its port cannot be looked up; its health path answers";
                    detached.tell.warn(&format!("{}: {said}", it.row.short()));
                    return Ok(Some(started));
                }
            }
            Holding::Theirs => taken = true,
            Holding::Nobody => {}
        }
    }
    if age < SETTLE + WINDOW {
        return Ok(None);
    }
    if taken {
        return Err(squatter(&it.row, look.listeners()?));
    }
    Err(unbound(
        &it.row,
        it.record.pid,
        WINDOW,
        excerpt(detached, it),
    ))
}

/// The failure of a module that lives without listening.
pub(super) fn unbound(row: &Row, pid: u32, age: Duration, log: Vec<String>) -> Failure {
    let said = format!(
        "it runs (pid {pid}), and nothing listens on port {} after {} s",
        row.port,
        age.as_secs()
    );
    let hint = format!(
        "it may be slow to start: `parachute status {0}`, `parachute logs {0}`",
        row.short()
    );
    Failure::of(
        StartError::new(StartErrorType::StartedButUnbound, said),
        Some(hint),
        log,
    )
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
        let mut failure = squatter(&it.row, &listeners);
        failure.error.log = log;
        return failure;
    }
    let hint = (log.len() >= EXCERPT).then(|| format!("the whole log: `parachute logs {short}`"));
    let described = if log.is_empty() {
        said.clone()
    } else {
        format!("{said}\n{}", log.join("\n"))
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
