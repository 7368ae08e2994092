//! The one place that waits for children: every zombie that the kernel hands to this process is
//! reaped at once, and the exit of a child that somebody expects is told to them. As subreaper, or as
//! PID 1, that includes orphans. Never blocks.

use rustix::process::{WaitOptions, WaitStatus, wait};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// Its exit code, 128+n for a death by signal n.
    pub(super) code: i32,
    /// When we saw it.
    pub(super) at: Instant,
}

type Expected = HashMap<u32, watch::Sender<Option<Exit>>>;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    expected: Mutex<Expected>,
    strays: Notify,
}

impl Reaper {
    /// Begins to reap; everything that this process spawns from now on is waited for here.
    pub(super) fn begin() -> io::Result<Arc<Self>> {
        let reaper = Arc::new(Self::default());
        let mut children = signal(SignalKind::child())?;
        let reaping = reaper.clone();
        tokio::spawn(async move {
            loop {
                reaping.reap();
                if children.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(reaper)
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exit of a child, `None` until then. To be called before anything is awaited after the
    /// spawn, or the exit may go by.
    pub(super) fn expect(&self, pid: u32) -> watch::Receiver<Option<Exit>> {
        let (sender, receiver) = watch::channel(None);
        self.expected().insert(pid, sender);
        receiver
    }

    /// Returns when an orphan has been reaped.
    pub(super) async fn stray(&self) {
        self.strays.notified().await;
    }

    fn reap(&self) {
        let mut strays = false;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_pid().unsigned_abs();
            let exit = Exit {
                code: code(status),
                at: Instant::now(),
            };
            match self.expected().remove(&pid) {
                Some(waiting) => {
                    waiting.send_replace(Some(exit));
                }
                None => strays = true,
            }
        }
        if strays {
            self.strays.notify_waiters();
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

/// Waits for the exit; for ever when there is none to expect.
pub(super) async fn exited(child: &mut Option<watch::Receiver<Option<Exit>>>) -> Exit {
    if let Some(child) = child
        && let Ok(exit) = child.wait_for(Option::is_some).await
        && let Some(exit) = *exit
    {
        return exit;
    }
    std::future::pending().await
}
