//! Proven process groups: which processes are ours, and ending all of them. Signals nothing that
//! is not proven at that moment (contract, section 1).

use super::{
    pidfile::Record,
    process::{Process, Snapshot},
};
use std::{io, time::Duration};

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
    /// The module's start command, where there is one.
    pub argv: Option<Vec<String>>,
}

/// Which processes of `now` are proven to be of this record. Reads environments only of
/// candidates.
pub fn prove(record: &Record, claim: &Claim, now: &Snapshot) -> Proof {
    todo!("{record:?} {claim:?} {now:?}")
}

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All members ended after SIGTERM.
    Terminated,
    /// Some needed SIGKILL.
    Killed,
    /// Some live on even so (uninterruptible, or not ours to signal).
    Survived,
}

/// SIGTERM to every proven member, SIGKILL after `grace`, returns when none is left (bounded by
/// `grace` and 5 s more). Members that are forked meanwhile are found and signalled too.
/// Waits by pidfd, not by sleeping.
pub async fn stop(group: Group, grace: Duration) -> io::Result<Ended> {
    todo!("{group:?} {grace:?}")
}
