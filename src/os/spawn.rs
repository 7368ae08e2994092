//! Making processes: own session and group, standard streams and no other open file, limits as
//! found, a parent-death signal where there is one. The one place with unsafe code (what runs between fork and exec).

#![allow(unsafe_code)]

use super::identity::User;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow};
use rustix::{
    fs::{Access, AtFlags, CWD},
    io::FdFlags,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    ffi::{CStr, OsStr, OsString},
    io,
    os::{
        fd::{BorrowedFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Once, OnceLock},
};

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// The executable, absolute.
    pub program: PathBuf,
    /// Its arguments, the zeroth included.
    pub argv: Vec<OsString>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
}

/// Where its output goes; its input is always `/dev/null`.
#[derive(Debug)]
pub enum Output {
    /// Both streams into one file or pipe.
    Both(OwnedFd),
    /// Apart.
    Apart {
        /// Standard output.
        out: OwnedFd,
        /// Standard error.
        err: OwnedFd,
    },
}

/// Spawns in a session and group of its own, soft file limit as it was when we started, none of the
/// files that were open then. With
/// `dies_with_parent`, on Linux, the kernel kills it when the *thread* that called this ends.
pub fn spawn(plan: &Plan, output: Output, dies_with_parent: bool) -> io::Result<Child> {
    keep_files();
    let (out, err) = match output {
        Output::Both(both) => (both.try_clone()?, both),
        Output::Apart { out, err } => (out, err),
    };
    let mut command = Command::new(&plan.program);
    if let Some((zeroth, rest)) = plan.argv.split_first() {
        command.arg0(zeroth).args(rest);
    }
    if let Some(cwd) = &plan.cwd {
        command.current_dir(cwd);
    }
    command
        .env_clear()
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err);
    let parent = std::process::id();
    let files = FILES.get().copied();
    // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            clean_signals()?;
            if let Some(files) = files {
                setrlimit(Resource::Nofile, files)?;
            }
            if dies_with_parent {
                die_with(parent)?;
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Makes a command drop what we are and become `user` before it runs; it keeps our session,
/// terminal and standard streams. `groups` are the user's (getgrouplist(3), asked before the fork).
pub(super) fn become_user(command: &mut Command, user: &User, groups: &[u32]) {
    let (uid, gid) = (user.uid, user.gid);
    #[cfg(target_os = "linux")]
    let groups = groups.iter().copied().map(rustix::thread::Gid::from_raw);
    #[cfg(not(target_os = "linux"))]
    let groups = groups.iter().copied();
    let groups: Vec<_> = groups.collect();
    // SAFETY: between fork and exec only system calls are made; the list was made before.
    unsafe {
        command.pre_exec(move || drop_to(uid, gid, &groups));
    }
}

/// The groups of a user, the primary one included (getgrouplist(3)).
#[cfg(target_os = "linux")]
pub(super) fn groups_of(name: &CStr, gid: u32) -> io::Result<Vec<u32>> {
    let groups = nix::unistd::getgrouplist(name, gid.into())?;
    Ok(groups.iter().map(|group| group.as_raw()).collect())
}

/// The primary group alone: macOS asks its directory for the others when it needs them.
#[cfg(not(target_os = "linux"))]
pub(super) fn groups_of(_name: &CStr, gid: u32) -> io::Result<Vec<u32>> {
    Ok(vec![gid])
}

/// The child has one thread: what holds for the thread holds for it.
#[cfg(target_os = "linux")]
fn drop_to(uid: u32, gid: u32, groups: &[rustix::thread::Gid]) -> io::Result<()> {
    use rustix::thread::{Gid, Uid};
    rustix::thread::set_thread_groups(groups)?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn drop_to(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let check = |result: i32| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // macOS takes at most 16 (NGROUPS_MAX).
    let count = i32::try_from(groups.len().min(16)).unwrap_or(0);
    // SAFETY: the pointer and count are those of one live slice; the others take numbers.
    unsafe {
        check(libc::setgroups(count, groups.as_ptr()))?;
        check(libc::setgid(gid))?;
        check(libc::setuid(uid))
    }
}

/// Handlers are gone with exec, but what is ignored or blocked is inherited (`nohup`, our own
/// SIGPIPE): a child starts as from a fresh login.
fn clean_signals() -> io::Result<()> {
    for signal in nix::sys::signal::Signal::iterator() {
        // SAFETY: sets a default, installs no handler. SIGKILL and SIGSTOP refuse, and need nothing.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the request was made.
    let now = getppid().map(|pid| pid.as_raw_pid().unsigned_abs());
    if now == Some(parent) {
        Ok(())
    } else {
        Err(rustix::io::Errno::SRCH.into())
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: u32) -> io::Result<()> {
    Ok(())
}

/// Where a process sees its own open files.
const OPEN_FILES: &str = "/dev/fd";

/// Files that we were started with (a lock that `flock` or cron holds, a pipe) end with us: a child
/// would hold them for as long as it lives. All that we open ourselves is closed on exec anyway.
pub fn keep_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listed = std::fs::read_dir(OPEN_FILES).map(|files| {
            let number =
                |file: io::Result<std::fs::DirEntry>| file.ok()?.file_name().to_str()?.parse().ok();
            files.filter_map(number).collect()
        });
        let files: Vec<RawFd> = listed.unwrap_or_else(|_| (3..1024).collect());
        for file in files.into_iter().filter(|file| *file > 2) {
            // SAFETY: the number is used for this one call, which refuses one that is not open.
            let file = unsafe { BorrowedFd::borrow_raw(file) };
            let _ = rustix::io::fcntl_setfd(file, FdFlags::CLOEXEC);
        }
    });
}

/// The limit on open files as we found it.
static FILES: OnceLock<Rlimit> = OnceLock::new();

/// Raises our own soft file limit to the hard one; children of [`spawn`] get the old one.
pub fn raise_file_limit() {
    let found = *FILES.get_or_init(|| getrlimit(Resource::Nofile));
    let raise = |to: Option<u64>| {
        let wanted = Rlimit {
            current: to,
            maximum: found.maximum,
        };
        setrlimit(Resource::Nofile, wanted).is_ok()
    };
    // macOS says "unlimited" and refuses more than kern.maxfilesperproc; 10240 is its OPEN_MAX.
    if !raise(found.maximum) && found.current.is_some_and(|now| now < 10240) {
        raise(Some(10240));
    }
}

/// The executable that a program name means: with a `/` relative to `cwd`, else looked up in
/// `path` (a PATH value).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There it is, executable.
    Executable(PathBuf),
    /// There is a file, without its x bit for us.
    NotExecutable(PathBuf),
    /// It may be there: a folder on the way to it does not let us in.
    OutOfReach(PathBuf),
    /// Nowhere.
    Missing,
}

