//! What verbs would do, in order, without doing it.

use super::Managed;
use crate::{error::Result, lifecycle::Targets};

impl Managed {
    /// What `start` would do, in order.
    pub async fn plan_start(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        let mut plan = Vec::new();
        let up = self.own_health().await.is_ok();
        if targets.hub() || !up {
            let would = if up {
                "leave the hub running".to_owned()
            } else {
                format!("have {} start the hub", self.manager.name())
            };
            plan.push(("hub".to_owned(), Ok(would)));
        }
        plan.extend(self.plan_each(targets, "start"));
        Ok(plan)
    }

    /// What `stop` would do, in order.
    pub async fn plan_stop(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        if targets.hub() {
            let with = self.module_names().join(", ");
            let with = if with.is_empty() {
                with
            } else {
                format!(", and with it {with}")
            };
            let would = format!("have {} stop the hub{with}", self.manager.name());
            return Ok(vec![("hub".to_owned(), Ok(would))]);
        }
        Ok(self.plan_each(targets, "stop"))
    }

    /// What `restart` would do, in order.
    pub async fn plan_restart(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        if targets.hub() {
            let would = format!("have {} restart the hub", self.manager.name());
            return Ok(vec![("hub".to_owned(), Ok(would))]);
        }
        let mut plan = Vec::new();
        if self.own_health().await.is_err() {
            let would = format!("have {} start the hub", self.manager.name());
            plan.push(("hub".to_owned(), Ok(would)));
        }
        plan.extend(self.plan_each(targets, "restart"));
        Ok(plan)
    }

    fn plan_each(&self, targets: &Targets, verb: &str) -> Vec<(String, Result<String>)> {
        let named = |(name, short): (String, Result<String>)| {
            (
                name,
                short.map(|short| format!("ask the hub to {verb} {short}")),
            )
        };
        self.shorts(targets).into_iter().map(named).collect()
    }
}
