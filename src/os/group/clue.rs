//! What says whose a process is where no record proves it: what it carries, what it runs, where it
//! runs. Reads only.

use super::{Claim, SPAWN_ID, unchanged};
use crate::os::process::{self, Process, Snapshot};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// We spawned it for this home and port, or it runs the start command without a terminal.
pub(super) fn speaks_for_itself(p: &Process, claim: &Claim) -> bool {
    (spawned_for(p.pid, claim) || runs_command(p, claim)) && unchanged(p)
}

fn runs_command(p: &Process, claim: &Claim) -> bool {
    !p.terminal
        && claim.argv.as_deref().is_some_and(|command| {
            process::argv(p.pid).is_some_and(|running| {
                let cwd = || process::cwd(p.pid);
                same_command(&running, command, claim.program.as_deref(), cwd)
            })
        })
}

/// Is `running` what `command` becomes? A script's command line begins with its interpreter and
/// at most one argument of that (execve(2)), `env` may add another.
fn same_command(
    running: &[OsString],
    command: &[String],
    program: Option<&Path>,
    cwd: impl FnOnce() -> Option<PathBuf>,
) -> bool {
    let Some((said, arguments)) = command.split_first() else {
        return false;
    };
    let Some(before) = running.len().checked_sub(command.len()) else {
        return false;
    };
    let Some((ran, rest)) = running.get(before..).and_then(<[_]>::split_first) else {
        return false;
    };
    before <= 2
        && rest
            .iter()
            .zip(arguments)
            .all(|(is, said)| is == said.as_str())
        && same_program(ran, said, program, cwd)
}

/// Does `ran` mean the program of a start command, which says `said` and is found at `program`? As
/// files where both are there; else a path must be the same word, and a name that is looked up on a
/// PATH may have become a path.
fn same_program(
    ran: &OsStr,
    said: &str,
    program: Option<&Path>,
    cwd: impl FnOnce() -> Option<PathBuf>,
) -> bool {
    if ran.as_bytes().contains(&b'/') {
        let ran = Path::new(ran);
        let file = if ran.is_absolute() {
            settled(ran)
        } else {
            cwd().and_then(|cwd| settled(&cwd.join(ran)))
        };
        if let (Some(file), Some(program)) = (file, program.and_then(settled)) {
            return file == program;
        }
    }
    if said.contains('/') {
        ran == said
    } else {
        Path::new(ran).file_name() == Some(OsStr::new(said))
    }
}

/// A file that is there, its folder without links. It may be a link itself: one program can have
/// many names.
fn settled(file: &Path) -> Option<PathBuf> {
    file.symlink_metadata().ok()?;
    let folder = file.parent()?.canonicalize().ok()?;
    Some(folder.join(file.file_name()?))
}

/// Every live process of the owner, whatever its session, that we spawned for the claim's home and
/// port.
pub fn orphans_of(claim: &Claim, now: &Snapshot) -> Vec<Process> {
    now.processes
        .iter()
        .filter(|p| p.uid == claim.owner && p.alive() && p.pid != std::process::id())
        .filter(|p| spawned_for(p.pid, claim) && unchanged(p))
        .cloned()
        .collect()
}

/// It carries a spawn id, `PARACHUTE_HOME` as claimed, and `PORT` as claimed, if one is.
fn spawned_for(pid: u32, claim: &Claim) -> bool {
    let Some(home) = &claim.home else {
        return false;
    };
    let names = [SPAWN_ID, "PARACHUTE_HOME", "PORT"];
    let Some(values) = process::env_vars(pid, &names) else {
        return false;
    };
    let [Some(spawn), Some(at), is] = values.as_slice() else {
        return false;
    };
    let port = claim.port.map(|port| OsString::from(port.to_string()));
    !spawn.is_empty() && same_place(at, home) && (port.is_none() || port == *is)
}

fn same_place(one: &OsStr, other: &Path) -> bool {
    let one = Path::new(one);
    if one == other {
        return true;
    }
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// May the holder of a module's port be taken for an orphan of that module? It is of the owner's
/// uid, and either we spawned it for this home and port, or it has no terminal and its command line
/// or its working directory (or a folder in that) is the module's.
pub fn is_ours(p: &Process, claim: &Claim) -> bool {
    if p.uid != claim.owner || !p.alive() || p.pid < 2 || p.pid == std::process::id() {
        return false;
    }
    let in_folder = || {
        !p.terminal
            && claim
                .cwd
                .as_deref()
                .is_some_and(|folder| process::cwd(p.pid).is_some_and(|cwd| within(&cwd, folder)))
    };
    (spawned_for(p.pid, claim) || runs_command(p, claim) || in_folder()) && unchanged(p)
}

/// Is it that folder, or in it. `/` and a user's whole folder hold everything: only one three deep or
/// more is a module's.
fn within(cwd: &Path, folder: &Path) -> bool {
    let real = folder.canonicalize();
    let folder = real.as_deref().unwrap_or(folder);
    folder.components().count() > 3 && cwd.starts_with(folder)
}

/// Is it this process or one that it comes from?
pub fn is_above_us(pid: u32, now: &Snapshot) -> bool {
    let mut at = std::process::id();
    for _ in 0..64 {
        if at == pid {
            return true;
        }
        match now.get(at) {
            Some(process) if process.parent > 1 => at = process.parent,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
#[path = "clue_tests.rs"]
mod tests;