/// Looks a program up as execvp(3) would: the first that may be executed wins, one that may not
/// is told of only when there is no other, one that may be out of reach only when there is none
/// at all. An empty entry of PATH means `cwd`.
pub fn find(program: &str, cwd: Option<&Path>, path: &OsStr) -> Found {
    let base = cwd
        .map(Path::to_path_buf)
        .or_else(|| std::env::current_dir().ok())
        .unwrap_or_default();
    if program.is_empty() {
        return Found::Missing;
    }
    if program.contains('/') {
        return at(base.join(program));
    }
    let (mut refused, mut hidden) = (None, None);
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        match at(base.join(OsStr::from_bytes(folder)).join(program)) {
            Found::Executable(file) => return Found::Executable(file),
            Found::NotExecutable(file) => refused = refused.or(Some(file)),
            Found::OutOfReach(file) => hidden = hidden.or(Some(file)),
            Found::Missing => {}
        }
    }
    let hidden = hidden.map_or(Found::Missing, Found::OutOfReach);
    refused.map_or(hidden, Found::NotExecutable)
}

fn at(file: PathBuf) -> Found {
    match std::fs::metadata(&file) {
        Ok(meta) if meta.is_file() => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Found::OutOfReach(file);
        }
        _ => return Found::Missing,
    }
    if may_execute(&file) {
        Found::Executable(file)
    } else {
        Found::NotExecutable(file)
    }
}

/// May we run a file, or enter a folder.
pub fn may_execute(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
#[path = "spawn_tests.rs"]
mod tests;
