//! Units of single modules from before there was a hub: found, and named with what ends them.

use super::systemd_caller;
use crate::{
    context::{Context, ManagerChoice},
    home::Home,
    manager::systemd,
    modules::registry::{Registry, Row},
};

/// A line for each unit that would start a module of this home beside its hub.
pub(super) async fn notes(cx: &Context, home: &Home) -> Vec<String> {
    if !matches!(cx.manager, ManagerChoice::Auto | ManagerChoice::Systemd) {
        return Vec::new();
    }
    let rows = Registry::read(home).map(|registry| registry.rows);
    let rows = rows.unwrap_or_default();
    let shorts: Vec<&str> = rows.iter().map(Row::short).collect();
    let found = systemd::stale_units(&systemd_caller(cx), &shorts).await;
    let note = |unit: &systemd::StaleUnit| {
        let what = if unit.running {
            "runs"
        } else {
            "starts at boot"
        };
        format!(
            "{} {what} and would bring {} back on its port: `{}` ends it",
            unit.name, unit.short, unit.command
        )
    };
    found.iter().map(note).collect()
}
