//! Where a unit's file can lie: the folders that systemd searches, in its order (systemd.unit(5)).
//! Only for the moment in which systemd itself cannot be asked.

use super::{Caller, bus::runtime_dir};
use crate::manager::Scope;
use std::{collections::BTreeMap, path::PathBuf};

/// The first file of that name on this scope's search path, generated ones included.
pub fn on_disk(scope: Scope, caller: &Caller, unit: &str) -> Option<PathBuf> {
    folders(scope, caller)
        .into_iter()
        .map(|dir| dir.join(unit))
        .find(|path| path.symlink_metadata().is_ok())
}

fn folders(scope: Scope, caller: &Caller) -> Vec<PathBuf> {
    match scope {
        Scope::System => [
            "/etc/systemd/system.control",
            "/run/systemd/system.control",
            "/run/systemd/transient",
            "/run/systemd/generator.early",
            "/etc/systemd/system",
            "/etc/systemd/system.attached",
            "/run/systemd/system",
            "/run/systemd/system.attached",
            "/run/systemd/generator",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
            "/run/systemd/generator.late",
        ]
        .map(PathBuf::from)
        .into(),
        Scope::User => {
            let mut all = Vec::new();
            if let Some(home) = &caller.user_dir {
                let config = home.join(".config/systemd");
                all.extend([config.join("user.control"), config.join("user")]);
                all.push(home.join(".local/share/systemd/user"));
            }
            if let Ok(run) = runtime_dir(caller) {
                let names = [
                    "user.control",
                    "transient",
                    "generator.early",
                    "user",
                    "generator",
                    "generator.late",
                ];
                all.extend(names.map(|name| run.join("systemd").join(name)));
            }
            all.extend(
                [
                    "/etc/xdg/systemd/user",
                    "/etc/systemd/user",
                    "/run/systemd/user",
                    "/usr/local/share/systemd/user",
                    "/usr/share/systemd/user",
                    "/usr/local/lib/systemd/user",
                    "/usr/lib/systemd/user",
                ]
                .map(PathBuf::from),
            );
            all
        }
    }
}

/// The drop-ins of a unit, in the order in which systemd reads them: by name, of two of one name
/// the one from the earlier folder.
pub(super) fn drop_ins(scope: Scope, caller: &Caller, unit: &str) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for dir in folders(scope, caller) {
        let Ok(entries) = std::fs::read_dir(dir.join(format!("{unit}.d"))) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path
                .extension()
                .is_some_and(|extension| extension == "conf")
                && let Some(name) = path.file_name()
            {
                found.entry(name.to_owned()).or_insert(path);
            }
        }
    }
    found.into_values().collect()
}
