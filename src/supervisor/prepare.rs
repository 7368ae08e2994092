//! What comes before every spawn: the launch is made from the files as they are now, and the port
//! is looked at. A proven orphan on it is stopped, a stranger is named and left alone.

use super::{Shared, notify::Socket};
use crate::{
    api::{StartError, StartErrorType},
    home::rel,
    modules::{launch, registry::Row},
    os::{
        group::{self, Group, Proof},
        pidfile::{self, Record},
        port::{self, Holder, Listeners},
        process::{self, Process, Snapshot},
        spawn::Plan,
    },
};
use std::{path::Path, sync::Arc};

/// Ready to be spawned.
pub(super) struct Prepared {
    /// What to run.
    pub plan: Plan,
    /// The row it was made from.
    pub row: Row,
    /// Its spawn id.
    pub spawn: String,
    /// Its notify socket, where one could be made.
    pub socket: Option<Socket>,
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
    let socket = shared
        .sockets
        .as_deref()
        .and_then(|folder| Socket::open(folder, &spawn).ok());
    let mut spawner = shared.spawner.clone();
    spawner.notify_socket = socket.as_ref().map(|socket| socket.path().to_owned());
    let inputs = launch::gather(&shared.home, &row, &spawner).map_err(failed)?;
    for warning in &inputs.warnings {
        tracing::warn!(module = short, "{warning}");
    }
    let made = launch::plan(&inputs, &spawner, &spawn).map_err(failed)?;
    let plan = launch::preflight(&made)?;
    clear_port(&shared, &row, &made.argv).await?;
    Ok(Prepared {
        plan,
        row,
        spawn,
        socket,
    })
}

/// Returns when nobody holds the row's port, or says who does.
async fn clear_port(shared: &Shared, row: &Row, argv: &[String]) -> Result<(), StartError> {
    let mut stopped = 0;
    loop {
        let Ok(listeners) = Listeners::read() else {
            return Ok(());
        };
        if listeners.on(row.port).next().is_none() {
            return Ok(());
        }
        let pid = match port::holder(row.port, &listeners) {
            Holder::Nobody => return Ok(()),
            Holder::Hidden { uid } => return Err(squatter(row, None, &format!("of uid {uid}"))),
            Holder::Process { pid } => pid,
        };
        let now = shared.snapshots.fresh().await;
        let orphan = now
            .get(pid)
            .and_then(|holder| orphan(shared, row, argv, holder, &now));
        match orphan {
            Some(group) if stopped < 3 => {
                stopped += 1;
                tracing::warn!(module = row.short(), pid, port = row.port,
                    "a process that an earlier life left behind holds its port; it is stopped");
                let stop = group::stop(group, super::phase::GRACE).await;
                if let Err(error) = stop {
                    tracing::error!(module = row.short(), pid, %error, "cannot stop it");
                }
                let _ = pidfile::remove(&shared.home, &rel::pidfile(row.short()));
            }
            _ => return Err(squatter(row, Some(pid), &process::command_line(pid))),
        }
    }
}

/// `port_squatter`: who holds the port instead of the module.
pub(super) fn squatter(row: &Row, pid: Option<u32>, who: &str) -> StartError {
    let who = match pid {
        Some(pid) => format!("pid {pid} ({who})"),
        None => format!("a process {who} that cannot be looked into"),
    };
    StartError::new(
        StartErrorType::PortSquatter,
        format!(
            "port {} of {} is held by {who}, which is not ours and is left alone",
            row.port,
            row.short()
        ),
    )
}

/// The group of a process that holds a module's port, when it is proven to be of an earlier life of
/// that module; `None` for a stranger and for what lives under this hub.
fn orphan(
    shared: &Shared,
    row: &Row,
    argv: &[String],
    holder: &Process,
    now: &Snapshot,
) -> Option<Group> {
    let claim = shared.claim(Some(argv.to_vec()));
    if holder.uid != claim.owner || is_above_us(holder.pid, now) {
        return None;
    }
    let has = |record: &Record| match group::prove(record, &claim, now) {
        Proof::Alive(group) if group.members.iter().any(|m| m.pid == holder.pid) => Some(group),
        _ => None,
    };
    // By the pidfile of the detached way.
    let pidfile = pidfile::read(&shared.home, &rel::pidfile(row.short()));
    if let Some(group) = pidfile.ok().flatten().as_ref().and_then(has) {
        return Some(group);
    }
    // By a spawn id of this home.
    if let Some(group) = carrier(shared, holder, now) {
        return Some(group);
    }
    // By its command line.
    let bare = Record {
        pid: holder.pid,
        start: None,
        boot: None,
        spawn: None,
    };
    if let Some(group) = has(&bare) {
        return Some(group);
    }
    // By where it runs, when whoever started it is gone.
    let adopted = holder.parent == 1 || holder.parent == std::process::id();
    let at_home = |dir: &Path| dir.parent().is_some() && process::cwd(holder.pid).as_deref() == Some(dir);
    (adopted && !holder.terminal && row.install_dir.as_deref().is_some_and(at_home)).then(|| Group {
        leader: holder.pid,
        spawn: None,
        members: vec![holder.clone()],
    })
}

/// The group of a process that carries a spawn id of this home which no group under this hub has.
pub(super) fn carrier(shared: &Shared, holder: &Process, now: &Snapshot) -> Option<Group> {
    let spawn = process::env_var(holder.pid, "PARACHUTE_SPAWN_ID")?
        .into_string()
        .ok()?;
    let home = process::env_var(holder.pid, "PARACHUTE_HOME")?;
    if Path::new(&home) != shared.home.root() || shared.groups.has_spawn(&spawn) {
        return None;
    }
    let carries = |member: &&Process| {
        member.session == holder.session
            && member.uid == holder.uid
            && !member.zombie
            && process::env_var(member.pid, "PARACHUTE_SPAWN_ID").is_some_and(|id| *id == *spawn)
    };
    Some(Group {
        leader: holder.session,
        members: now.processes.iter().filter(carries).cloned().collect(),
        spawn: Some(spawn),
    })
}

/// Is it this process or one that it comes from?
pub(super) fn is_above_us(pid: u32, now: &Snapshot) -> bool {
    let mut at = std::process::id();
    for _ in 0..64 {
        if at == pid {
            return true;
        }
        match now.get(at) {
            Some(process) if process.parent > 1 => at = process.parent,
            _ => return false,
        }
    }
    true
}
