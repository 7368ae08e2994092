//! Ending a proven group: SIGTERM to each member, watching them, looking for those that were
//! forked meanwhile, SIGKILL after the grace. Polls only where there is nothing to watch.

use super::Group;
use crate::os::process::{self, Process, Sent, Snapshot, Watch};
use rustix::process::Signal;
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

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

/// What even SIGKILL may take: the kernel frees memory and finishes disk operations first.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// SIGTERM to every proven member, SIGKILL after `grace`, returns when none is left (bounded by
/// `grace` and 5 s more). Members that are forked meanwhile are found and signalled too.
/// Waits by pidfd, not by sleeping.
pub async fn stop(group: Group, grace: Duration) -> io::Result<Ended> {
    Ending::of(group).run(Some(Instant::now() + grace)).await
}

/// SIGKILL to every proven member at once; else as [`stop`].
pub async fn kill(group: Group) -> io::Result<Ended> {
    Ending::of(group).run(None).await
}

/// How often an empty group is looked at once more because something, perhaps a member nobody
/// knew, went while the process table was walked.
const LOOKED_AGAIN: u32 = 2;

type Watching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A member that was signalled.
struct Member {
    process: Process,
    killed: bool,
    ended: bool,
    watching: Watching,
    watchable: bool,
    /// How many times more it gets its SIGTERM.
    again: u8,
}

/// One that was forked meanwhile may have been found before its exec, where a handler of its
/// parent's takes the signal and forgets it: it is told again.
const TOLD_AGAIN: u8 = 3;

/// Whom else the known members prove.
enum Reach {
    /// All of this session.
    Session(u32),
    /// All of this process group in this session.
    Group(u32, u32),
    /// Nobody.
    Alone,
}

struct Ending {
    reach: Reach,
    leader: u32,
    spawn: Option<String>,
    first: Vec<Process>,
    known: Vec<Member>,
    killed: bool,
}

impl Ending {
    fn of(group: Group) -> Self {
        let reach = match group.members.first() {
            Some(one) if one.session == group.leader => Reach::Session(group.leader),
            Some(one) if one.group == group.leader => Reach::Group(one.group, one.session),
            _ => Reach::Alone,
        };
        Self {
            reach,
            leader: group.leader,
            spawn: group.spawn,
            first: group.members,
            known: Vec::new(),
            killed: false,
        }
    }

