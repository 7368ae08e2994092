//! The hub's presence in its home: the lock that makes it the only one, and `hub-instance.json`, which
//! says which boot answers. Both are made anew when somebody has wiped the home.

use crate::{
    api::Instance,
    error::{Code, Error, Result},
    home::{
        Home,
        rel::{self, SERVE_LOCK as LOCK},
    },
    os::files,
};
use std::{
    fs::File,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// See the head of this file.
pub(super) struct Presence {
    home: Home,
    instance: Instance,
    state: Mutex<State>,
}

struct State {
    _lock: File,
    gone: bool,
}

impl Presence {
    /// Writes `hub-instance.json` of this boot.
    pub(super) fn begin(home: Home, port: u16, lock: File) -> Result<Self> {
        let presence = Self {
            home,
            instance: Instance {
                instance: uuid::Uuid::new_v4().simple().to_string(),
                pid: Some(std::process::id()),
                port: Some(port),
            },
            state: Mutex::new(State {
                _lock: lock,
                gone: false,
            }),
        };
        presence.write()?;
        Ok(presence)
    }

    /// The nonce of this boot.
    pub(super) fn nonce(&self) -> &str {
        &self.instance.instance
    }

    fn write(&self) -> Result<()> {
        let mut text = serde_json::to_vec(&self.instance).unwrap_or_default();
        text.push(b'\n');
        files::replace(&self.home, rel::HUB_INSTANCE, 0o644, &text)
    }

    /// Looks whether the home is still there; true when it has just been made anew.
    pub(super) fn look(&self) -> bool {
        if std::fs::symlink_metadata(self.home.at(rel::HUB_INSTANCE)).is_ok() {
            return false;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.home.root();
        if !state.gone {
            state.gone = true;
            tracing::error!(home = %root.display(),
                "the home was wiped; the hub keeps serving what it has");
        }
        // Only the folder itself: where all that was above it is gone too, it is not ours to make.
        let _ = std::fs::create_dir(root);
        let again = files::lock(&self.home, LOCK, Duration::ZERO)
            .and_then(|lock| self.write().map(|()| lock));
        match again {
            Ok(lock) => {
                *state = State {
                    _lock: lock,
                    gone: false,
                };
                tracing::warn!(home = %root.display(), "the hub's own files are written anew");
                true
            }
            Err(error) => {
                tracing::debug!("not written anew: {error}");
                false
            }
        }
    }

    /// Removes `hub-instance.json`, when it is still of this boot.
    pub(super) fn leave(&self) {
        if read(&self.home).is_some_and(|there| there.instance == self.instance.instance) {
            let _ = files::remove(&self.home, rel::HUB_INSTANCE);
        }
    }
}

fn read(home: &Home) -> Option<Instance> {
    let bytes = files::read_start(home, rel::HUB_INSTANCE, 4096).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// The lock could not be had: another hub serves this home.
pub(super) fn taken(home: &Home, error: Error) -> Error {
    if error.code != Code::TimedOut {
        return error;
    }
    let place = home.root().display();
    let who = match read(home) {
        Some(Instance {
            pid: Some(pid),
            port: Some(port),
            ..
        }) => format!("pid {pid}, on port {port}, serves {place}"),
        _ => format!("another hub serves {place}"),
    };
    Error::new(Code::Refused, format!("{who} already"))
        .hint("see `parachute status`; nothing was touched")
}
