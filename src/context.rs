//! What surrounds one run: environment, user, folders, terminal. The only reader of the
//! environment; everything else gets what it needs from here.

use crate::{home::Home, os::identity};
use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf, sync::Arc};

/// The user who called `sudo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoker {
    /// Numeric id, from `SUDO_UID`.
    pub uid: u32,
    /// Their `~/.parachute`.
    pub home: Home,
}

/// Whom the rest of the program tells what it waits for and what is odd; `output` decides what
/// becomes of it.
pub trait Teller: Send + Sync {
    /// What is being waited for, or that the wait is over.
    fn waiting(&self, what: Option<&str>);
    /// What is about to be done.
    fn say(&self, what: &str);
    /// Something odd that does not stop the verb.
    fn warn(&self, what: &str);
}

/// Everything about this run that is not on its command line.
#[derive(Clone)]
pub struct Context {
    /// `--home` or a non-empty `PARACHUTE_HOME`.
    pub explicit: Option<Home>,
    /// `~/.parachute` of the user we are; `None` where there is no home directory.
    pub own: Option<Home>,
    /// The user behind sudo, when we are root through it.
    pub invoker: Option<Invoker>,
    /// Our effective uid.
    pub uid: u32,
    /// The user's own folder.
    pub user_dir: Option<PathBuf>,
    /// Our environment as we found it.
    pub env: BTreeMap<OsString, OsString>,
    /// The command line as we found it, without the program.
    pub args: Vec<OsString>,
    /// This program.
    pub exe: PathBuf,
    /// `PARACHUTE_MANAGER`: which manager to look for.
    pub manager: ManagerChoice,
    /// Whom to tell about progress.
    pub tell: Arc<dyn Teller>,
}

/// `PARACHUTE_MANAGER`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ManagerChoice {
    /// The platform's.
    #[default]
    Auto,
    /// systemd.
    Systemd,
    /// launchd.
    Launchd,
    /// None: a detached box.
    None,
    /// A word that is none of these.
    Other(String),
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("explicit", &self.explicit)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

/// The variable by which a shell asks for completions; its value is the shell's name.
pub const COMPLETING: &str = "PARACHUTE_COMPLETE";

impl Context {
    /// The shell that asks for completions, where one does.
    pub fn completing() -> Option<String> {
        let shell = std::env::var_os(COMPLETING).filter(|shell| !shell.is_empty())?;
        Some(shell.to_string_lossy().into_owned())
    }

    /// Reads the environment. `home` is the value of `--home`.
    pub fn read(home: Option<PathBuf>, tell: Arc<dyn Teller>) -> Self {
        let env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let text = |name: &str| env.get(&OsString::from(name)).filter(|v| !v.is_empty());
        let uid = identity::euid();
        let user_dir = dirs::home_dir().filter(|d| d.is_absolute());
        let invoker = (uid == 0)
            .then(|| text("SUDO_UID")?.to_str()?.parse::<u32>().ok())
            .flatten()
            .filter(|&sudo| sudo != 0)
            .and_then(identity::user)
            .map(|user| Invoker {
                uid: user.uid,
                home: Home::new(user.dir.join(".parachute")),
            });
        let manager = match text("PARACHUTE_MANAGER").map(|v| v.to_string_lossy()) {
            None => ManagerChoice::Auto,
            Some(word) => match &*word {
                "systemd" => ManagerChoice::Systemd,
                "launchd" => ManagerChoice::Launchd,
                "none" => ManagerChoice::None,
                other => ManagerChoice::Other(other.to_owned()),
            },
        };
        Self {
            explicit: home
                .or_else(|| text("PARACHUTE_HOME").map(PathBuf::from))
                .map(|path| Home::new(std::path::absolute(&path).unwrap_or(path))),
            own: user_dir
                .as_ref()
                .map(|dir| Home::new(dir.join(".parachute"))),
            invoker,
            uid,
            user_dir,
            args: std::env::args_os().skip(1).collect(),
            exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("parachute")),
            manager,
            tell,
            env,
        }
    }

    /// A variable of our environment; empty counts as absent.
    pub fn var(&self, name: &str) -> Option<&OsString> {
        self.env
            .get(&OsString::from(name))
            .filter(|value| !value.is_empty())
    }
}
