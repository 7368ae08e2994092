//! Looks at the process table for many at once: all who ask in one turn of the runtime share one
//! walk, which begins after the last of them has asked.

use crate::os::process::Snapshot;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    waiting: Arc<Mutex<Vec<oneshot::Sender<Arc<Snapshot>>>>>,
}

impl Snapshots {
    /// The process table at a moment after this call; empty when it cannot be read.
    pub(super) async fn fresh(&self) -> Arc<Snapshot> {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(sender);
            waiting.len() == 1
        };
        if first {
            let shared = self.clone();
            // A task of its own: whoever asked first may be gone before the others.
            tokio::spawn(async move { shared.answer() });
        }
        receiver.await.unwrap_or_default()
    }

    fn answer(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let now = match Snapshot::take() {
            Ok(now) => Arc::new(now),
            Err(error) => {
                tracing::error!(%error, "cannot read the process table");
                Arc::default()
            }
        };
        for sender in waiting {
            let _ = sender.send(now.clone());
        }
    }
}
