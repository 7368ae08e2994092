//! Users: who owns a home, who called us, and acting as somebody else: in a child that has dropped
//! its privileges, or for good.

use super::spawn;
use std::{
    ffi::{CString, OsString},
    io,
    os::unix::{
        fs::MetadataExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::Command,
};
use tokio::signal::unix::{SignalKind, signal};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Numeric id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Login name; the number where there is none.
    pub name: String,
    /// Home directory, as the user database has it.
    pub dir: PathBuf,
}

/// Our effective uid.
pub fn euid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user with this uid, when the user database has it.
pub fn user(uid: u32) -> Option<User> {
    from_database(nix::unistd::User::from_uid(uid.into()))
}

fn from_database(answer: nix::Result<Option<nix::unistd::User>>) -> Option<User> {
    let user = answer.ok().flatten()?;
    Some(User {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        name: user.name,
        dir: user.dir,
    })
}

/// The user of this name.
pub fn user_named(name: &str) -> Option<User> {
    from_database(nix::unistd::User::from_name(name))
}

/// Whose a path is, links followed; for one that does not exist, its nearest parent that does.
pub fn owner(path: &Path) -> io::Result<u32> {
    Ok(nearest(path)?.uid())
}

/// The owner of a place as somebody to act as. One whom the user database does not have (a folder
/// that was mounted into a container, say) is a bare number: in the place's group, in no other, and
/// at home in the folder above the place where that is theirs too, else in the place itself.
pub fn owning(uid: u32, place: &Path) -> User {
    user(uid).unwrap_or_else(|| {
        let above = place.parent().filter(|above| {
            // A parent that is not there says nothing.
            std::fs::metadata(above).is_ok_and(|meta| meta.uid() == uid)
        });
        User {
            uid,
            gid: bare_group(uid, nearest(place).ok().map(|meta| meta.gid())),
            name: uid.to_string(),
            dir: above.unwrap_or(place).to_owned(),
        }
    })
}

/// Root's group is nobody's that root is to drop its privileges for.
fn bare_group(uid: u32, folder: Option<u32>) -> u32 {
    folder.filter(|&gid| gid != 0).unwrap_or(uid)
}

fn nearest(path: &Path) -> io::Result<std::fs::Metadata> {
    let mut place = path;
    loop {
        match std::fs::metadata(place) {
            Ok(meta) => return Ok(meta),
            Err(error) if is_absent(&error) => match place.parent() {
                Some(parent) if parent.as_os_str().is_empty() => place = Path::new("."),
                Some(parent) => place = parent,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

/// A path beneath a file is not there either (ENOTDIR).
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Runs this same binary with `args` as `user`: uid, gid, groups, HOME, USER, LOGNAME set, session
/// and terminal kept; standard streams inherited. `env` is the whole environment to begin with; what
/// the caller's own bus and session are is taken out. Returns its exit status, 128+n for a death by
/// signal n. Signals that reach us meanwhile (SIGINT, SIGTERM, SIGHUP) are passed on.
pub fn run_as(user: &User, args: &[OsString], env: &[(OsString, OsString)]) -> io::Result<i32> {
    let command = command(user, args, env)?;
    // A thread of its own: the caller may be inside a runtime already.
    std::thread::scope(|scope| {
        scope
            .spawn(|| forwarding(command))
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the watching thread ended early")))
    })
}

/// As [`run_as`], in place of this process: the same pid, and nobody in between. Comes back only
/// with why it cannot be done, and then this process may have dropped its privileges already.
pub fn become_for_good(user: &User, args: &[OsString], env: &[(OsString, OsString)]) -> io::Error {
    match command(user, args, env) {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

fn command(user: &User, args: &[OsString], env: &[(OsString, OsString)]) -> io::Result<Command> {
    let mut command = Command::new(ourselves());
    command
        .arg0("parachute")
        .args(args)
        .env_clear()
        .envs(environment(user, env));
    if user.uid != euid() {
        let groups = groups(user)?;
        spawn::become_user(&mut command, user, &groups);
    }
    Ok(command)
}

/// The link works where the user may not enter the folder that the binary is in, and after the
/// binary has been replaced.
fn ourselves() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    match std::env::current_exe() {
        Ok(path) if !link.exists() => path,
        _ => link.to_owned(),
    }
}

fn groups(user: &User) -> io::Result<Vec<u32>> {
    // A bare number is a member of nothing, not even where it reads like a name.
    if self::user(user.uid).is_none() {
        return Ok(vec![user.gid]);
    }
    let name = CString::new(user.name.as_str()).map_err(io::Error::other)?;
    spawn::groups_of(&name, user.gid)
}

fn environment(user: &User, env: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let theirs = [
        "HOME",
        "USER",
        "LOGNAME",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
    ];
    let mut all: Vec<(OsString, OsString)> = env
        .iter()
        .filter(|(name, _)| !theirs.iter().any(|their| name == their))
        .filter(|(name, _)| {
            !(name.to_string_lossy().starts_with("XDG_") && name != "XDG_DATA_DIRS")
        })
        .cloned()
        .collect();
    all.push(("HOME".into(), user.dir.clone().into()));
    all.push(("USER".into(), user.name.clone().into()));
    all.push(("LOGNAME".into(), user.name.clone().into()));
    let runtime = PathBuf::from(format!("/run/user/{}", user.uid));
    if std::fs::metadata(&runtime).is_ok_and(|meta| meta.is_dir() && meta.uid() == user.uid) {
        all.push(("XDG_RUNTIME_DIR".into(), runtime.into()));
    }
    all
}

/// Signals may only be sent while the child is not reaped, which is what this waits for: its pid
/// stays its own meanwhile.
fn forwarding(command: Command) -> io::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut child = tokio::process::Command::from(command).spawn()?;
        loop {
            let sent = tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    let died = status.signal().map(|signal| 128 + signal);
                    return Ok(status.code().or(died).unwrap_or(1));
                }
                _ = interrupt.recv() => rustix::process::Signal::INT,
                _ = terminate.recv() => rustix::process::Signal::TERM,
                _ = hangup.recv() => rustix::process::Signal::HUP,
            };
            let pid = child
                .id()
                .and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, sent);
            }
        }
    })
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
