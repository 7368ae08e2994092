//! What goes over the wire and into files that others read: the shapes that both the hub and its
//! clients know (contract, sections 4 and 6). Reading is tolerant, writing is to the letter.

use crate::error::Code;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use std::fmt;

/// The version of every JSON document that a verb prints.
pub const SCHEMA: u32 = 1;
/// The hub's port unless told otherwise.
pub const HUB_PORT: u16 = 1939;
/// The `service` of our `/health`.
pub const HUB_SERVICE: &str = "parachute-hub";

/// An instant as JSON has it everywhere in the contract: UTC, milliseconds, `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Time {
    /// This moment.
    pub fn now() -> Self {
        Self(Timestamp::now())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Time).map_err(serde::de::Error::custom)
    }
}

/// Why a start did not reach a live module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartErrorType {
    /// The start command is not on this machine.
    MissingDependency,
    /// Alive, and its port silent after the readiness window.
    StartedButUnbound,
    /// Found without its x bit.
    NonExecutable,
    /// A foreign process holds the port.
    PortSquatter,
    /// The process ended before it was ready.
    ExitedEarly,
    /// The process could not be made.
    SpawnFailed,
    /// A type that a newer hub knows.
    #[serde(other)]
    Other,
}

impl StartErrorType {
    /// The code that goes with it.
    pub fn code(self) -> Code {
        match self {
            Self::MissingDependency => Code::MissingDependency,
            Self::StartedButUnbound => Code::StartedButUnbound,
            Self::NonExecutable => Code::NonExecutable,
            Self::PortSquatter => Code::PortSquatter,
            Self::ExitedEarly => Code::ExitedEarly,
            Self::SpawnFailed | Self::Other => Code::SpawnFailed,
        }
    }
}

/// How to get a missing program, by platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Install {
    /// On macOS.
    pub darwin: Option<String>,
    /// On Linux.
    pub linux: Option<String>,
    /// Anywhere.
    pub generic: Option<String>,
}

/// `lastStartError` of a row and `startError` of a supervised module. The fields from `binary` to
/// `sysadmin_hint` belong to `missing_dependency`, which always writes all of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StartError {
    /// Which kind of failure.
    pub error_type: StartErrorType,
    /// Text for a person, possibly of several lines.
    pub error_description: String,
    /// The program that is missing.
    #[serde(default)]
    pub binary: Option<String>,
    /// What the program is needed for.
    #[serde(default)]
    pub why: Option<String>,
    /// Where to read on.
    #[serde(default)]
    pub docs_url: Option<String>,
    /// How to install it.
    #[serde(default)]
    pub install: Option<Install>,
    /// What to ask an administrator for.
    #[serde(default)]
    pub sysadmin_hint: Option<String>,
    /// When it happened.
    #[serde(default)]
    pub at: Option<Time>,
}

impl StartError {
    /// A start error of this moment, without the fields of `missing_dependency`.
    pub fn new(error_type: StartErrorType, description: impl Into<String>) -> Self {
        Self {
            error_type,
            error_description: description.into(),
            binary: None,
            why: None,
            docs_url: None,
            install: None,
            sysadmin_hint: None,
            at: Some(Time::now()),
        }
    }
}

impl Serialize for StartError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("error_type", &self.error_type)?;
        map.serialize_entry("error_description", &self.error_description)?;
        if self.error_type == StartErrorType::MissingDependency {
            map.serialize_entry("binary", &self.binary)?;
            map.serialize_entry("why", &self.why)?;
            map.serialize_entry("docs_url", &self.docs_url)?;
            map.serialize_entry("install", &self.install)?;
            map.serialize_entry("sysadmin_hint", &self.sysadmin_hint)?;
        }
        if let Some(at) = &self.at {
            map.serialize_entry("at", at)?;
        }
        map.end()
    }
}

/// Where a supervised module is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleStatus {
    /// Spawned, not ready yet.
    Starting,
    /// Alive; ready unless it has a start error.
    Running,
    /// Stopped on request, or never started.
    Stopped,
    /// Out of budget, or never spawned.
    Crashed,
    /// Waiting for its next spawn.
    Restarting,
    /// A word that a newer hub knows.
    #[serde(other)]
    Unknown,
}