    async fn run(mut self, grace: Option<Instant>) -> io::Result<Ended> {
        let Some(owner) = self.first.first().map(|p| p.uid) else {
            return Ok(Ended::Terminated);
        };
        let mut kill_at = grace.unwrap_or_else(Instant::now);
        let mut killing = grace.is_none();
        for process in std::mem::take(&mut self.first) {
            self.meet(process, killing, 0);
        }
        let mut pause = Duration::from_millis(10);
        let mut again = LOOKED_AGAIN;
        loop {
            let until = if killing {
                kill_at + AFTER_KILL
            } else {
                kill_at
            };
            self.wait(until.min(Instant::now() + pause)).await;
            pause = (pause * 2).min(Duration::from_millis(250));
            // The walk lists first and looks later: only when all had ended before it began can
            // none of them have forked behind its back.
            let settled = self.known.iter().all(|m| m.ended);
            let now = after(Instant::now()).await;
            if let Ok(now) = &now {
                if self.update(owner, now, killing) {
                    pause = Duration::from_millis(10);
                }
                if self.known.iter().all(|m| m.ended) {
                    if !settled || (now.vanished > 0 && again > 0) {
                        again -= u32::from(settled);
                        continue;
                    }
                    return Ok(if self.killed {
                        Ended::Killed
                    } else {
                        Ended::Terminated
                    });
                }
            }
            if Instant::now() < until {
                if now.is_err() {
                    // Out of descriptors, most likely: others end and give theirs back.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                continue;
            }
            if killing {
                return now.map(|_| Ended::Survived);
            }
            killing = true;
            kill_at = Instant::now();
            pause = Duration::from_millis(10);
            self.kill_known();
        }
    }

    fn kill_known(&mut self) {
        for member in self.known.iter_mut().filter(|m| !m.ended && !m.killed) {
            member.killed = true;
            let sent = process::signal(&member.process, Signal::KILL);
            self.killed |= matches!(sent, Ok(Sent::Yes));
        }
    }

    /// Returns early when all that are known have ended.
    async fn wait(&mut self, until: Instant) {
        let watchable = self.known.iter().all(|m| m.ended || m.watchable);
        let now = Instant::now();
        let until = if watchable {
            until
        } else {
            until.min(now + Duration::from_millis(20))
        };
        let known = &mut self.known;
        let all = poll_fn(|context| {
            let mut left = false;
            for member in known.iter_mut().filter(|m| !m.ended) {
                member.ended = member.watching.as_mut().poll(context).is_ready();
                left |= !member.ended;
            }
            if left { Poll::Pending } else { Poll::Ready(()) }
        });
        let _ = tokio::time::timeout(until.saturating_duration_since(now), pin!(all)).await;
    }

    /// Marks who has ended, and signals who is new or has had its grace. While one that was proven
    /// before lives, so does its session, and all of it is proven; else the spawn id must say so.
    /// True when somebody was found who was not known.
    fn update(&mut self, owner: u32, now: &Snapshot, killing: bool) -> bool {
        let lives = |p: &Process| {
            let there = now.get(p.pid);
            there.filter(|t| t.start == p.start && t.alive() && t.uid == owner)
        };
        let mut anchored = false;
        for member in &mut self.known {
            match lives(&member.process) {
                Some(there) => {
                    // One that made a session of its own is still itself, and proves nobody.
                    anchored |= match self.reach {
                        Reach::Session(session) => there.session == session,
                        Reach::Group(group, session) => {
                            there.group == group && there.session == session
                        }
                        Reach::Alone => false,
                    };
                    if member.ended {
                        member.ended = false;
                        member.watchable = false;
                        member.watching = Box::pin(std::future::pending());
                    }
                }
                None => member.ended = true,
            }
        }
        let reached: Vec<Process> = match self.reach {
            Reach::Session(leader) if anchored => super::in_session(leader, owner, now),
            Reach::Group(group, session) if anchored => now
                .processes
                .iter()
                .filter(|p| p.group == group && p.session == session)
                .filter(|p| p.uid == owner && p.alive())
                .cloned()
                .collect(),
            Reach::Session(_) | Reach::Group(..) => {
                super::members(self.leader, self.spawn.as_deref(), owner, now)
            }
            Reach::Alone => Vec::new(),
        };
        for member in &mut self.known {
            if !member.ended && member.again > 0 && !killing {
                member.again -= 1;
                let _ = process::signal(&member.process, Signal::TERM);
            }
        }
        let mut late = false;
        for process in reached {
            let same =
                |m: &Member| m.process.pid == process.pid && m.process.start == process.start;
            if !self.known.iter().any(same) {
                self.meet(process, killing, TOLD_AGAIN);
                late = true;
            }
        }
        if killing {
            self.kill_known();
        }
        late
    }

    /// The watch comes first: what ends in between is seen. What is stopped (SIGSTOP) would not see
    /// a SIGTERM without a SIGCONT.
    fn meet(&mut self, process: Process, killing: bool, again: u8) {
        if process.pid < 2 || process.pid == std::process::id() {
            return;
        }
        let watch = Watch::new(&process);
        let watchable = watch.works();
        let sent = watch.signal(if killing { Signal::KILL } else { Signal::TERM });
        if matches!(sent, Ok(Sent::Yes)) {
            self.killed |= killing;
            if !killing {
                let _ = watch.signal(Signal::CONT);
            }
        }
        let gone = matches!(sent, Ok(Sent::Gone));
        self.known.push(Member {
            process,
            killed: killing,
            ended: gone,
            watching: Box::pin(async move { watch.ended().await }),
            watchable,
            again,
        });
    }
}

/// A snapshot that was begun after `moment`. When many groups end at once, those that ask within
/// the same few milliseconds share one.
async fn after(moment: Instant) -> io::Result<Arc<Snapshot>> {
    if let Some(pause) = Snapshot::busy_for() {
        tokio::time::sleep(pause).await;
    }
    Snapshot::since(moment)
}
