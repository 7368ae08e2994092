//! What the kernel says of processes. Reads only, but for [`signal`], which signals a process
//! only while its start time still agrees.

use rustix::process::{Pid, Signal};
use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "linux")]
pub(in crate::os) use linux::sockets;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod stat;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(target_os = "macos")]
pub(in crate::os) use macos::open_files;
#[cfg(any(target_os = "macos", test))]
mod args;
#[cfg(test)]
mod tests;

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
    /// How many ended between being listed and being looked at: what they forked may be missing.
    pub vanished: u32,
}

impl Process {
    /// Not a zombie.
    pub fn alive(&self) -> bool {
        !self.zombie
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        age(self.start)
    }
}

/// A walk that is shared.
struct Walk {
    begun: Instant,
    ended: Instant,
    snapshot: Arc<Snapshot>,
}

/// The one that was made last.
static LAST: Mutex<Option<Walk>> = Mutex::new(None);

/// Between shared walks lies this at least, and three times what one takes.
const APART: Duration = Duration::from_millis(5);

impl Snapshot {
    /// Walks the process table. Processes that end meanwhile are left out.
    pub fn take() -> io::Result<Self> {
        platform::all()
    }

    /// A snapshot whose walk began at `moment` or later, shared by all who ask for one at about
    /// the same time: many waiters cost one walk.
    pub fn since(moment: Instant) -> io::Result<Arc<Self>> {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(walk) = &*last
            && walk.begun >= moment
        {
            return Ok(Arc::clone(&walk.snapshot));
        }
        let begun = Instant::now();
        let snapshot = Arc::new(Self::take()?);
        *last = Some(Walk {
            begun,
            ended: Instant::now(),
            snapshot: Arc::clone(&snapshot),
        });
        Ok(snapshot)
    }

    /// How long to wait before asking [`Snapshot::since`], so that those who wait for processes
    /// leave the machine most of its time; `None`: ask now.
    pub fn busy_for() -> Option<Duration> {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let walk = last.as_ref()?;
        let apart = APART.max((walk.ended - walk.begun) * 3);
        apart
            .checked_sub(walk.ended.elapsed())
            .filter(|left| !left.is_zero())
    }

    /// The process with this pid, zombies included.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|p| p.pid == pid)
    }
}

/// One process, or `None` when there is none of that pid.
pub fn look(pid: u32) -> io::Result<Option<Process>> {
    platform::one(pid)
}

/// Its arguments; `None` when it is gone or may not be looked into.
pub fn argv(pid: u32) -> Option<Vec<OsString>> {
    platform::argv(pid)
}

/// Its working directory; `None` when it is gone or may not be looked into.
pub fn cwd(pid: u32) -> Option<PathBuf> {
    platform::cwd(pid)
}

/// A variable of the environment it was started with; `None` as above.
pub fn env_var(pid: u32, name: &str) -> Option<OsString> {
    env_vars(pid, &[name])?.pop()?
}

/// Several variables at one read, in the order of `names`; `None` as above.
pub fn env_vars(pid: u32, names: &[&str]) -> Option<Vec<Option<OsString>>> {
    platform::env_vars(pid, names)
}

/// Picks variables out of an environment block, `NAME=value` with a NUL after each; the first of
/// a name counts, as in getenv(3).
fn pick(block: &[u8], names: &[&str]) -> Vec<Option<OsString>> {
    let mut picked = vec![None; names.len()];
    for entry in block.split(|byte| *byte == 0) {
        for (name, place) in names.iter().zip(&mut picked) {
            if place.is_none()
                && let Some(rest) = entry.strip_prefix(name.as_bytes())
                && let Some(value) = rest.strip_prefix(b"=")
            {
                *place = Some(OsStr::from_bytes(value).to_owned());
            }
        }
    }
    picked
}

/// Its command line for people: one line, control characters made visible, at most 200 characters.
/// The bare name in brackets where there is no command line; empty when the process is gone.
pub fn command_line(pid: u32) -> String {
    let words = argv(pid).unwrap_or_default();
    let joined = if words.is_empty() {
        match platform::short_name(pid) {
            Some(name) => format!("[{name}]"),
            None => String::new(),
        }
    } else {
        words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    };
    visible(&joined, 200)
}

fn visible(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for c in text.chars() {
        let unseen = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        let shown: String = if unseen {
            c.escape_default().collect()
        } else {
            c.to_string()
        };
        let length = shown.chars().count();
        if count + length > most - 1 {
            line.push('…');
            break;
        }
        count += length;
        line.push_str(&shown);
    }
    line
}

/// Which boot this is: `/proc/sys/kernel/random/boot_id`, or the platform's equal.
pub fn boot_id() -> io::Result<String> {
    platform::boot_id()
}

/// How long ago a process with that `start` was started.
pub fn age(start: u64) -> Duration {
    platform::age(start)
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Delivered.
    Yes,
    /// The process had ended, or its pid is another's now.
    Gone,
}

/// Pid 1 and we ourselves are never to be signalled.
fn may_signal(process: &Process) -> io::Result<()> {
    if process.pid < 2 || process.pid == std::process::id() {
        return Err(io::Error::other("refusing to signal init or ourselves"));
    }
    Ok(())
}

/// Signals exactly this process: on Linux by pidfd, checked against `start` after it was opened.
pub fn signal(process: &Process, signal: Signal) -> io::Result<Sent> {
    may_signal(process)?;
    platform::signal(process, signal)
}

/// Is it the same process still, and not ended?
fn still(process: &Process) -> bool {
    matches!(look(process.pid), Ok(Some(now)) if now.start == process.start && now.alive())
}

/// For systems without pidfds: looks and signals at once, which leaves a gap of microseconds.
fn signal_by_pid(process: &Process, signal: Signal) -> io::Result<Sent> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(Sent::Gone);
    };
    if !still(process) {
        return Ok(Sent::Gone);
    }
    match rustix::process::kill_process(pid, signal) {
        Ok(()) => Ok(Sent::Yes),
        Err(rustix::io::Errno::SRCH) => Ok(Sent::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Holds on to one process: signals it and waits for its end. Where it cannot be watched,
/// [`Watch::ended`] never resolves: its user looks at the process table from time to time as well.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    held: Option<platform::Watch>,
}

impl Watch {
    /// Starts to watch. A process that is gone already counts as unwatchable. Needs a tokio runtime
    /// with IO.
    pub fn new(process: &Process) -> Self {
        Self {
            process: process.clone(),
            held: platform::Watch::new(process),
        }
    }

    /// Whether [`Watch::ended`] can resolve.
    pub fn works(&self) -> bool {
        self.held.is_some()
    }

    /// As [`signal`], without looking the process up once more.
    pub fn signal(&self, signal: Signal) -> io::Result<Sent> {
        may_signal(&self.process)?;
        match &self.held {
            Some(held) => held.signal(&self.process, signal),
            None => platform::signal(&self.process, signal),
        }
    }

    /// Resolves when the process has ended (reaped or not).
    pub async fn ended(&self) {
        match &self.held {
            Some(held) => held.ended().await,
            None => std::future::pending().await,
        }
    }
}
