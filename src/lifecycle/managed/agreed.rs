//! The hub's word and the modules' own health are two answers, of two moments: a module that has
//! just begun to listen, or just ended, would be called failing. Where they differ so, both are asked
//! for once more, and what they say then counts.

use super::Managed;
use crate::{
    api::{ModuleList, ModuleStatus},
    client::{Client, PROBE_BOUND, Probe, probe_all, state_of},
    modules::registry::Registry,
};

impl Managed {
    /// The list and the probes, one a row, as they are after a second look where that is needed.
    pub(super) async fn agreed(
        &self,
        client: &Client,
        registry: &Registry,
        list: Option<ModuleList>,
        mut probes: Vec<Probe>,
    ) -> (Option<ModuleList>, Vec<Probe>) {
        let Some(first) = list else {
            return (None, probes);
        };
        let rows = registry.rows.iter().enumerate();
        let odd: Vec<usize> = rows
            .filter(|(at, row)| {
                let state = state_of(&first, registry.process_of(row).short());
                let runs = state.is_some_and(|state| {
                    state.status == ModuleStatus::Running && state.start_error.is_none()
                });
                runs && probes.get(*at) == Some(&Probe::Refused)
            })
            .map(|(at, _)| at)
            .collect();
        if odd.is_empty() {
            return (Some(first), probes);
        }
        let asked = odd
            .iter()
            .filter_map(|&at| registry.rows.get(at))
            .map(|row| (row.port, row.health.clone()))
            .collect();
        for (at, probe) in odd.into_iter().zip(probe_all(asked, PROBE_BOUND).await) {
            if let Some(before) = probes.get_mut(at) {
                *before = probe;
            }
        }
        // After the probes: one that ended meanwhile is known to have ended.
        (Some(client.modules().await.unwrap_or(first)), probes)
    }
}
