//! The guardian: a small process that outlives the hub by a moment. It holds a pipe from the hub, is
//! told of every module's group, and when the pipe ends, however the hub died, kills every group
//! that is still there and still proven, and what has left its session. It starts nothing and
//! writes nothing.

use super::{Exit, Reaper, reaper::exited};
use crate::os::{
    group::{self, Claim, Proof},
    identity,
    pidfile::Record,
    process::{self, Snapshot},
};
use std::{
    collections::HashMap,
    io::BufRead,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::unix::pipe,
    sync::{mpsc, watch},
};

/// The hidden subcommand that is the guardian.
pub const COMMAND: &str = "__guardian";

/// Groups that live, by their leader's pid; shared with whoever must know.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(Arc<Mutex<HashMap<u32, Record>>>);

impl Groups {
    fn map(&self) -> MutexGuard<'_, HashMap<u32, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them at this moment.
    pub(super) fn all(&self) -> Vec<Record> {
        self.map().values().cloned().collect()
    }

    /// Is this the spawn id of a group that lives?
    pub(super) fn has_spawn(&self, spawn: &str) -> bool {
        self.map()
            .values()
            .any(|record| record.spawn.as_deref() == Some(spawn))
    }
}

/// The hub's end.
#[derive(Clone)]
pub(super) struct Guardian {
    groups: Groups,
    lines: mpsc::UnboundedSender<String>,
}

impl Guardian {
    /// Keeps a guardian running for as long as the runtime lives; `exe` is this program.
    pub(super) fn keep(exe: PathBuf, reaper: Arc<Reaper>, groups: Groups) -> Self {
        let (lines, told) = mpsc::unbounded_channel();
        tokio::spawn(keep(exe, reaper, groups.clone(), told));
        Self { groups, lines }
    }

    /// Tells of a group that lives from now on.
    pub(super) fn add(&self, record: &Record) {
        self.groups.map().insert(record.pid, record.clone());
        let _ = self.lines.send(added(record));
    }

    /// Tells that a group is empty.
    pub(super) fn remove(&self, record: &Record) {
        self.groups.map().remove(&record.pid);
        let _ = self.lines.send(format!("- {}\n", record.pid));
    }
}

fn added(record: &Record) -> String {
    format!(
        "+ {} {} {}\n",
        record.pid,
        record.start.unwrap_or_default(),
        record.spawn.as_deref().unwrap_or("-")
    )
}

async fn keep(
    exe: PathBuf,
    reaper: Arc<Reaper>,
    groups: Groups,
    mut told: mpsc::UnboundedReceiver<String>,
) {
    loop {
        match spawn(&exe, &reaper) {
            Ok((pipe, gone)) => {
                if !tell(pipe, gone, &groups, &mut told).await {
                    return;
                }
                tracing::warn!("the guardian has ended; another one is started");
            }
            Err(error) => tracing::error!(%error, "cannot start the guardian"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

type Gone = watch::Receiver<Option<Exit>>;

fn spawn(exe: &PathBuf, reaper: &Reaper) -> std::io::Result<(pipe::Sender, Gone)> {
    let (read, write) = std::io::pipe()?;
    let child = Command::new(exe)
        .arg(COMMAND)
        .env_clear()
        .current_dir("/")
        .stdin(read)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let gone = reaper.expect(child.id());
    Ok((pipe::Sender::from_owned_fd(write.into())?, gone))
}

/// Passes on what is to be told until the guardian is gone; false when the hub itself ends.
async fn tell(
    mut pipe: pipe::Sender,
    gone: Gone,
    groups: &Groups,
    told: &mut mpsc::UnboundedReceiver<String>,
) -> bool {
    let mut gone = Some(gone);
    // What was queued before this moment is in the list already; saying it again does no harm.
    let all: String = groups.all().iter().map(added).collect();
    if pipe.write_all(all.as_bytes()).await.is_err() {
        return true;
    }
    loop {
        tokio::select! {
            line = told.recv() => match line {
                None => return false,
                Some(line) if pipe.write_all(line.as_bytes()).await.is_err() => return true,
                Some(_) => {}
            },
            _ = exited(&mut gone) => return true,
        }
    }
}

/// The guardian's whole life: reads lines from `input` to its end, then kills what is left of every
/// group that was told and not taken back.
pub fn guard(input: impl BufRead) {
    // Not of the hub's session, and deaf to what is meant for the hub.
    let _ = rustix::process::setsid();
    let _ = nix::sys::signal::SigSet::all().thread_block();
    let mut groups = HashMap::new();
    for line in input.lines() {
        let Ok(line) = line else { break };
        read(&line, &mut groups);
    }
    let claim = Claim {
        owner: identity::euid(),
        ..Claim::default()
    };
    let told: Vec<Record> = groups.into_values().collect();
    // A group may fork while it is killed: look until it is empty, bounded.
    for round in 0..50 {
        if round > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let Ok(now) = Snapshot::take() else { continue };
        let mut left = group::strays(&told, &told, claim.owner, &now);
        for record in &told {
            if let Proof::Alive(group) = group::prove(record, &claim, &now) {
                left.push(group);
            }
        }
        if left.is_empty() {
            return;
        }
        for member in left.iter().flat_map(|group| &group.members) {
            let _ = process::signal(member, rustix::process::Signal::KILL);
        }
    }
}

fn read(line: &str, groups: &mut HashMap<u32, Record>) {
    let mut words = line.split(' ');
    let (sign, pid) = (words.next(), words.next().and_then(|w| w.parse().ok()));
    match (sign, pid) {
        (Some("+"), Some(pid)) => {
            let start = words.next().and_then(|w| w.parse().ok());
            let spawn = words.next().filter(|&w| w != "-").map(str::to_owned);
            groups.insert(
                pid,
                Record {
                    pid,
                    start,
                    boot: process::boot_id().ok(),
                    spawn,
                },
            );
        }
        (Some("-"), Some(pid)) => {
            groups.remove(&pid);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_read() {
        let record = |pid| Record {
            pid,
            start: Some(77),
            boot: None,
            spawn: Some("one-two".into()),
        };
        let mut groups = HashMap::new();
        for line in [
            added(&record(10)),
            added(&record(11)),
            "- 10\n".into(),
            "rubbish\n".into(),
            "+ x y z\n".into(),
            "-\n".into(),
        ] {
            read(line.trim_end(), &mut groups);
        }
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[&11].start, Some(77));
        assert_eq!(groups[&11].spawn.as_deref(), Some("one-two"));
    }
}
