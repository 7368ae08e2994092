//! Units of single modules from before there was a hub: found, and named with what ends them.

use super::{
    detect::{Platform, launchd, platform},
    systemd_caller,
};
use crate::{
    context::Context,
    home::Home,
    manager::{Scope, StaleUnit, systemd},
    modules::registry::{Registry, Row},
};

/// A line for each unit that would start a module of this home beside its hub.
pub(super) async fn notes(cx: &Context, home: &Home) -> Vec<String> {
    let Ok(platform) = platform(cx) else {
        return Vec::new();
    };
    if platform == Platform::None {
        return Vec::new();
    }
    let rows = Registry::read(home).map(|registry| registry.rows);
    let rows = rows.unwrap_or_default();
    let shorts: Vec<&str> = rows.iter().map(Row::short).collect();
    let found = match platform {
        Platform::None => Vec::new(),
        Platform::Systemd => systemd::stale_units(&systemd_caller(cx), &shorts).await,
        Platform::Launchd => {
            let mut found = Vec::new();
            for scope in [Scope::System, Scope::User] {
                if let Some(launchd) = launchd(cx, scope) {
                    found.extend(launchd.stale_units(&shorts).await);
                }
            }
            found
        }
    };
    found.iter().map(note).collect()
}

fn note(unit: &StaleUnit) -> String {
    let what = if unit.running {
        "runs"
    } else {
        "starts at boot"
    };
    format!(
        "{} {what} and would bring {} back on its port: `{}` ends it",
        unit.name, unit.short, unit.command
    )
}
