//! `services.json` (contract, section 2): reading it strictly or leniently, and a store that
//! changes only what it means to change. Writes nothing but through [`edit`].

mod document;
mod file;
#[cfg(test)]
mod kept_tests;
mod name;
mod replace;
mod row;
mod store;
#[cfg(test)]
mod tests;

pub use self::{
    document::Document,
    name::{Name, is_vault, short_of},
    store::{Locked, edit, load, lock, set_start_error},
};

use self::name::unsafe_segment;
use crate::{
    api::StartError,
    error::{Code, Error, Result},
    home::Home,
};
use std::path::{Path, PathBuf};

/// Who may reach a module from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// `allowed`
    Allowed,
    /// `loopback`
    Loopback,
    /// `auth-required`
    AuthRequired,
}

/// One row, as far as we know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `name`: the service name.
    pub name: String,
    /// `port`, at least 1.
    pub port: u16,
    /// `paths`
    pub paths: Vec<String>,
    /// `health`, starts with `/`.
    pub health: String,
    /// `version`
    pub version: String,
    /// `displayName`
    pub display_name: Option<String>,
    /// `tagline`
    pub tagline: Option<String>,
    /// `installDir`, absolute.
    pub install_dir: Option<PathBuf>,
    /// `publicExposure`
    pub exposure: Option<Exposure>,
    /// `stripPrefix`
    pub strip_prefix: Option<bool>,
    /// `uis` as it stands.
    pub uis: Option<serde_json::Value>,
    /// `lastStartError`; a malformed one reads as none.
    pub last_start_error: Option<StartError>,
}

impl Row {
    /// The name on the command line and in paths: `vault` for `parachute-vault`, else the name.
    pub fn short(&self) -> &str {
        short_of(&self.name)
    }

    /// Where a client reaches it (contract, section 2).
    pub fn url(&self) -> String {
        let base = format!("http://127.0.0.1:{}", self.port);
        let path = self.paths.first().map_or("", String::as_str);
        let slash = if path.is_empty() || path.starts_with('/') {
            ""
        } else {
            "/"
        };
        if self.short() == "scribe" {
            base
        } else if is_vault(&self.name) {
            format!("{base}{slash}{}/mcp", path.trim_end_matches('/'))
        } else {
            format!("{base}{slash}{path}")
        }
    }
}

/// The registry at one moment.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Good rows, in the file's order.
    pub rows: Vec<Row>,
    /// What was wrong with the others, for people.
    pub warnings: Vec<String>,
    /// The short names of those others that have one, and no good row.
    pub left_out: Vec<String>,
}

impl Registry {
    /// Lenient: bad rows are warnings. A missing file is empty; one that is no registry is an
    /// error ([`crate::error::Code::RegistryBroken`]).
    pub fn read(home: &Home) -> Result<Self> {
        match file::read(home)? {
            Some(bytes) => Self::parse(&bytes, &home.registry()),
            None => Ok(Self::default()),
        }
    }

    /// Strict: the first bad row is an error that names the file, the row and the field.
    pub fn read_strict(home: &Home) -> Result<Self> {
        match file::read(home)? {
            Some(bytes) => {
                let file = home.registry();
                Self::strict(&document::rows(&bytes, &file)?, &file)
            }
            None => Ok(Self::default()),
        }
    }

    /// The lenient reading of a registry's text; `file` is only named in messages.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self> {
        let mut registry = Self::default();
        for row in sift(&document::rows(bytes, file)?) {
            match row {
                Ok(row) => registry.rows.push(row),
                Err(fault) => {
                    registry
                        .warnings
                        .push(format!("{}: {fault}; that row is left out", file.display()));
                    let short = fault.name.as_deref().map(|name| short_of(name).to_owned());
                    registry.left_out.extend(short);
                }
            }
        }
        let mut left_out = std::mem::take(&mut registry.left_out);
        left_out.retain(|short| registry.find(short).is_none());
        registry.left_out = left_out;
        Ok(registry)
    }

    /// The strict reading of rows; `file` is only named in messages.
    pub fn strict(rows: &[serde_json::Value], file: &Path) -> Result<Self> {
        let rows = sift(rows).collect::<Result<_, Fault>>().map_err(|fault| {
            Error::new(Code::RegistryBroken, format!("{}: {fault}", file.display())).hint(format!(
                "correct that row in {}, then try again",
                file.display()
            ))
        })?;
        Ok(Self {
            rows,
            ..Self::default()
        })
    }

    /// The row that a short or service name means.
    pub fn find(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.short() == short_of(name))
    }

    /// For a `parachute-vault-*` row on another vault row's port: the row whose process it is
    /// a view of.
    pub fn process_of<'a>(&'a self, row: &'a Row) -> &'a Row {
        if !is_vault(&row.name) {
            return row;
        }
        self.rows
            .iter()
            .find(|other| other.port == row.port && is_vault(&other.name))
            .unwrap_or(row)
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    /// Which row, the first being 1.
    number: usize,
    /// Its name, when it has one.
    name: Option<String>,
    /// Which field; empty for the row as a whole.
    field: &'static str,
    /// What about it.
    why: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {}", self.number)?;
        if let Some(name) = &self.name {
            let shown: String = name.chars().take(80).collect();
            write!(f, " ({shown:?})")?;
        }
        if self.field.is_empty() {
            write!(f, " {}", self.why)
        } else {
            write!(f, ": `{}` {}", self.field, self.why)
        }
    }
}

/// Each row or what is wrong with it. Of two rows with one name or one port the first is good.
fn sift(rows: &[serde_json::Value]) -> impl Iterator<Item = Result<Row, Fault>> {
    let mut ports = std::collections::HashMap::<u16, String>::new();
    let mut names = std::collections::HashSet::<String>::new();
    rows.iter().enumerate().map(move |(index, value)| {
        let fault = |field, why| Fault {
            number: index + 1,
            name: value
                .get("name")
                .and_then(|name| name.as_str())
                .map(str::to_owned),
            field,
            why,
        };
        let row = row::parse(value).map_err(|(field, why)| fault(field, why))?;
        if let Some(why) = unsafe_segment(&row.name) {
            return Err(fault("name", why.to_owned()));
        }
        if names.contains(row.short()) {
            return Err(fault("name", "is that of an earlier row too".to_owned()));
        }
        if let Some(other) = ports.get(&row.port)
            && !(is_vault(other) && is_vault(&row.name))
        {
            let why = format!("{} is that of the row {other:?} too", row.port);
            return Err(fault("port", why));
        }
        names.insert(row.short().to_owned());
        ports.entry(row.port).or_insert_with(|| row.name.clone());
        Ok(row)
    })
}
