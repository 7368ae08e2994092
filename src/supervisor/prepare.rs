//! What comes before every spawn: the launch is made from the files as they are now, and the port
//! is looked at. A proven orphan on it is stopped, a stranger is named and left alone.

use super::{Shared, notify::Socket};
use crate::{
    api::{StartError, StartErrorType},
    home::rel,
    modules::{launch, registry::Row},
    os::{
        group::{self, Claim, Group, Proof},
        pidfile,
        port::{self, Holder, Listeners},
        process::{self, Process, Snapshot},
        spawn::Plan,
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Ready to be spawned.
pub(super) struct Prepared {
    /// What to run.
    pub(super) plan: Plan,
    /// The row it was made from.
    pub(super) row: Row,
    /// Its spawn id.
    pub(super) spawn: String,
    /// Its notify socket, where one could be made.
    pub(super) socket: Option<Socket>,
}

/// Makes a module's next spawn ready.
pub(super) async fn prepare(shared: Arc<Shared>, row: Row) -> Result<Prepared, StartError> {
    let failed = |error: crate::error::Error| {
        let mut text = error.message;
        if let Some(hint) = error.hint {
            text = format!("{text}\n{hint}");
        }
        StartError::new(StartErrorType::SpawnFailed, text)
    };
    let short = row.short().to_owned();
    let spawn = uuid::Uuid::new_v4().to_string();
    let socket = shared.sockets.as_ref().and_then(|folder| {
        let opened = folder.open(&spawn);
        if let Err(error) = &opened {
            tracing::warn!(module = short, %error, "it gets no NOTIFY_SOCKET");
        }
        opened.ok()
    });
    let mut spawner = shared.spawner.clone();
    spawner.notify_socket = socket.as_ref().map(|socket| socket.path().to_owned());
    let inputs = launch::gather(&shared.home, &row, &spawner).map_err(failed)?;
    for warning in &inputs.warnings {
        tracing::warn!(module = short, "{warning}");
    }
    let made = launch::plan(&inputs, &spawner, &spawn).map_err(failed)?;
    let plan = launch::preflight(&made)?;
    let claim = Claim {
        port: Some(row.port),
        argv: Some(made.argv),
        program: Some(plan.program.clone()),
        cwd: row.install_dir.clone(),
        ..shared.claim()
    };
    clear_port(&shared, &row, &claim).await?;
    Ok(Prepared {
        plan,
        row,
        spawn,
        socket,
    })
}

/// How long somebody must hold a port before that is believed: a process that ends is no longer
/// there a moment before its sockets are, and others close theirs.
const BELIEVED: Duration = Duration::from_millis(300);

/// Returns when nobody holds the row's port, or says who does.
async fn clear_port(shared: &Shared, row: &Row, claim: &Claim) -> Result<(), StartError> {
    let mut stopped = 0;
    let mut since = Instant::now();
    loop {
        let Ok(listeners) = Listeners::read() else {
            return Ok(());
        };
        if listeners.on(row.port).next().is_none() {
            return Ok(());
        }
        let stranger = match port::holder(row.port, &listeners) {
            Holder::Nobody => return Ok(()),
            Holder::Hidden { uid } => {
                let who = format!("a process of uid {uid} that cannot be looked into");
                held_by(row, &who, STRANGER)
            }
            Holder::Process { pid } => {
                let now = shared.snapshots.fresh().await;
                let orphan = now
                    .get(pid)
                    .and_then(|holder| orphan(shared, row, claim, holder, &now));
                if let Some(group) = orphan.filter(|_| stopped < 3) {
                    stopped += 1;
                    stop_orphan(shared, row, group).await;
                    since = Instant::now();
                    continue;
                }
                squatter(shared, row, pid)
            }
        };
        if since.elapsed() >= BELIEVED {
            return Err(stranger);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn stop_orphan(shared: &Shared, row: &Row, group: Group) {
    let (pid, port) = (group.leader, row.port);
    tracing::warn!(
        module = row.short(),
        pid,
        port,
        "a process that an earlier life left behind holds its port; it is stopped"
    );
    if let Err(error) = group::stop(group, super::phase::GRACE).await {
        tracing::error!(module = row.short(), pid, %error, "cannot stop it");
    }
    let _ = pidfile::remove(&shared.home, &rel::pidfile(row.short()));
}

const STRANGER: &str = "is not ours and is left alone";

/// `port_squatter`: which process holds the port instead of the module.
pub(super) fn squatter(shared: &Shared, row: &Row, pid: u32) -> StartError {
    let spawn = process::env_var(pid, group::SPAWN_ID);
    let kept = spawn
        .and_then(|id| id.into_string().ok())
        .is_some_and(|id| shared.groups.has_spawn(&id));
    let what = if kept {
        "runs under this hub as another module"
    } else {
        STRANGER
    };
    let who = format!("pid {pid} ({})", process::command_line(pid));
    held_by(row, &who, what)
}

fn held_by(row: &Row, who: &str, what: &str) -> StartError {
    let (port, short) = (row.port, row.short());
    StartError::new(
        StartErrorType::PortSquatter,
        format!("port {port} of {short} is held by {who}, which {what}"),
    )
}

/// The group of a process that holds a module's port, when it is proven to be of an earlier life of
/// that module; `None` for a stranger and for what lives under this hub.
fn orphan(
    shared: &Shared,
    row: &Row,
    claim: &Claim,
    holder: &Process,
    now: &Snapshot,
) -> Option<Group> {
    // By the pidfile of the detached way; else by what it carries, runs, or where it runs.
    let recorded = pidfile::read(&shared.home, &rel::pidfile(row.short()));
    if let Ok(Some(record)) = recorded
        && let Proof::Alive(group) = group::prove(&record, claim, now)
        && group.members.iter().any(|member| member.pid == holder.pid)
    {
        return Some(group);
    }
    stray(shared, claim, holder, now)
}

/// The group of a process that is proven to be this home's and lives under no hub that we know of.
pub(super) fn stray(
    shared: &Shared,
    claim: &Claim,
    process: &Process,
    now: &Snapshot,
) -> Option<Group> {
    if !group::is_ours(process, claim) || group::is_above_us(process.pid, now) {
        return None;
    }
    let group = group::group_of(process, now);
    let kept = |spawn: &str| shared.groups.has_spawn(spawn);
    (!group.members.is_empty() && !group.spawn.as_deref().is_some_and(kept)).then_some(group)
}
