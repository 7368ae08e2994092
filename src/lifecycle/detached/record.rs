//! How a detached module stands: its pidfile held against the process table. Reads only.

use super::Detached;
use crate::{
    error::Result,
    home::rel,
    modules::{
        launch,
        registry::{Registry, Row},
    },
    os::{
        files,
        group::{self, Claim, Group, Proof},
        pidfile::{self, Record},
        port::{self, Holder, Holding, Listeners},
        process::{self, Process, Snapshot},
    },
};

/// What the pidfile and the process table say together.
pub(super) enum Standing {
    /// Proven members live.
    Alive(Group),
    /// It is the recorded process, and it runs as somebody else now (a set-uid program): it can be
    /// looked at, never signalled.
    Apart {
        /// The process.
        process: Process,
        /// How, for people.
        why: String,
    },
    /// Recorded in this boot, and gone without having been stopped.
    Died(Record),
    /// Recorded in an earlier boot.
    EarlierBoot,
    /// Something lives at the recorded pid that is not provably ours.
    Foreign {
        /// The process.
        pid: u32,
        /// Why it is not, for people.
        why: String,
    },
    /// Nothing is recorded.
    Down,
}

/// Holds a row's record against `now`.
pub(super) fn standing(detached: &Detached, row: &Row, now: &Snapshot) -> Result<Standing> {
    let Some(record) = pidfile::read(&detached.home, &rel::pidfile(row.short()))? else {
        return Ok(Standing::Down);
    };
    let claim = claim(detached, row, record.spawn.is_none());
    Ok(match group::prove(&record, &claim, now) {
        Proof::Alive(group) => Standing::Alive(group),
        // What we spawned leads its session.
        Proof::Unprovable { pid, why } => match group::recorded_in(&record, now) {
            Some(process) if process.session == process.pid => Standing::Apart {
                process: process.clone(),
                why,
            },
            _ => Standing::Foreign { pid, why },
        },
        Proof::Gone => match (&record.boot, process::boot_id().ok()) {
            (Some(then), Some(today)) if *then != today => Standing::EarlierBoot,
            _ => Standing::Died(record),
        },
    })
}

/// What else is known of a module; its start command only where the record has no proof itself.
pub(super) fn claim(detached: &Detached, row: &Row, with_command: bool) -> Claim {
    let launch = with_command
        .then(|| {
            let inputs = launch::gather(&detached.home, row, &detached.spawner).ok()?;
            launch::plan(&inputs, &detached.spawner, "").ok()
        })
        .flatten();
    let found = launch.as_ref().map(launch::preflight);
    Claim {
        owner: detached.owner,
        home: Some(detached.home.root().to_owned()),
        port: Some(row.port),
        argv: launch.map(|launch| launch.argv),
        program: found.and_then(Result::ok).map(|plan| plan.program),
        ..Claim::default()
    }
}

/// Was it stopped on request, and not started since.
pub(super) fn stopped_on_request(detached: &Detached, row: &Row) -> bool {
    matches!(
        files::open(&detached.home, rel::stopped(row.short())),
        Ok(Some(_))
    )
}

/// The other modules of this home that live by their records, by short name.
fn neighbours(detached: &Detached, row: &Row, now: &Snapshot) -> Vec<(String, Group)> {
    let registry = Registry::read(&detached.home).unwrap_or_default();
    let others = registry.rows.iter().filter(|other| other.name != row.name);
    others
        .filter(|other| registry.process_of(other).name == other.name)
        .filter_map(|other| match standing(detached, other, now) {
            Ok(Standing::Alive(group)) => Some((other.short().to_owned(), group)),
            _ => None,
        })
        .collect()
}

/// The other module of this home that a process belongs to.
pub(super) fn neighbour(detached: &Detached, row: &Row, pid: u32) -> Option<String> {
    let now = Snapshot::take().ok()?;
    let group = group::group_of(now.get(pid)?, &now);
    let mut others = neighbours(detached, row, &now).into_iter();
    others
        .find(|(_, theirs)| theirs.is_kin(&group))
        .map(|(short, _)| short)
}

/// What of an earlier life of a module still runs without a record: processes of ours that carry
/// this home and port, and a holder of its port whose command is the module's; by group.
/// Never what another module's record proves to be that one's, and never whom we come from.
pub(super) fn orphans(
    detached: &Detached,
    row: &Row,
    now: &Snapshot,
    listeners: &Listeners,
) -> Vec<Group> {
    known_by(&claim(detached, row, true), detached, row, now, listeners)
}

fn known_by(
    claim: &Claim,
    detached: &Detached,
    row: &Row,
    now: &Snapshot,
    listeners: &Listeners,
) -> Vec<Group> {
    let mut found = group::orphans_of(claim, now);
    if let Holder::Process { pid } = port::holder(row.port, listeners)
        && let Some(holder) = now.get(pid)
        && group::is_ours(holder, claim)
    {
        found.push(holder.clone());
    }
    let mut groups: Vec<Group> = Vec::new();
    for orphan in found {
        let of = |group: &Group| group.members.iter().any(|p| p.pid == orphan.pid);
        if !groups.iter().any(of) {
            groups.push(group::group_of(&orphan, now));
        }
    }
    groups.retain(|group| {
        let above = |p: &Process| group::is_above_us(p.pid, now);
        !group.members.iter().any(above)
    });
    if !groups.is_empty() {
        let others = neighbours(detached, row, now);
        groups.retain(|group| !others.iter().any(|(_, theirs)| theirs.is_kin(group)));
    }
    groups
}

/// Those of the orphans that hold the port.
pub(super) fn holders(
    detached: &Detached,
    row: &Row,
    now: &Snapshot,
    listeners: &Listeners,
) -> Vec<Group> {
    of_the_port(row, orphans(detached, row, now, listeners), listeners)
}

/// What a start may clear out of its way: those, and what holds the port and stands in the module's
/// folder. For a stop, a folder is no proof.
pub(super) fn in_the_way(
    detached: &Detached,
    row: &Row,
    now: &Snapshot,
    listeners: &Listeners,
) -> Vec<Group> {
    let claim = Claim {
        cwd: row.install_dir.clone(),
        ..claim(detached, row, true)
    };
    let found = known_by(&claim, detached, row, now, listeners);
    of_the_port(row, found, listeners)
}

fn of_the_port(row: &Row, mut groups: Vec<Group>, listeners: &Listeners) -> Vec<Group> {
    groups.retain(|group| port::held(row.port, &group.members, listeners) == Holding::Ours);
    groups
}
