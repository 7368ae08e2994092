//! A detached hub for a box that had none: its modules are handed over to it, or left as they are.

use super::{
    Change, Targets,
    detached::Detached,
    managed::Managed,
    site::{Lifecycle, Site, Start},
};
use crate::error::{Code, Error, Result};

impl Site {
    /// A detached hub: from then on the box is managed by its pidfile. Modules that run without it
    /// are never driven beside it; where it cannot start, they run on.
    pub(super) async fn start_hub(&mut self, targets: &Targets, how: Start) -> Result<Vec<Change>> {
        let Lifecycle::Detached(way) = &self.way else {
            return Ok(Vec::new());
        };
        let running = adoptable(way, how)?;
        let hub = way.hub().clone();
        let mut managed = self.under_hub(way);
        if let Some(bound) = how.bound {
            managed.bound(bound);
        }
        if !running.is_empty() {
            managed.vacant().await?;
            self.tell.say(&format!(
                "stopping {}, to start again under the hub",
                running.join(", ")
            ));
        }
        // Records of what died without a hub go too: the hub's word on modules counts from now on.
        let mut stopped = way.stop_quietly().await?;
        if stopped.iter().any(|change| change.what.is_err()) {
            let down = |name: &String| {
                let gone = |c: &Change| c.who == *name && c.what.is_ok();
                stopped.iter().any(gone)
            };
            let down = running.into_iter().filter(down).collect();
            let failed = self.run_on(way, down).await;
            stopped.extend(failed);
            return Ok(stopped);
        }
        let mut changes = managed.start(targets).await;
        let failed = |change: &Change| change.who == "hub" && change.what.is_err();
        let failed = changes.as_ref().map_or(true, |all| all.iter().any(failed));
        // A hub that is only late starts them itself.
        if failed && !hub.runs().unwrap_or(true) {
            let still = self.run_on(way, running).await;
            if let Ok(changes) = &mut changes {
                changes.extend(still);
            }
            return changes;
        }
        self.way = Lifecycle::Managed(Box::new(managed));
        changes
    }

    /// Starts again what was stopped for a hub that did not come; gives what would not start.
    async fn run_on(&self, way: &Detached, names: Vec<String>) -> Vec<Change> {
        if names.is_empty() {
            return Vec::new();
        }
        self.tell.say(&format!(
            "starting {} again, without a hub",
            names.join(", ")
        ));
        let again = way.start(&Targets::Named(names.clone())).await;
        let all = again.unwrap_or_else(|error| {
            let failed = |name| Change::failed(name, error.clone());
            names.into_iter().map(failed).collect()
        });
        all.into_iter().filter(|c| c.what.is_err()).collect()
    }

    /// The box as it is once a detached hub runs.
    pub(super) fn under_hub(&self, way: &Detached) -> Managed {
        let hub = way.hub().clone();
        let port = hub.port;
        Managed::new(&self.cx, &self.home, self.owner, Box::new(hub), port)
    }
}

/// The modules that run without a hub, to be restarted under one; refused unless that is meant.
pub(super) fn adoptable(way: &Detached, how: Start) -> Result<Vec<String>> {
    let running = way.running()?;
    if running.is_empty() || how.adopt {
        return Ok(running);
    }
    Err(Error::new(
        Code::Refused,
        format!("modules run here without a hub: {}", running.join(", ")),
    )
    .hint("`parachute start hub --adopt` restarts them under it; `parachute stop` ends them"))
}
