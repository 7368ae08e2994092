//! The hub's presence in its home: the lock that makes it the only one, and `hub-instance.json`, which
//! says which boot answers. Each is made anew when somebody has taken it away.

use crate::{
    api::Instance,
    client::{Client, Identity},
    error::{Code, Error, Result},
    home::{
        Home,
        rel::{self, SERVE_LOCK as LOCK},
    },
    os::{files, identity},
};
use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::Path,
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
    lock: File,
    /// It has been said that something is missing.
    said: bool,
}

/// How a look at the home went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The home is this hub's, as it should be.
    Whole,
    /// The same, after something had to be written anew.
    Anew,
    /// It is not there, or another hub's by now.
    Lost,
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
            state: Mutex::new(State { lock, said: false }),
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

    fn is_written(&self) -> bool {
        read(&self.home).is_some_and(|there| there.instance == self.instance.instance)
    }

    /// Looks whether the hub's own marks are in its home, and makes anew what is missing.
    pub(super) fn look(&self) -> Seen {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let locked = is_at(&state.lock, &self.home.at(LOCK));
        let written = self.is_written();
        if locked && written {
            state.said = false;
            return Seen::Whole;
        }
        let root = self.home.root();
        let place = root.display();
        let wiped = !written && !locked;
        // Only the folder itself: where all that was above it is gone too, it is not ours to make.
        let _ = std::fs::create_dir(root);
        let done = self.anew(&mut state, locked, written);
        let other = matches!(&done, Err(error) if error.code == Code::TimedOut);
        if other && written {
            // Nobody else would leave our file there: a file system whose numbers change.
            return Seen::Whole;
        }
        if !std::mem::replace(&mut state.said, done.is_err()) {
            match (other, wiped) {
                (true, _) => tracing::error!(home = %place, "another hub serves this home by now"),
                (_, true) => tracing::error!(home = %place,
                    "the home was wiped; the hub keeps serving what it has"),
                _ => tracing::warn!(home = %place, "files of this hub are gone from its home"),
            }
        }
        match done {
            Ok(()) => {
                tracing::warn!(home = %place, "the hub's own files are written anew");
                Seen::Anew
            }
            Err(error) => {
                tracing::debug!("not written anew: {error}");
                Seen::Lost
            }
        }
    }

    fn anew(&self, state: &mut State, locked: bool, written: bool) -> Result<()> {
        // A lock that is held is not taken again: it would be refused for its own sake.
        if !locked {
            state.lock = files::lock(&self.home, LOCK, Duration::ZERO)?;
        }
        match written {
            true => Ok(()),
            false => self.write(),
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

/// Is this open file the one at that place?
fn is_at(file: &File, place: &Path) -> bool {
    let there = std::fs::symlink_metadata(place);
    let held = file.metadata();
    matches!((held, there), (Ok(held), Ok(there)) if
        (held.dev(), held.ino()) == (there.dev(), there.ino()))
}

/// A hub that serves this home and answers, whatever has become of its lock. `ours` is where this
/// hub listens: nobody else answers there.
pub(super) async fn answering(home: &Home, ours: SocketAddr) -> Option<Error> {
    let there = read(home)?;
    let port = there.port?;
    let everywhere = ours.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) || ours.ip().is_unspecified();
    if everywhere && port == ours.port() {
        return None;
    }
    let owner = identity::owner(home.root()).ok()?;
    let look = Client::new(home.clone(), port, vec![owner]).look().await;
    (look.ok()?.identity == Identity::Match).then(|| refused(home, Some(there)))
}

/// The lock could not be had: another hub serves this home.
pub(super) fn taken(home: &Home, error: Error) -> Error {
    match error.code {
        Code::TimedOut => refused(home, read(home)),
        _ => error,
    }
}

fn refused(home: &Home, there: Option<Instance>) -> Error {
    let place = home.root().display();
    let who = match there {
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
