//! Hubs that were here first: on the port, or as a unit of another home or make. Looks, and gives
//! a reason in words; changes nothing.

use super::HOME;
use crate::{
    home::Home,
    manager::{Installed, UnitState, systemd::UNIT},
    os::port::{Holder, Listeners, holder},
};
use std::path::{Path, PathBuf};

/// Lower uids are not people's.
const PEOPLE: u32 = 1000;

/// Is this file where packages put units.
pub(super) fn packaged(path: &Path) -> bool {
    ["/usr/lib/systemd/system", "/lib/systemd/system"]
        .iter()
        .any(|dir| path.starts_with(dir))
}

/// Why the unit of this package is not to be started on a machine that runs.
pub(super) fn in_the_way(unit: &Installed) -> Option<String> {
    if unit.state == UnitState::Masked {
        return Some(format!("{UNIT} is masked"));
    }
    if let Some(path) = unit.path.as_deref().filter(|path| !packaged(path)) {
        let path = path.display();
        if !unit.ours {
            return Some(format!("{path} is the unit of a hub of other make"));
        }
        if let Some(home) = unit.home.as_ref().filter(|home| **home != Home::new(HOME)) {
            let home = home.root().display();
            return Some(format!("{path} is the unit of a hub with the box {home}"));
        }
    }
    if let Some(path) = of_a_user(Path::new("/")) {
        return Some(format!("{} is a user's hub unit", path.display()));
    }
    match unit.state {
        UnitState::Running { .. } | UnitState::Starting => None,
        _ => on_port(unit.port),
    }
}

/// The same, going by files, where there is nobody to be asked.
pub(super) fn on_disk(root: &Path) -> Option<String> {
    let path = root.join("etc/systemd/system").join(UNIT);
    match std::fs::read_link(&path) {
        Ok(to) if to == Path::new("/dev/null") => return Some(format!("{UNIT} is masked")),
        _ => {}
    }
    if path.symlink_metadata().is_ok() {
        return Some(format!("{} is there already", path.display()));
    }
    of_a_user(root).map(|path| format!("{} is a user's hub unit", path.display()))
}

/// A person's own unit of that name, written by whatever hub.
fn of_a_user(root: &Path) -> Option<PathBuf> {
    let users = std::fs::read_to_string(root.join("etc/passwd")).ok()?;
    users
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let uid: u32 = fields.get(2)?.parse().ok()?;
            let dir = fields.get(5)?.strip_prefix('/')?;
            (uid >= PEOPLE || uid == 0).then(|| root.join(dir))
        })
        .map(|dir| dir.join(".config/systemd/user").join(UNIT))
        .find(|path| path.symlink_metadata().is_ok())
}

fn on_port(port: u16) -> Option<String> {
    let listeners = Listeners::read().ok()?;
    let who = match holder(port, &listeners) {
        Holder::Nobody => return None,
        Holder::Process { pid } => match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim_end()),
            Err(_) => format!("process {pid}"),
        },
        Holder::Hidden { uid } => format!("a process of uid {uid}"),
    };
    Some(format!("{who} listens on port {port}"))
}
