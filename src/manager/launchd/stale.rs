//! Agents and daemons of single modules from before hubs supervised them: their KeepAlive
//! resurrects a module on its port. Finds them and says what ends them; ends none.

use super::{Launchd, answer::fault, bounded, ctl::within, disabled, domain::Domain, file, plist};
use crate::manager::{Scope, StaleUnit};
use std::path::Path;

impl Launchd {
    /// The stale jobs of these modules in this place. Asks launchd only about property lists that
    /// are there; where it cannot be asked they are judged alone. Never an error.
    pub async fn stale_units<S: AsRef<str>>(&self, shorts: &[S]) -> Vec<StaleUnit> {
        let mut found = Vec::new();
        let names = shorts.iter().map(AsRef::as_ref);
        for short in names.filter(|short| *short != "hub" && !short.contains('/')) {
            let name = format!("computer.parachute.{short}");
            let path = self.place().folder().join(format!("{name}.plist"));
            if path.symlink_metadata().is_err() {
                continue;
            }
            let loaded = self.loaded_in(&name).await;
            let enabled = self.starts_by_itself(&name, &path).await;
            if loaded.is_none() && !enabled {
                continue;
            }
            let domain = loaded.or(self.place().domains().first().copied());
            let target = domain.map_or(name.clone(), |domain| domain.target_of(&name));
            let sudo = match (self.place().scope, self.caller) {
                (Scope::System, 1..) => "sudo ",
                _ => "",
            };
            let mut command = format!("{sudo}launchctl disable {target}");
            if loaded.is_some() {
                command.push_str(&format!("; {sudo}launchctl bootout {target}"));
            }
            found.push(StaleUnit {
                command,
                short: short.to_owned(),
                scope: self.place().scope,
                path: Some(path),
                running: loaded.is_some(),
                enabled,
                name,
            });
        }
        found
    }

    async fn loaded_in(&self, label: &str) -> Option<Domain> {
        let until = within(self.patience.look);
        for domain in self.place().domains() {
            let call = ["print", &domain.target_of(label)];
            if let Ok(answer) = self.ctl.run(&call, until).await
                && fault(&answer).is_none()
            {
                return Some(domain);
            }
        }
        None
    }

    async fn starts_by_itself(&self, label: &str, path: &Path) -> bool {
        let read = file::open(path).ok().flatten();
        let value = read.and_then(|(bytes, _)| bounded::read(&bytes).ok());
        let Some(dict) = value.as_ref().and_then(::plist::Value::as_dictionary) else {
            return false;
        };
        let until = within(self.patience.look);
        let mut off = None;
        for domain in self.place().domains() {
            let call = ["print-disabled", &domain.to_string()];
            if let Ok(answer) = self.ctl.run(&call, until).await
                && fault(&answer).is_none()
            {
                off = disabled::parse(&answer.out, label);
                break;
            }
        }
        plist::is_automatic(dict) && !off.unwrap_or(plist::is_disabled(dict))
    }
}
