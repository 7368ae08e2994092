//! What the kernel says of processes. Reads only, but for [`signal`], which signals a process
//! only while its start time still agrees.

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

/// One process at one moment.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Its effective uid.
    pub uid: u32,
    /// Clock ticks since boot (proc(5), stat field 22), or the platform's equal.
    pub start: u64,
    /// Ended, not yet reaped: not alive.
    pub zombie: bool,
    /// It has a controlling terminal.
    pub terminal: bool,
    /// CPU time used so far, user and system.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
}

/// Every process at one moment; one walk over the process table.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// In no particular order.
    pub processes: Vec<Process>,
}

impl Snapshot {
    /// Walks the process table. Processes that end meanwhile are left out.
    pub fn take() -> io::Result<Self> {
        todo!()
    }

    /// The process with this pid, zombies included.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|p| p.pid == pid)
    }
}

/// One process, or `None` when there is none of that pid.
pub fn look(pid: u32) -> io::Result<Option<Process>> {
    todo!("{pid}")
}

/// Its arguments; `None` when it is gone or may not be looked into.
pub fn argv(pid: u32) -> Option<Vec<OsString>> {
    todo!("{pid}")
}

/// Its working directory; `None` when it is gone or may not be looked into.
pub fn cwd(pid: u32) -> Option<PathBuf> {
    todo!("{pid}")
}

/// A variable of the environment it was started with; `None` as above.
pub fn env_var(pid: u32, name: &str) -> Option<OsString> {
    todo!("{pid} {name}")
}

/// Its command line for people: one line, control characters made visible, at most 200 characters.
pub fn command_line(pid: u32) -> String {
    todo!("{pid}")
}

/// Which boot this is: `/proc/sys/kernel/random/boot_id`, or the platform's equal.
pub fn boot_id() -> io::Result<String> {
    todo!()
}

/// How long ago a process with that `start` was started.
pub fn age(start: u64) -> Duration {
    todo!("{start}")
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Delivered.
    Yes,
    /// The process had ended, or its pid is another's now.
    Gone,
}

/// Signals exactly this process: on Linux by pidfd, checked against `start` after it was opened.
pub fn signal(process: &Process, signal: rustix::process::Signal) -> io::Result<Sent> {
    todo!("{process:?} {signal:?}")
}