/// `state` of section 6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleState {
    /// The module's short name.
    pub short: String,
    /// Where it is.
    pub status: ModuleStatus,
    /// The leader's pid while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When that process was spawned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Respawns in the running 60 s.
    #[serde(default)]
    pub restarts_in_window: u32,
    /// When it last ended unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_crash_at: Option<Time>,
    /// Its last exit code; 128+n for a death by signal n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit_code: Option<i32>,
    /// Why its last start did not reach a live module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_error: Option<StartError>,
}

/// A module in `GET /api/modules`; null for what is unknown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Short name.
    pub short: String,
    /// Package that brings it.
    #[serde(default)]
    pub package: Option<String>,
    /// Name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// One line for people.
    #[serde(default)]
    pub tagline: Option<String>,
    /// Can it be installed from here.
    #[serde(default)]
    pub available: Option<bool>,
    /// Has it a row.
    #[serde(default)]
    pub installed: Option<bool>,
    /// The row's version.
    #[serde(default)]
    pub installed_version: Option<String>,
    /// The newest version known.
    #[serde(default)]
    pub latest_version: Option<String>,
    /// `status` of its state.
    #[serde(default)]
    pub supervisor_status: Option<ModuleStatus>,
    /// The leader's pid.
    #[serde(default)]
    pub pid: Option<u32>,
    /// `startError` of its state.
    #[serde(default)]
    pub supervisor_start_error: Option<StartError>,
    /// Its folder.
    #[serde(default)]
    pub install_dir: Option<String>,
    /// Its user interfaces.
    #[serde(default)]
    pub uis: Vec<Value>,
    /// Where it is administered.
    #[serde(default)]
    pub management_url: Option<String>,
}

/// The answer of `GET /api/modules`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleList {
    /// Known modules and every row.
    pub modules: Vec<ModuleInfo>,
    /// States; absent before 0.6.4.
    #[serde(default)]
    pub supervised: Option<Vec<ModuleState>>,
    /// Is there a supervisor at all.
    #[serde(default)]
    pub supervisor_available: Option<bool>,
    /// `latest` or `rc`.
    #[serde(default)]
    pub module_install_channel: Option<String>,
}

/// The answer of `GET /health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// `parachute-hub`.
    #[serde(default)]
    pub service: Option<String>,
    /// The hub's version.
    #[serde(default)]
    pub version: Option<String>,
    /// The nonce of this boot, since 0.7.6.
    #[serde(default)]
    pub instance: Option<String>,
}

/// The answer of `GET /api/ready`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ready {
    /// Nothing is in transition.
    pub ready: bool,
    /// Modules that are live.
    pub ready_modules: Vec<String>,
    /// Modules on their way.
    pub transient_modules: Vec<String>,
    /// Modules that will not come by themselves.
    pub persistent_modules: Vec<String>,
}

/// The answer to start and restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// Short name.
    pub short: String,
    /// What it has become.
    pub state: ModuleState,
}

/// The answer to stop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// Short name.
    pub short: String,
    /// Was it supervised.
    pub stopped: bool,
    /// What it has become, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ModuleState>,
}

/// The answer to logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logs {
    /// Short name.
    pub short: String,
    /// Buffered lines, each with its prefix and its newline.
    pub lines: Vec<String>,
    /// The same in one string.
    #[serde(default)]
    pub text: String,
}

/// The answer to reload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloaded {
    /// Rows that are new; they start.
    pub added: Vec<String>,
    /// Rows that went; they stop.
    pub removed: Vec<String>,
    /// Rows that read differently now.
    pub changed: Vec<String>,
}

/// A long-running operation of a hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// `install` or `upgrade`.
    pub kind: String,
    /// The module it is about.
    pub short: String,
    /// `pending`, `running`, `succeeded` or `failed`.
    pub status: String,
    /// What it has said so far.
    #[serde(default)]
    pub log: Vec<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// More of why it failed.
    #[serde(default, rename = "error_detail")]
    pub error_detail: Option<Value>,
    /// When it began.
    #[serde(default)]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<String>,
}

/// Every error of the hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// A code.
    pub error: String,
    /// Text for a person.
    #[serde(default)]
    pub error_description: Option<String>,
}

/// `hub-instance.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The nonce that `/health` answers in this boot.
    pub instance: String,
    /// The hub's pid, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The hub's port, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}
