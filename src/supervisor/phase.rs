//! What happens next to a module: a pure state machine over what was asked and what was seen.
//! Never looks at a clock, a process or a file; the task brings the events and carries out the
//! effects.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Crashes are counted over this long (contract, section 7).
pub const WINDOW: Duration = Duration::from_secs(60);
/// This many crashes within [`WINDOW`] are the end of it.
pub const BUDGET: usize = 3;
/// From a crash to the next spawn.
pub const DELAY: Duration = Duration::from_millis(500);
/// How long a start may take to be ready.
pub const READINESS: Duration = Duration::from_secs(4);
/// How long an unready module is watched closely after that.
pub const LATE: Duration = Duration::from_secs(60);
/// From SIGTERM to SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// Where a module is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Never started, or stopped on request.
    Stopped,
    /// Being spawned, or spawned and not ready yet.
    Starting {
        /// A crash was before it: a failure counts as one more crash.
        respawn: bool,
    },
    /// Alive.
    Running {
        /// It was not ready in time, and is not since.
        unbound: bool,
    },
    /// Its group is being ended on request.
    Stopping {
        /// It is to be started again when it is empty.
        again: bool,
    },
    /// Crashed, and waiting for its next spawn.
    Waiting,
    /// Out of budget, or never spawned: an explicit start is needed.
    Crashed,
}

/// What was asked, or seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it to run.
    Start,
    /// Somebody wants it not to run.
    Stop,
    /// Somebody wants a new process.
    Restart,
    /// The start command could not be spawned.
    NotSpawned,
    /// It is no module of this box any more: there is nothing to spawn.
    Unlisted,
    /// It is ready.
    Ready,
    /// The readiness window has passed.
    Late,
    /// It ended unasked.
    Exited,
    /// The restart delay has passed.
    Due,
    /// Its group, ended on request, is empty.
    Emptied,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Spawn it.
    Spawn,
    /// End its group; nothing alive is an empty group.
    End,
    /// Wait for [`DELAY`], counted from the crash.
    Delay,
}

/// Crashes and respawns of the last [`WINDOW`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crashes {
    crashes: VecDeque<Instant>,
    respawns: VecDeque<Instant>,
}

impl Crashes {
    /// Respawns within the window that ends now.
    pub fn respawns(&self, now: Instant) -> u32 {
        let recent = self
            .respawns
            .iter()
            .filter(|&&at| now.saturating_duration_since(at) < WINDOW);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// Counts a crash; says whether the budget still allows a respawn.
    fn crash(&mut self, now: Instant) -> bool {
        self.crashes.push_back(now);
        while let Some(&first) = self.crashes.front()
            && now.saturating_duration_since(first) >= WINDOW
        {
            self.crashes.pop_front();
        }
        self.crashes.len() < BUDGET
    }

    fn respawn(&mut self, now: Instant) {
        self.respawns.push_back(now);
        while self.respawns.len() > BUDGET {
            self.respawns.pop_front();
        }
    }

    fn clear(&mut self) {
        self.crashes.clear();
        self.respawns.clear();
    }
}

impl Phase {
    /// The next phase and what to do. Events that cannot happen in a phase (a late timer, an exit
    /// after the end) leave it as it is.
    #[must_use]
    pub fn on(self, event: Event, crashes: &mut Crashes, now: Instant) -> (Phase, Effect) {
        use {Effect as Do, Event as E, Phase as P};
        match (self, event) {
            (P::Stopped | P::Waiting | P::Crashed, E::Start | E::Restart) => {
                crashes.clear();
                (P::Starting { respawn: false }, Do::Spawn)
            }
            (P::Starting { .. } | P::Running { .. }, E::Restart) => {
                crashes.clear();
                (P::Stopping { again: true }, Do::End)
            }
            (P::Stopping { .. }, E::Start | E::Restart) => {
                crashes.clear();
                (P::Stopping { again: true }, Do::Nothing)
            }
            (P::Stopped, E::Stop) => (P::Stopped, Do::Nothing),
            (P::Stopping { .. }, E::Stop) => (P::Stopping { again: false }, Do::Nothing),
            (_, E::Stop) => (P::Stopping { again: false }, Do::End),

            (P::Starting { respawn: false }, E::NotSpawned) | (P::Starting { .. }, E::Unlisted) => {
                (P::Crashed, Do::Nothing)
            }
            (P::Starting { respawn: true }, E::NotSpawned)
            | (P::Starting { .. } | P::Running { .. }, E::Exited) => {
                if crashes.crash(now) {
                    (P::Waiting, Do::Delay)
                } else {
                    (P::Crashed, Do::Nothing)
                }
            }
            (P::Starting { .. }, E::Ready) | (P::Running { unbound: true }, E::Ready) => {
                (P::Running { unbound: false }, Do::Nothing)
            }
            (P::Starting { .. }, E::Late) => (P::Running { unbound: true }, Do::Nothing),
            (P::Waiting, E::Due) => {
                crashes.respawn(now);
                (P::Starting { respawn: true }, Do::Spawn)
            }
            (P::Stopping { again: false }, E::Emptied) => (P::Stopped, Do::Nothing),
            (P::Stopping { again: true }, E::Emptied) => {
                (P::Starting { respawn: false }, Do::Spawn)
            }
            (phase, _) => (phase, Do::Nothing),
        }
    }

    /// An operation that waits for a start has its answer in this phase.
    pub fn settled(self) -> bool {
        matches!(
            self,
            Phase::Stopped | Phase::Running { .. } | Phase::Crashed
        )
    }
}

#[cfg(test)]
mod tests;
