//! What `status` found: the document of the contract's section 10. Data only.

use crate::{api::StartError, home::Home, modules::registry::Row};
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Up.
    Active,
    /// In transition.
    Pending,
    /// Stopped, never started, or the hub is down.
    Inactive,
    /// Crashed, or the probe failed.
    Failing,
}

impl State {
    /// The word people and machines see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Inactive => "inactive",
            Self::Failing => "failing",
        }
    }
}

/// The hub's unit, for its row.
#[derive(Clone, Debug, Serialize)]
pub struct UnitFacts {
    /// Its file.
    pub path: Option<PathBuf>,
    /// `system` or `user`.
    pub scope: crate::manager::Scope,
    /// Starts at boot or login.
    pub enabled: Option<bool>,
}

/// A module or the hub.
#[derive(Clone, Debug, Serialize)]
pub struct RowStatus {
    /// Short name.
    pub name: String,
    /// Service name.
    pub service: String,
    /// How it stands.
    pub state: State,
    /// Its port.
    pub port: Option<u16>,
    /// Its version.
    pub version: Option<String>,
    /// Its leader.
    pub pid: Option<u32>,
    /// Seconds since it was spawned.
    pub uptime_seconds: Option<u64>,
    /// Milliseconds that its health took to answer.
    pub latency_ms: Option<f64>,
    /// Where clients reach it.
    pub url: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Why its last start failed.
    pub start_error: Option<StartError>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// CPU of its group since it started, as ps counts: percent of one core.
    pub cpu_percent: Option<f64>,
    /// Resident bytes of its group.
    pub memory_bytes: Option<u64>,
    /// The last lines of its log, when it is failing; for people only.
    #[serde(skip)]
    pub log: Vec<String>,
}

impl RowStatus {
    /// A row of the registry, of which nothing is known yet.
    pub fn of(row: &Row) -> Self {
        Self {
            service: row.name.clone(),
            port: Some(row.port),
            version: Some(row.version.clone()),
            url: Some(row.url()),
            source: row
                .install_dir
                .as_ref()
                .map(|dir| dir.to_string_lossy().into_owned()),
            start_error: row.last_start_error.clone(),
            ..Self::bare(row.short())
        }
    }

    /// A name, of which nothing is known.
    pub fn bare(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            service: name.to_owned(),
            state: State::Inactive,
            port: None,
            version: None,
            pid: None,
            uptime_seconds: None,
            latency_ms: None,
            url: None,
            source: None,
            start_error: None,
            notes: Vec::new(),
            cpu_percent: None,
            memory_bytes: None,
            log: Vec::new(),
        }
    }
}

/// The hub's row: one key more than a module's.
#[derive(Clone, Debug, Serialize)]
pub struct HubStatus {
    /// As a module's.
    #[serde(flatten)]
    pub row: RowStatus,
    /// Its unit, where it has one.
    pub unit: Option<UnitFacts>,
}

/// Which way a box goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A hub keeps its modules.
    Managed,
    /// Detached processes.
    Detached,
}

/// The whole box.
#[derive(Clone, Debug, Serialize)]
pub struct BoxStatus {
    /// Version of this document.
    pub schema: u32,
    /// The box's folder.
    #[serde(serialize_with = "path_of")]
    pub home: Home,
    /// Which way it goes.
    pub way: Way,
    /// What keeps the hub.
    pub manager: Option<&'static str>,
    /// The hub's row.
    pub hub: Option<HubStatus>,
    /// A row each, in the registry's order.
    pub modules: Vec<RowStatus>,
    /// What a person should know about the box.
    pub notes: Vec<String>,
    /// There is a unit, and neither it nor its hub can be asked.
    #[serde(skip)]
    pub unreachable: bool,
}

fn path_of<S: Serializer>(home: &Home, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&home.root().to_string_lossy())
}

impl BoxStatus {
    /// Hub and modules.
    pub fn rows(&self) -> impl Iterator<Item = &RowStatus> {
        self.hub.iter().map(|hub| &hub.row).chain(&self.modules)
    }

    /// The row that a short or service name, or `hub`, means.
    pub fn row(&self, name: &str) -> Option<&RowStatus> {
        self.rows()
            .find(|row| row.name == name || row.service == name)
    }

    /// Is a row failing.
    pub fn failing(&self) -> bool {
        self.rows().any(|row| row.state == State::Failing)
    }
}
