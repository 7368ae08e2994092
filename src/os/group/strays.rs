//! What has left its module's session (`setsid`) and still carries its spawn id, which was given to
//! that one spawn: it is not of the group, and it is ours to end with it.

use super::{Group, Record, SPAWN_ID, Snapshot, group_of, process, unchanged};
use std::collections::HashSet;

/// The groups of those processes of `owner` that carry the spawn id of one of `records`, outside
/// the sessions of `living`, whose processes are looked for elsewhere. Reads the environments of
/// what is younger than the oldest record.
pub fn strays(records: &[Record], living: &[Record], owner: u32, now: &Snapshot) -> Vec<Group> {
    let spawns: HashSet<&str> = records.iter().filter_map(|r| r.spawn.as_deref()).collect();
    let Some(oldest) = records.iter().map(|r| r.start.unwrap_or_default()).min() else {
        return Vec::new();
    };
    let sessions: HashSet<u32> = records.iter().chain(living).map(|r| r.pid).collect();
    let mut found: Vec<Group> = Vec::new();
    for process in &now.processes {
        let known = |group: &Group| group.members.iter().any(|member| member.pid == process.pid);
        if process.uid != owner
            || !process.alive()
            || process.start < oldest
            || process.pid == std::process::id()
            || sessions.contains(&process.session)
            || found.iter().any(known)
        {
            continue;
        }
        let spawn = process::env_var(process.pid, SPAWN_ID);
        let carries = spawn
            .as_deref()
            .and_then(|id| id.to_str())
            .is_some_and(|id| spawns.contains(id));
        if carries && unchanged(process) {
            let group = group_of(process, now);
            found.extend((!group.members.is_empty()).then_some(group));
        }
    }
    found
}
