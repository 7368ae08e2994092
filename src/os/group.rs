//! Proven process groups: which processes are ours, and ending all of them. Signals nothing that
//! is not proven at that moment (contract, section 1).
//!
//! What is proof: a recorded pid with its start time and boot; or a process of the recorded
//! session that carries the record's spawn id. A session's number cannot be given out again while
//! one process is in it, and nobody can join a session from outside: so one proven process of it
//! proves all of it (those of the owner's uid, as ever). A bare pid proves only what speaks for
//! itself ([`clue`]), and, when it leads its process group, that group within the same session and
//! uid.

use super::{
    pidfile::Record,
    process::{self, Process, Snapshot},
};
use std::path::PathBuf;

mod clue;
mod stop;
mod strays;
pub use clue::{is_above_us, is_ours, orphans_of};
pub use stop::{Ended, kill, stop};
pub use strays::strays;
#[cfg(test)]
mod tests;

/// In the environment of every process that we spawn.
pub const SPAWN_ID: &str = "PARACHUTE_SPAWN_ID";

/// Processes that are proven to be one module's.
#[derive(Clone, Debug)]
pub struct Group {
    /// The pid that was spawned: group and session leader; it may be gone while members live.
    pub leader: u32,
    /// The spawn id, when it has one.
    pub spawn: Option<String>,
    /// Live members, zombies left out; never empty.
    pub members: Vec<Process>,
}

impl Group {
    /// The process to name to people: the leader while it lives, else a member that does.
    pub fn pid(&self) -> u32 {
        let leads = |p: &&Process| p.pid == self.leader;
        let living = self.members.iter().find(leads).or(self.members.first());
        living.map_or(self.leader, |p| p.pid)
    }

    /// Do the two share a process or a spawn id? Then they are one module's.
    pub fn is_kin(&self, other: &Group) -> bool {
        let shared = |p: &Process| other.members.iter().any(|o| o.pid == p.pid);
        let spawn = self.spawn.as_deref().filter(|spawn| !spawn.is_empty());
        (spawn.is_some() && spawn == other.spawn.as_deref()) || self.members.iter().any(shared)
    }
}

/// What a record turned out to be.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Members of it live, and they are ours.
    Alive(Group),
    /// Nothing of it lives any more (ended, reused pid, another boot).
    Gone,
    /// Something lives there that cannot be proven ours: leave it alone, say so.
    Unprovable {
        /// The process in question.
        pid: u32,
        /// Why, for people.
        why: String,
    },
}

/// What is known of a module for the records that carry no proof themselves.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The uid of the home's owner.
    pub owner: u32,
    /// The home; a spawn id counts only together with it.
    pub home: Option<PathBuf>,
    /// The module's port; without it a spawn id of any module of the home counts.
    pub port: Option<u16>,
    /// The module's start command, where there is one.
    pub argv: Option<Vec<String>>,
    /// Where the program of that command is, where it could be found.
    pub program: Option<PathBuf>,
    /// The module's folder, where there is one; only [`is_ours`] looks at it.
    pub cwd: Option<PathBuf>,
}

/// Which processes of `now` are proven to be of this record. Reads environments only of
/// candidates.
pub fn prove(record: &Record, claim: &Claim, now: &Snapshot) -> Proof {
    let there = now.get(record.pid).filter(|p| p.alive());
    let recorded = record.start.is_some() || record.spawn.is_some();
    if !recorded {
        return prove_bare(record.pid, there, claim, now);
    }
    let leader = recorded_in(record, now);
    if let Some(leader) = leader
        && leader.uid != claim.owner
    {
        return Proof::Unprovable {
            pid: leader.pid,
            why: format!("it runs as uid {} now, not as the home's owner", leader.uid),
        };
    }
    let members = match leader {
        Some(leader) => around(leader, now),
        None => members(record.pid, record.spawn.as_deref(), claim.owner, now),
    };
    alive(record.pid, record.spawn.clone(), members).unwrap_or(Proof::Gone)
}

