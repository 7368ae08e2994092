//! Ends what has left its module's session: nobody else would, and it would hold the module's port.

use super::Shared;
use crate::os::{group, pidfile::Record};
use std::time::Duration;
use tokio::task::JoinSet;

impl Shared {
    /// Ends what has left the sessions of these spawns and still carries their ids.
    pub(super) async fn end_strays(&self, records: Vec<Record>, grace: Duration) {
        let now = self.snapshots.fresh().await;
        let strays = group::strays(&records, &self.groups.all(), self.owner, &now);
        let mut ending = JoinSet::new();
        for stray in strays {
            tracing::info!(
                pid = stray.leader,
                "it has left its module's session, and is ended with it"
            );
            ending.spawn(async move {
                if let Err(error) = group::stop(stray, grace).await {
                    tracing::error!(%error, "cannot end what has left its module's session");
                }
            });
        }
        while ending.join_next().await.is_some() {}
    }
}
