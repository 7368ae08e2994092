//! How a detached module stands: its pidfile held against the process table. Reads only.

use super::Detached;
use crate::{
    error::Result,
    home::rel,
    modules::{launch, registry::Row},
    os::{
        files,
        group::{self, Claim, Group, Proof},
        pidfile::{self, Record},
        port::{self, Holder, Listeners},
        process::{self, Snapshot},
    },
};

/// What the pidfile and the process table say together.
pub(super) enum Standing {
    /// Proven members live.
    Alive(Group),
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
        Proof::Unprovable { pid, why } => Standing::Foreign { pid, why },
        Proof::Gone => match (&record.boot, process::boot_id().ok()) {
            (Some(then), Some(today)) if *then != today => Standing::EarlierBoot,
            _ => Standing::Died(record),
        },
    })
}

/// What else is known of a module; its start command only where the record has no proof itself.
pub(super) fn claim(detached: &Detached, row: &Row, with_command: bool) -> Claim {
    let argv = with_command
        .then(|| {
            let inputs = launch::gather(&detached.home, row, &detached.spawner).ok()?;
            launch::command(row, inputs.manifest.as_ref()).ok()
        })
        .flatten();
    Claim {
        owner: detached.owner,
        argv,
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

/// What of an earlier life of a module still runs without a record: processes of ours that carry
/// this home and port, and a holder of its port whose command or folder is the module's; by group.
pub(super) fn orphans(
    detached: &Detached,
    row: &Row,
    now: &Snapshot,
    listeners: &Listeners,
) -> Vec<Group> {
    let mut found = group::orphans_of(detached.home.root(), row.port, detached.owner, now);
    if let Holder::Process { pid } = port::holder(row.port, listeners)
        && let Some(holder) = now.get(pid)
    {
        let claim = Claim {
            cwd: row.install_dir.clone(),
            ..claim(detached, row, true)
        };
        if group::is_ours(holder, &claim, detached.home.root()) {
            found.push(holder.clone());
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for orphan in found {
        if groups
            .iter()
            .all(|group| group.members.iter().all(|p| p.pid != orphan.pid))
        {
            groups.push(group::group_of(&orphan, now));
        }
    }
    groups
}
