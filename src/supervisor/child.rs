//! One spawned group from its birth to its end: making it, ending it, and judging what is left when
//! its leader is gone. Signals nothing that is not proven ours.

use super::{
    Shared,
    phase::GRACE,
    prepare::Prepared,
    pump,
    pump::Sink,
    reaper::{Exit, exited},
};
use crate::{
    api::{StartError, StartErrorType, Time},
    modules::registry::Row,
    os::{
        group::{self, Group, Proof},
        pidfile::Record,
        port::{self, Holding, Listeners},
        process::{self, Process},
        spawn::{self, Output},
    },
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::unix::pipe,
    sync::watch,
    time::{timeout, timeout_at},
};

/// How long the last lines of an ended group are waited for.
const DRAIN: Duration = Duration::from_millis(300);
/// How long what a dead leader left behind has from SIGTERM to SIGKILL.
const LEFTOVERS: Duration = Duration::from_millis(400);

/// A spawned group. Its entry with the guardian goes when this is dropped.
pub(super) struct Child {
    shared: Arc<Shared>,
    /// Its leader, as a pidfile would have it.
    pub(super) record: Record,
    /// What it was made from.
    pub(super) row: Row,
    /// When it was spawned.
    pub(super) born: Instant,
    /// The same, for people.
    pub(super) since: Time,
    /// The leader's exit.
    pub(super) exit: watch::Receiver<Option<Exit>>,
    /// Its own word that it is ready.
    pub(super) word: Option<watch::Receiver<bool>>,
    drained: watch::Receiver<bool>,
    _socket: Option<super::notify::Socket>,
}

impl Drop for Child {
    fn drop(&mut self) {
        self.shared.guardian.remove(&self.record);
    }
}

impl Child {
    /// Spawns what was prepared. Nothing is awaited between the spawn and the expectation of its
    /// exit.
    pub(super) fn spawn(
        shared: &Arc<Shared>,
        prepared: Prepared,
        sink: Arc<Sink>,
    ) -> Result<Self, StartError> {
        let failed = |doing: &str, error: std::io::Error| {
            let why = crate::error::reason(&error);
            StartError::new(
                StartErrorType::SpawnFailed,
                format!("cannot {doing}: {why}"),
            )
        };
        let (read, write) = std::io::pipe().map_err(|e| failed("make a pipe for its output", e))?;
        let pipe = pipe::Receiver::from_owned_fd(read.into())
            .map_err(|e| failed("watch the pipe of its output", e))?;
        let program = prepared.plan.program.display().to_string();
        let spawned = spawn::spawn(&prepared.plan, Output::Both(write.into()), true)
            .map_err(|e| failed(&format!("run {program}"), e))?;
        let pid = spawned.id();
        let exit = shared.reaper.expect(pid);
        let record = Record {
            pid,
            // It cannot be gone: nobody has waited for it yet.
            start: process::look(pid).ok().flatten().map(|p| p.start),
            boot: shared.boot.clone(),
            spawn: Some(prepared.spawn),
        };
        shared.guardian.add(&record);
        let (done, drained) = watch::channel(false);
        let buffer = shared.buffer.clone();
        tokio::spawn(async move {
            pump::run(pipe, sink, buffer).await;
            done.send_replace(true);
        });
        Ok(Self {
            shared: shared.clone(),
            record,
            row: prepared.row,
            born: Instant::now(),
            since: Time::now(),
            exit,
            word: prepared.socket.as_ref().map(|socket| socket.ready()),
            drained,
            _socket: prepared.socket,
        })
    }

    /// Signals the whole group at once, while its leader still keeps the group's number from being
    /// anybody else's: a child that has not been waited for.
    pub(super) fn signal(&self, signal: Signal) {
        if self.exit.borrow().is_none()
            && let Some(pid) = i32::try_from(self.record.pid).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Members that live, proven at a moment after this call.
    pub(super) async fn members(&self) -> Option<Group> {
        let now = self.shared.snapshots.fresh().await;
        match group::prove(&self.record, &self.shared.claim(), &now) {
            Proof::Alive(group) => Some(group),
            _ => None,
        }
    }

    /// Ends the group and what has left it: SIGTERM, SIGKILL after the grace. Returns when both are
    /// empty and the last lines are in, or when even SIGKILL has not helped for a while.
    pub(super) async fn end(self: Arc<Self>) {
        // At the hub's end all of them are looked for at once.
        let alone = !self.shared.is_closing();
        let strays = async {
            if alone {
                self.shared
                    .end_strays(vec![self.record.clone()], GRACE)
                    .await;
            }
        };
        tokio::join!(self.end_group(), strays);
        self.drain().await;
    }

    async fn end_group(&self) {
        let deadline = Instant::now() + GRACE;
        self.signal(Signal::TERM);
        let mut exit = Some(self.exit.clone());
        if timeout_at(deadline.into(), exited(&mut exit))
            .await
            .is_err()
        {
            self.signal(Signal::KILL);
            let _ = timeout(Duration::from_secs(2), exited(&mut exit)).await;
        }
        if let Some(group) = self.members().await {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Err(error) = group::stop(group, left).await {
                tracing::error!(module = self.row.short(), %error, "cannot end its processes");
            }
        }
    }

    /// Waits for the last lines; a process that left the group may hold the pipe for ever.
    async fn drain(&self) {
        let mut drained = self.drained.clone();
        let _ = timeout(DRAIN, drained.wait_for(|done| *done)).await;
    }

    /// The leader is gone: what is left of the group carries on when it is the service (one of it
    /// holds the port, or its leader has left it behind on purpose before it was ready); otherwise it
    /// is ended, and `None` says that the module is dead.
    pub(super) async fn look_after(self: Arc<Self>, was_ready: bool, code: i32) -> Option<Left> {
        if let Some(group) = self.members().await {
            let holder = match Listeners::read() {
                Ok(listeners) => holding(self.row.port, &group.members, &listeners),
                Err(_) => group.members.first(),
            };
            let daemonized = !was_ready && code == 0;
            let speaker = holder.or(group.members.first().filter(|_| daemonized));
            if let Some(pid) = speaker.map(|member| member.pid) {
                let members = group.members;
                return Some(Left { pid, members });
            }
            if let Err(error) = group::stop(group, LEFTOVERS).await {
                tracing::error!(module = self.row.short(), %error, "cannot end what it left behind");
            }
        }
        self.shared
            .end_strays(vec![self.record.clone()], LEFTOVERS)
            .await;
        self.drain().await;
        None
    }

    /// Returns when one of the members of a group without its leader has ended.
    pub(super) async fn outlive(self: Arc<Self>, members: Vec<Process>) {
        let ended = |member: &Process| {
            !matches!(process::look(member.pid),
                Ok(Some(now)) if now.start == member.start && !now.zombie)
        };
        while !members.iter().any(ended) {
            let _ = timeout(Duration::from_millis(250), self.shared.reaper.stray()).await;
        }
    }
}

/// What carries on when the leader is gone.
pub(super) struct Left {
    /// The member that holds the port, where there is one.
    pub(super) pid: u32,
    /// All of them.
    pub(super) members: Vec<Process>,
}

/// The member that holds a port, or may do so where that cannot be looked up.
fn holding<'a>(port: u16, members: &'a [Process], listeners: &Listeners) -> Option<&'a Process> {
    let stands = |member: &&Process| port::held(port, std::slice::from_ref(*member), listeners);
    let is = |wanted| members.iter().find(|member| stands(member) == wanted);
    is(Holding::Ours).or_else(|| is(Holding::Unknown))
}
