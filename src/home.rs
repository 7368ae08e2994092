//! Every path under a home, named once (contract, section 1). Knows names, never contents.

use std::path::{Path, PathBuf};

/// A box's folder, `~/.parachute` unless told otherwise. Always absolute.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Home(PathBuf);

impl Home {
    /// The home at an absolute path; it need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// A path relative to the home, made absolute.
    pub fn at(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.0.join(relative)
    }

    /// The module registry. The one file of the home that may be a link out of it.
    pub fn registry(&self) -> PathBuf {
        self.0.join(rel::REGISTRY)
    }
}

/// Paths relative to the home; opened with [`crate::os::files`], which follows no link out.
pub mod rel {
    use std::path::PathBuf;

    /// The module registry.
    pub const REGISTRY: &str = "services.json";
    /// The registry's lock.
    pub const REGISTRY_LOCK: &str = "services.json.lock";
    /// The operator's token.
    pub const TOKEN: &str = "operator.token";
    /// A token that was not of this hub's keys.
    pub const TOKEN_OLD: &str = "operator.token.old";
    /// The serving hub's per-boot nonce.
    pub const HUB_INSTANCE: &str = "hub-instance.json";
    /// The origin given with `--hub-origin`.
    pub const HUB_ORIGIN: &str = "hub/origin";
    /// The detached hub's pid.
    pub const HUB_PID: &str = "hub/run/hub.pid";
    /// The detached hub's port.
    pub const HUB_PORT: &str = "hub/run/hub.port";
    /// Held by a hub of ours for its life: one hub a home.
    pub const SERVE_LOCK: &str = "hub/run/serve.lock";
    /// The hub's own output.
    pub const HUB_LOG: &str = "hub/logs/hub.log";
    /// Our signing keys.
    pub const HUB_KEYS: &str = "hub/keys";
    /// How the box is exposed; other programs write it.
    pub const EXPOSE_STATE: &str = "expose-state.json";
    /// The home's own files: no module's folder can have such a name.
    pub const OWN_FILES: &[&str] = &[
        REGISTRY,
        REGISTRY_LOCK,
        TOKEN,
        TOKEN_OLD,
        HUB_INSTANCE,
        EXPOSE_STATE,
    ];

    /// A detached module's pidfile.
    pub fn pidfile(short: &str) -> PathBuf {
        [short, "run", &format!("{short}.pid")].iter().collect()
    }

    /// The lock that operations on a detached module take turns by.
    pub fn turn(short: &str) -> PathBuf {
        [short, "run", &format!("{short}.lock")].iter().collect()
    }

    /// There when a detached module was stopped on request; it is not failing then.
    pub fn stopped(short: &str) -> PathBuf {
        [short, "run", &format!("{short}.stopped")].iter().collect()
    }

    /// A module's log.
    pub fn log(short: &str) -> PathBuf {
        [short, "logs", &format!("{short}.log")].iter().collect()
    }

    /// A module's own environment.
    pub fn dotenv(short: &str) -> PathBuf {
        [short, ".env"].iter().collect()
    }

    /// The manifest that `add` writes for a command.
    pub fn manifest(short: &str) -> PathBuf {
        [short, ".parachute", "module.json"].iter().collect()
    }
}
