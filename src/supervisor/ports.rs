//! Notices that a port is listened on: one read of the kernel's table for all modules that wait,
//! tight at first, further apart the longer they wait, never while nobody does.

use crate::os::port::Listeners;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, oneshot};

struct Waiter {
    since: Instant,
    sender: oneshot::Sender<Arc<Listeners>>,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Ports {
    waiting: Mutex<HashMap<u16, Vec<Waiter>>>,
    more: Notify,
}

/// How long to wait between two looks for somebody who has waited this long.
fn pace(waited: Duration) -> Duration {
    Duration::from_millis(match waited.as_secs() {
        0..5 => 4,
        5..65 => 100,
        _ => 1000,
    })
}

impl Ports {
    /// Begins to watch; ends with the runtime.
    pub(super) fn begin() -> Arc<Self> {
        let ports = Arc::new(Self::default());
        let watching = ports.clone();
        tokio::spawn(async move { watching.watch().await });
        ports
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u16, Vec<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when somebody listens on the port, with the table in which that was seen. `since`
    /// is when the whole wait began.
    pub(super) async fn bound(&self, port: u16, since: Instant) -> Arc<Listeners> {
        loop {
            let (sender, receiver) = oneshot::channel();
            self.waiting()
                .entry(port)
                .or_default()
                .push(Waiter { since, sender });
            self.more.notify_one();
            if let Ok(listeners) = receiver.await {
                return listeners;
            }
        }
    }

    async fn watch(&self) {
        loop {
            let before = Instant::now();
            let Some(pace) = self.look(before) else {
                self.more.notified().await;
                continue;
            };
            // At most a twentieth of the time goes into looking, however slow that is here.
            let pause = pace.max(before.elapsed() * 20);
            if pace > Duration::from_millis(4) {
                let _ = tokio::time::timeout(pause, self.more.notified()).await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Looks once; says when to look again, `None` when nobody waits.
    fn look(&self, now: Instant) -> Option<Duration> {
        let mut waiting = self.waiting();
        waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.sender.is_closed());
            !waiters.is_empty()
        });
        if waiting.is_empty() {
            return None;
        }
        match Listeners::read() {
            Ok(listeners) => {
                let listeners = Arc::new(listeners);
                for port in listeners.all.iter().map(|listener| listener.port) {
                    for waiter in waiting.remove(&port).into_iter().flatten() {
                        let _ = waiter.sender.send(listeners.clone());
                    }
                }
            }
            Err(error) => tracing::error!(%error, "cannot read who listens"),
        }
        waiting
            .values()
            .flatten()
            .map(|waiter| pace(now.saturating_duration_since(waiter.since)))
            .min()
    }
}
