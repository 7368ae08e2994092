//! Units of single modules from before hubs supervised them: their restart policy resurrects a
//! module on its port. Finds them and says what ends them; ends none.

use super::{Caller, Systemd, booted, disk::on_disk};
use crate::manager::{Scope, StaleUnit};

/// The stale units of these modules in both scopes. Asks systemd only about files that are there;
/// a scope that cannot be asked is judged by them alone. Never an error.
pub async fn stale_units<S: AsRef<str>>(caller: &Caller, shorts: &[S]) -> Vec<StaleUnit> {
    let mut found = Vec::new();
    if !booted() {
        return found;
    }
    for scope in [Scope::System, Scope::User] {
        let manager = Systemd::new(scope, caller);
        for short in shorts
            .iter()
            .map(AsRef::as_ref)
            .filter(|short| *short != "hub")
        {
            let name = format!("parachute-{short}.service");
            let Some(path) = on_disk(scope, caller, &name) else {
                continue;
            };
            let facts = manager.facts(&name).await.ok();
            let running = (facts.as_ref())
                .is_some_and(|facts| !["inactive", "failed"].contains(&&*facts.active));
            let enabled = facts.as_ref().and_then(|facts| facts.enabled());
            // Masked, or neither running nor ever started by itself: it resurrects nothing.
            if facts.is_some() && !running && enabled != Some(true) {
                continue;
            }
            found.push(StaleUnit {
                command: match (scope, caller.uid) {
                    (Scope::User, _) => format!("systemctl --user disable --now {name}"),
                    (Scope::System, 0) => format!("systemctl disable --now {name}"),
                    (Scope::System, _) => format!("sudo systemctl disable --now {name}"),
                },
                path: Some(path),
                short: short.to_owned(),
                name,
                scope,
                running,
                enabled: enabled == Some(true),
            });
        }
    }
    found
}