/// The live process that a record names by pid, start time and boot, whoever it runs as now.
pub fn recorded_in<'a>(record: &Record, now: &'a Snapshot) -> Option<&'a Process> {
    let there = now.get(record.pid).filter(|p| p.alive())?;
    let this_boot = record.boot.is_some() && record.boot == process::boot_id().ok();
    (this_boot && record.start == Some(there.start)).then_some(there)
}

fn alive(leader: u32, spawn: Option<String>, members: Vec<Process>) -> Option<Proof> {
    let some = !members.is_empty();
    some.then_some(Proof::Alive(Group {
        leader,
        spawn,
        members,
    }))
}

/// A proven process and whom it proves: its session when it leads one, else its process group
/// when it leads that, else itself alone.
fn around(proven: &Process, now: &Snapshot) -> Vec<Process> {
    let session = proven.session == proven.pid;
    let group = proven.group == proven.pid;
    now.processes
        .iter()
        .filter(|p| p.alive() && p.uid == proven.uid && p.session == proven.session)
        .filter(|p| session || (group && p.group == proven.group) || p.pid == proven.pid)
        .cloned()
        .collect()
}

/// The live processes of the session `leader`, of `owner`, when one of them carries the spawn id.
/// None without a spawn id.
pub fn members(leader: u32, spawn: Option<&str>, owner: u32, now: &Snapshot) -> Vec<Process> {
    let Some(spawn) = spawn else {
        return Vec::new();
    };
    let session = in_session(leader, owner, now);
    let carries = |p: &Process| {
        process::env_var(p.pid, SPAWN_ID).is_some_and(|id| id == spawn) && unchanged(p)
    };
    if session.iter().any(carries) {
        session
    } else {
        Vec::new()
    }
}

fn in_session(leader: u32, owner: u32, now: &Snapshot) -> Vec<Process> {
    now.processes
        .iter()
        .filter(|p| p.session == leader && p.uid == owner && p.alive())
        .cloned()
        .collect()
}

/// What was read by pid a moment ago was of this process, if its pid is still its own.
fn unchanged(p: &Process) -> bool {
    matches!(process::look(p.pid), Ok(Some(now)) if now.start == p.start)
}

fn prove_bare(pid: u32, there: Option<&Process>, claim: &Claim, now: &Snapshot) -> Proof {
    let Some(there) = there else {
        // Its children may live on in its process group.
        let mut left = now
            .processes
            .iter()
            .filter(|p| p.group == pid && p.uid == claim.owner && p.alive());
        return match left.clone().find(|p| clue::speaks_for_itself(p, claim)) {
            Some(one) => {
                let same = |p: &&Process| p.session == one.session;
                let members = left.filter(same).cloned().collect();
                alive(pid, None, members).unwrap_or(Proof::Gone)
            }
            None => left.next().map_or(Proof::Gone, |p| Proof::Unprovable {
                pid: p.pid,
                why:
                    "it is of the recorded process group, and nothing says that it is the module's"
                        .to_owned(),
            }),
        };
    };
    if there.uid != claim.owner {
        return Proof::Unprovable {
            pid,
            why: format!("it runs as uid {}, not as the home's owner", there.uid),
        };
    }
    if !clue::speaks_for_itself(there, claim) {
        return Proof::Unprovable {
            pid,
            why: "the record has no start time, and its command line is not the module's"
                .to_owned(),
        };
    }
    let spawn = process::env_var(pid, SPAWN_ID).and_then(|id| id.into_string().ok());
    alive(pid, spawn, around(there, now)).unwrap_or(Proof::Gone)
}

/// The proven group that a process stands for: what is stopped with an orphan.
pub fn group_of(p: &Process, now: &Snapshot) -> Group {
    let spawn = process::env_var(p.pid, SPAWN_ID).and_then(|id| id.into_string().ok());
    let by_session = members(p.session, spawn.as_deref(), p.uid, now);
    if by_session
        .iter()
        .any(|m| m.pid == p.pid && m.start == p.start)
    {
        return Group {
            leader: p.session,
            spawn,
            members: by_session,
        };
    }
    Group {
        leader: p.pid,
        spawn,
        members: around(p, now),
    }
}
