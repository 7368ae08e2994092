//! Where a job of launchd's can live: the domains of a user or of the machine, in the order in
//! which they are tried, and the folder that its property list lies in. Pure but for paths.

use super::LABEL;
use crate::manager::Scope;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A domain of launchd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// The machine's.
    System,
    /// A user's graphical session; absent over ssh.
    Gui(u32),
    /// A user's, whether logged in at the screen or not.
    User(u32),
}

impl Domain {
    /// `gui/501/computer.parachute.hub`.
    pub fn target(self) -> String {
        format!("{self}/{LABEL}")
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Gui(uid) => write!(f, "gui/{uid}"),
            Self::User(uid) => write!(f, "user/{uid}"),
        }
    }
}

/// Whose hub: its scope, its user and where its property list lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The machine's or one user's.
    pub scope: Scope,
    /// The user; 0 for the machine's.
    pub uid: u32,
    /// The user's own folder, for a home that the property list does not name.
    pub user_dir: Option<PathBuf>,
    folder: PathBuf,
}

impl Place {
    /// A user's agents, in `Library/LaunchAgents` of their folder.
    pub fn user(uid: u32, dir: &Path) -> Self {
        Self {
            scope: Scope::User,
            uid,
            user_dir: Some(dir.to_owned()),
            folder: dir.join("Library/LaunchAgents"),
        }
    }

    /// The machine's daemons, in `Library/LaunchDaemons` of `root`, which is `/` outside tests.
    pub fn system(root: &Path) -> Self {
        Self {
            scope: Scope::System,
            uid: 0,
            user_dir: None,
            folder: root.join("Library/LaunchDaemons"),
        }
    }

    /// Where launchd looks at boot or login.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hub's property list.
    pub fn plist(&self) -> PathBuf {
        self.folder.join(format!("{LABEL}.plist"))
    }

    /// The domains it may be in, the preferred one first: without a graphical session there is no
    /// `gui` domain, and `user` is the one to use.
    pub fn domains(&self) -> Vec<Domain> {
        match self.scope {
            Scope::System => vec![Domain::System],
            Scope::User => vec![Domain::Gui(self.uid), Domain::User(self.uid)],
        }
    }
}
