//! Processes as Linux tells of them: small reads under /proc (proc(5)), signals by pidfd. Never
//! walks what it was not asked for, never signals a pid without looking at its start time.

use super::{Process, Sent, Snapshot, stat};
use rustix::{
    fs::{AtFlags, Mode, OFlags, RawDir},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// An environment or a command line beyond this is cut: the kernel allows 6 MiB for both.
const MOST: u64 = 8 << 20;

/// How many milliseconds a process may take between its old and its new image.
const MID_EXEC: u32 = 50;

fn proc_dir() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc", flags, Mode::empty())?)
}

pub(super) fn all() -> io::Result<Snapshot> {
    let proc_dir = proc_dir()?;
    let mut now = Snapshot::default();
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&proc_dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if let Some(pid) = decimal(name) {
            match read(proc_dir.as_fd(), pid, name)? {
                Some(process) => now.processes.push(process),
                None => now.vanished += 1,
            }
        }
    }
    Ok(now)
}

pub(super) fn one(pid: u32) -> io::Result<Option<Process>> {
    read(proc_dir()?.as_fd(), pid, pid.to_string().as_bytes())
}

fn decimal(name: &[u8]) -> Option<u32> {
    if !name.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// Both reads go through one descriptor of the process's folder, which stays with that process
/// when the pid is given out again. The folder's owner is the effective uid; that of the files in
/// it becomes root's for programs that may not be dumped.
fn read(proc_dir: BorrowedFd<'_>, pid: u32, name: &[u8]) -> io::Result<Option<Process>> {
    let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Some(folder) = present(rustix::fs::openat(proc_dir, name, path, Mode::empty()))? else {
        return Ok(None);
    };
    let Some(owner) = present(rustix::fs::statat(&folder, "", AtFlags::EMPTY_PATH))? else {
        return Ok(None);
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Some(file) = present(rustix::fs::openat(&folder, "stat", flags, Mode::empty()))? else {
        return Ok(None);
    };
    let mut text = [0; 1024];
    let Some(length) = present(rustix::io::read(&file, &mut text))? else {
        return Ok(None);
    };
    let text = text.get(..length).unwrap_or_default();
    Ok(stat::parse(text).map(|stat| stat.into_process(pid, owner.st_uid)))
}

/// A process that ended between two calls is none; hidepid (proc(5)) hides those of others alike.
fn present<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::SRCH | Errno::PERM | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn slurp(pid: u32, what: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{what}")).ok()?;
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn argv(pid: u32) -> Option<Vec<OsString>> {
    let mut bytes = slurp(pid, "cmdline")?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let parts = bytes.split(|byte| *byte == 0);
    Some(parts.map(|p| OsString::from_vec(p.to_vec())).collect())
}

pub(super) fn short_name(pid: u32) -> Option<String> {
    let bytes = slurp(pid, "comm")?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

pub(super) fn cwd(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// In the midst of execve(2) a process has neither arguments nor environment for a moment: that
/// says nothing of it, so it is waited out. Kernel threads, of session 0, never have any.
pub(super) fn env_vars(pid: u32, names: &[&str]) -> Option<Vec<Option<OsString>>> {
    for _ in 0..MID_EXEC {
        let bytes = slurp(pid, "environ")?;
        if !bytes.is_empty() {
            return Some(super::pick(&bytes, names));
        }
        if argv(pid).is_some_and(|argv| !argv.is_empty())
            || !matches!(one(pid), Ok(Some(p)) if p.alive() && p.session != 0)
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Some(super::pick(&slurp(pid, "environ")?, names))
}

pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

pub(super) fn age(start: u64) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    );
    now.saturating_sub(stat::ticks(start))
}

/// Where pidfds do not exist (Linux before 5.3, some sandboxes), `ENOSYS`.
fn open_pidfd(process: &Process) -> rustix::io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(super::still(process).then_some(fd))
}

pub(super) fn signal(process: &Process, signal: Signal) -> io::Result<Sent> {
    match open_pidfd(process) {
        Ok(Some(fd)) => send(fd.as_fd(), process, signal),
        Ok(None) => Ok(Sent::Gone),
        Err(Errno::NOSYS | Errno::PERM) => super::signal_by_pid(process, signal),
        Err(error) => Err(error.into()),
    }
}

fn send(fd: BorrowedFd<'_>, process: &Process, signal: Signal) -> io::Result<Sent> {
    match pidfd_send_signal(fd, signal) {
        Ok(()) => Ok(Sent::Yes),
        Err(Errno::SRCH) => Ok(Sent::Gone),
        Err(Errno::NOSYS) => super::signal_by_pid(process, signal),
        Err(error) => Err(error.into()),
    }
}

/// A descriptor that becomes readable when the process ends.
#[derive(Debug)]
pub(super) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// `None` where it cannot be watched (too many open files, no pidfds); an error never: its
    /// user looks again after a while anyway. Needs a tokio runtime.
    pub(super) fn new(process: &Process) -> Option<Self> {
        let fd = open_pidfd(process).ok()??;
        let interest = tokio::io::Interest::READABLE;
        // Deprecated for descriptor types that may close early; an OwnedFd does not.
        #[allow(deprecated)]
        let watched = AsyncFd::with_interest(fd, interest);
        watched.ok().map(Self)
    }

    pub(super) fn signal(&self, process: &Process, signal: Signal) -> io::Result<Sent> {
        send(self.0.get_ref().as_fd(), process, signal)
    }

    pub(super) async fn ended(&self) {
        let _ = self.0.readable().await;
    }
}

/// Socket inodes that a process holds open; `None` when it may not be looked into or is gone.
pub(in crate::os) fn sockets(pid: u32) -> Option<Vec<u64>> {
    let path = format!("/proc/{pid}/fd");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&folder, &mut buffer);
    let mut inodes = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        let mut target = [MaybeUninit::uninit(); 64];
        if let Ok((target, _)) =
            rustix::fs::readlinkat_raw(&folder, entry.file_name(), &mut target[..])
            && let Some(inode) = socket_inode(target)
        {
            inodes.push(inode);
        }
    }
    Some(inodes)
}

/// `socket:[12345]`
fn socket_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    OsStr::from_bytes(digits).to_str()?.parse().ok()
}
