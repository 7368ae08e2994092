//! Where a job of launchd's can live: the domains of a user or of the machine, in the order in
//! which they are tried, and the folder that its property list lies in. Pure but for paths.

use super::LABEL;
use crate::{
    home::{Home, rel},
    manager::Scope,
};
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
        self.target_of(LABEL)
    }

    /// The same of any label.
    pub fn target_of(self, label: &str) -> String {
        format!("{self}/{label}")
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
    root: PathBuf,
    folder: PathBuf,
}

impl Place {
    /// A user's agents, in `Library/LaunchAgents` of their folder.
    pub fn user(uid: u32, dir: &Path) -> Self {
        Self {
            scope: Scope::User,
            uid,
            user_dir: Some(dir.to_owned()),
            root: PathBuf::from("/"),
            folder: dir.join("Library/LaunchAgents"),
        }
    }

    /// The machine's daemons, in `Library/LaunchDaemons` of `root`, which is `/` outside tests.
    pub fn system(root: &Path) -> Self {
        Self {
            scope: Scope::System,
            uid: 0,
            user_dir: None,
            root: root.to_owned(),
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

    /// Where launchd is to append the hub's output. A user's is in the home. The machine's is not:
    /// root opens it there, and whoever owns the home could put a link in its place.
    pub fn log(&self, home: &Home) -> PathBuf {
        match self.scope {
            Scope::User => home.at(rel::HUB_LOG),
            Scope::System => self.root.join("Library/Logs/parachute-hub.log"),
        }
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
