//! What keeps the hub alive: one trait, one file a manager. A manager starts, stops, restarts and
//! looks; it never signals the hub behind its manager's back and knows nothing of modules.

pub mod external;
pub mod launchd;
pub mod pidfile;
pub mod systemd;

use crate::{
    api::Time,
    error::{Code, Error, Result},
    home::Home,
};
use async_trait::async_trait;
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// Whose units: the machine's or one user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The machine's.
    System,
    /// One user's.
    User,
}

/// A unit to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The absolute binary; run with `serve`.
    pub binary: PathBuf,
    /// The hub's home.
    pub home: Home,
    /// The hub's port.
    pub port: u16,
    /// Loopback unless told otherwise.
    pub bind: std::net::IpAddr,
    /// PATH for modules.
    pub path: String,
    /// The user it runs as; only of system units.
    pub user: Option<String>,
}

/// Why a unit is not up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Cause {
    /// Exit code.
    Exit(i32),
    /// Death by a signal.
    Signal(i32),
    /// The watchdog ended it.
    Watchdog,
    /// The kernel or oomd ended it for want of memory.
    OutOfMemory,
    /// It did not start or stop in time.
    Timeout,
    /// Too many starts in a row.
    StartLimit,
    /// macOS refused the binary.
    CodeSigning,
    /// Anything else, in the manager's words.
    Other(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // systemd.exec(5), process exit codes.
            Cause::Exit(200) => f.write_str("exit code 200 (its working directory is not there)"),
            Cause::Exit(203) => f.write_str("exit code 203 (its program cannot be executed)"),
            Cause::Exit(217) => f.write_str("exit code 217 (its user does not exist)"),
            Cause::Exit(226) => f.write_str("exit code 226 (its namespaces cannot be set up)"),
            Cause::Exit(code) => write!(f, "exit code {code}"),
            Cause::Signal(signal) => write!(f, "killed by signal {signal}"),
            Cause::Watchdog => f.write_str("it stopped answering its watchdog"),
            Cause::OutOfMemory => f.write_str("out of memory"),
            Cause::Timeout => f.write_str("it did not start or stop in time"),
            Cause::StartLimit => f.write_str("too many starts in a row"),
            Cause::CodeSigning => f.write_str("its code signature was refused"),
            Cause::Other(said) => f.write_str(said),
        }
    }
}

/// How a unit stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum UnitState {
    /// No such unit.
    NotInstalled,
    /// Forbidden by the operator.
    Masked,
    /// There, and its file cannot be used.
    Broken {
        /// What the manager says of it.
        said: String,
    },
    /// Not running, and that is fine.
    Stopped,
    /// On its way up.
    Starting,
    /// On its way down.
    Stopping,
    /// Up.
    Running {
        /// Main process.
        pid: u32,
        /// Since when.
        since: Option<Time>,
    },
    /// Waiting for its next start after a failure.
    Retrying {
        /// Why it failed.
        cause: Cause,
        /// Restarts so far.
        attempts: u32,
    },
    /// Failed for good.
    Failed {
        /// Why.
        cause: Cause,
    },
    /// The manager says something that we do not know.
    Unknown {
        /// In its own words.
        said: String,
    },
}

/// What a look at an installed unit gives.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Installed {
    /// Which scope it is in.
    pub scope: Scope,
    /// Its file.
    pub path: Option<PathBuf>,
    /// Starts at boot or login.
    pub enabled: Option<bool>,
    /// The home its hub uses, from its environment and user.
    pub home: Option<Home>,
    /// The port its hub uses.
    pub port: u16,
    /// The uid its hub runs as, where known.
    pub uid: Option<u32>,
    /// It runs this program, not a hub of other make.
    pub ours: bool,
    /// Extra files that change it.
    pub drop_ins: Vec<PathBuf>,
    /// How it stands.
    pub state: UnitState,
    /// Restarts so far, where the manager counts them.
    pub restarts: Option<u32>,
    /// CPU used so far, where the manager accounts it.
    pub cpu: Option<Duration>,
    /// Memory in bytes, where the manager accounts it.
    pub memory: Option<u64>,
    /// What a person should know of it: an environment file that cannot be read, a file that
    /// changed since the manager read it.
    pub notes: Vec<String>,
}

/// A unit of a single module from before hubs supervised them: its restart policy resurrects the
/// module on its port, beside the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleUnit {
    /// `parachute-vault.service`, `computer.parachute.vault`.
    pub name: String,
    /// The module, by its short name.
    pub short: String,
    /// Whose unit.
    pub scope: Scope,
    /// Its file.
    pub path: Option<PathBuf>,
    /// It runs, or is about to.
    pub running: bool,
    /// It starts at boot or login.
    pub enabled: bool,
    /// What ends it for good, to be typed.
    pub command: String,
}

/// Which lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How many of the last ones.
    pub lines: usize,
    /// Not older than this.
    pub since: Option<Time>,
}

/// One way to keep a hub alive.
#[async_trait]
pub trait ServiceManager: Send + Sync {
    /// `systemd`, `launchd`, `pidfile`, `external`.
    fn name(&self) -> &'static str;

    /// How the hub's unit stands.
    async fn look(&self) -> Result<Installed>;

    /// Returns once the manager says it is started; the hub's health is the caller's to wait for.
    async fn start(&self) -> Result<()>;

    /// Returns once the hub is gone.
    async fn stop(&self) -> Result<()>;

    /// Returns once the manager says it is started again.
    async fn restart(&self) -> Result<()>;

    /// Why it would carry out nothing of the kind on any hub; `done` is the verb as a participle.
    fn refuses(&self, _done: &str) -> Option<Error> {
        None
    }

    /// As [`ServiceManager::start`], for no longer than this. What a person takes to type a
    /// password does not count.
    async fn start_within(&self, bound: Duration) -> Result<()> {
        within(bound, "start", self.start()).await
    }

    /// As [`ServiceManager::restart`], for no longer than this.
    async fn restart_within(&self, bound: Duration) -> Result<()> {
        within(bound, "restart", self.restart()).await
    }

    /// Tells from now on when the unit has changed; `None` where the manager does not tell.
    async fn changes(&self) -> Result<Option<Changes>> {
        Ok(None)
    }

    /// The hub's last log lines, oldest first.
    async fn logs(&self, tail: &Tail) -> Result<Vec<String>>;

    /// A program to run in the foreground that follows the hub's log, where there is one
    /// (`journalctl -f …`); else the log file to follow.
    fn follow(&self, tail: &Tail) -> Follow;
}

async fn within(
    bound: Duration,
    verb: &str,
    doing: impl Future<Output = Result<()>>,
) -> Result<()> {
    match tokio::time::timeout(bound, doing).await {
        Ok(done) => done,
        Err(_) => Err(late(verb, bound)),
    }
}

/// A manager that has not done it in time; it may yet.
fn late(verb: &str, bound: Duration) -> Error {
    Error::new(
        Code::TimedOut,
        format!(
            "the {verb} of the hub is not over after {} s",
            bound.as_secs_f64()
        ),
    )
    .hint("it may still come up: `parachute status`; `--timeout` waits longer")
}

/// That a unit has changed, each time it does; several changes at once may be told as one.
#[derive(Debug)]
pub struct Changes(tokio::sync::mpsc::Receiver<()>);

impl Changes {
    /// Waits for the next change; `false` once nothing more will be told.
    pub async fn next(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}

/// How a hub's log is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Run this.
    Program(Vec<String>),
    /// Follow this file.
    File(PathBuf),
}

/// The environment of a unit as its manager has it.
pub type Environment = BTreeMap<String, String>;
