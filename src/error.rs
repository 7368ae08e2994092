//! Every situation a person can be in when something did not work: a stable code, the exit
//! status that goes with it, what happened and to what, and what to do about it. Rooms build
//! errors beside the work that fails; nothing here prints.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{fmt, io, path::Path};

/// Shorthand used through the whole crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the process tells its parent (contract, section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or it was so already.
    Success = 0,
    /// A target failed; `status`: a row is failing.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No such module, or nothing installed to start.
    NotInstalled = 3,
    /// The caller may not do this.
    NoPermission = 4,
    /// The manager or the hub cannot be reached.
    Unreachable = 5,
    /// It did not happen in time.
    TimedOut = 6,
    /// Ended by the person's Ctrl-C, as shells have it: 128 and the signal's number.
    Interrupted = 130,
}

impl Exit {
    /// The exit status of a child that ran the verb for us.
    pub fn of_status(status: i32) -> Self {
        match status {
            0 => Self::Success,
            2 => Self::Usage,
            3 => Self::NotInstalled,
            4 => Self::NoPermission,
            5 => Self::Unreachable,
            6 => Self::TimedOut,
            130 => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal => $exit:ident,)*) => {
        /// A stable name for a situation, the same in `--json` and in scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code there is, for the documentation's own test.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The name that machines see.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// The exit status of a command that ends in this situation.
            pub fn exit(self) -> Exit {
                match self { $(Code::$variant => Exit::$exit,)* }
            }
        }
    };
}

codes! {
    /// The command line cannot be carried out as written.
    Usage = "usage" => Usage,
    /// A name that no row has, or nothing to start at all.
    NotInstalled = "not_installed" => NotInstalled,
    /// A row that nothing says how to start.
    NoStartCommand = "no_start_cmd" => Failed,
    /// The operating system, or the hub, refused this caller.
    NoPermission = "no_permission" => NoPermission,
    /// The operator token is missing, expired or not for this.
    Unauthorized = "unauthorized" => NoPermission,
    /// Nothing answers where the hub should.
    HubUnreachable = "hub_unreachable" => Unreachable,
    /// The hub accepts connections and does not answer.
    HubWedged = "hub_wedged" => Unreachable,
    /// Something else answers on the hub's port.
    WrongHub = "wrong_hub" => Unreachable,
    /// The hub answers in a way that no hub should.
    OddHub = "odd_hub" => Failed,
    /// The hub wants its first user before it does anything.
    SetupRequired = "setup_required" => Failed,
    /// This hub cannot drive this module.
    NotDrivable = "not_drivable" => Failed,
    /// The module has not been started in this life of the hub.
    NotSupervised = "not_supervised" => Failed,
    /// systemd or launchd does not answer, or is not there.
    ManagerUnreachable = "manager_unreachable" => Unreachable,
    /// The manager tried, and the unit failed.
    UnitFailed = "unit_failed" => Failed,
    /// It did not happen within its bound.
    TimedOut = "timed_out" => TimedOut,
    /// `services.json` cannot be read as a registry.
    RegistryBroken = "registry_broken" => Failed,
    /// A `module.json` cannot be read as a manifest.
    ManifestBroken = "manifest_broken" => Failed,
    /// The home is not a directory that can be worked in.
    HomeUnusable = "home_unusable" => Failed,
    /// Another row, or another process, has the port.
    PortTaken = "port_taken" => Failed,
    /// The port is kept for first-party modules.
    PortReserved = "port_reserved" => Failed,
    /// A row of that name is there already.
    AlreadyRegistered = "already_registered" => Failed,
    /// A process that cannot be proven to be ours is left alone.
    NotProven = "not_proven" => Failed,
    /// Done by somebody else, or not to be done here.
    Refused = "refused" => Failed,
    /// The hub of this box does not offer it.
    NotImplemented = "not_implemented" => Failed,
    /// A start command that is not on this machine.
    MissingDependency = "missing_dependency" => Failed,
    /// A start command without its execute permission.
    NonExecutable = "non_executable" => Failed,
    /// A stranger holds the module's port.
    PortSquatter = "port_squatter" => Failed,
    /// The module's process ended before it was ready.
    ExitedEarly = "exited_early" => Failed,
    /// The module's process could not be made.
    SpawnFailed = "spawn_failed" => Failed,
    /// The hub tried, and could not; its reason is in the message.
    ModuleOpFailed = "module_op_failed" => Failed,
    /// Alive, and its port still silent.
    StartedButUnbound = "started_but_unbound" => TimedOut,
    /// It would not end.
    StillRunning = "still_running" => Failed,
    /// Reading or writing failed.
    Io = "io" => Failed,
    /// The person pressed Ctrl-C.
    Interrupted = "interrupted" => Interrupted,
}

/// One failure: what happened, to what, and what to do.
#[derive(Clone, Debug)]
pub struct Error {
    /// Which situation this is.
    pub code: Code,
    /// What happened and to what: lower case, no full stop.
    pub message: String,
    /// What to do, commands in backticks.
    pub hint: Option<String>,
    /// The last lines that the failed thing wrote, oldest first.
    pub log: Vec<String>,
}

impl Error {
    /// A failure without advice; see [`Error::hint`].
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            log: Vec::new(),
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the lines that the failed thing wrote last.
    #[must_use]
    pub fn log(mut self, lines: Vec<String>) -> Self {
        self.log = lines;
        self
    }

    /// A failed system call on a path; a refusal is told apart from the rest.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => Code::NoPermission,
            _ => Code::Io,
        };
        Self::new(
            code,
            format!("cannot {doing} {}: {}", path.display(), reason(error)),
        )
    }

    /// The exit status that goes with it.
    pub fn exit(&self) -> Exit {
        self.code.exit()
    }
}

/// An operating-system error as people read it, without Rust's number at the end.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// `{"code","message","hint"}` of the contract's section 10.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Error", 3)?;
        out.serialize_field("code", self.code.as_str())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("hint", &self.hint)?;
        out.end()
    }
}
