//! How a module is launched: argv, working directory, environment (contract, section 3). Pure but
//! for [`gather`], which reads the files; both ways of running a module use it, at every spawn.

mod dotenv;
mod origin;
mod path;
mod preflight;
#[cfg(test)]
mod tests;

pub use self::{dotenv::parse as parse_dotenv, preflight::preflight};

use super::{
    known::known,
    manifest::{self, Manifest},
    registry::Row,
};
use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
    os::{files, spawn::Plan},
};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// More than any `.env` has, in bytes.
const DOTENV_LIMIT: u64 = 1024 * 1024;

/// What the spawner itself brings.
#[derive(Clone, Debug, Default)]
pub struct Spawner {
    /// Its environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The user's own folder, for `~/.local/bin` and `~/.bun/bin`.
    pub user_dir: Option<PathBuf>,
    /// The port of a hub that runs here, for the origin of last resort.
    pub hub_port: Option<u16>,
    /// `NOTIFY_SOCKET` for the module, from our hub.
    pub notify_socket: Option<PathBuf>,
}

/// Everything a launch is made from.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The home.
    pub home: Home,
    /// The row.
    pub row: Row,
    /// Its manifest, where there is one.
    pub manifest: Option<Manifest>,
    /// Its `.env`, in order.
    pub dotenv: Vec<(OsString, OsString)>,
    /// The hub's origin from `hub/origin` or `expose-state.json`.
    pub origin: Option<String>,
    /// Folders of the PATH extension that exist.
    pub extra_path: Vec<PathBuf>,
    /// What was odd about the files, for people.
    pub warnings: Vec<String>,
}

/// Reads the files that a launch is made from. A known module whose manifest cannot be read falls
/// back to its default command, with a warning; for any other that is an error.
pub fn gather(home: &Home, row: &Row, spawner: &Spawner) -> Result<Inputs> {
    let mut warnings = Vec::new();
    let manifest = match manifest::read(home, row) {
        Ok(manifest) => manifest,
        Err(error) if known(&row.name).is_some() => {
            warnings.push(format!("{error}; the default command is used"));
            None
        }
        Err(error) => return Err(error),
    };
    let file = rel::dotenv(row.short());
    let dotenv = match files::read(home, &file, DOTENV_LIMIT)? {
        Some(bytes) => {
            let (pairs, odd) = dotenv::parse(&bytes);
            let file = home.at(&file);
            warnings.extend(
                odd.into_iter()
                    .map(|odd| format!("{}: {odd}", file.display())),
            );
            pairs
        }
        None => Vec::new(),
    };
    Ok(Inputs {
        home: home.clone(),
        row: row.clone(),
        manifest,
        dotenv,
        origin: origin::read(home, &mut warnings),
        extra_path: path::extension(spawner.user_dir.as_deref()),
        warnings,
    })
}

/// The start command: the manifest's, else the first-party one; none is an error
/// ([`crate::error::Code::NoStartCommand`]).
pub fn command(row: &Row, manifest: Option<&Manifest>) -> Result<Vec<String>> {
    if let Some(command) = manifest.and_then(|manifest| manifest.start_cmd.clone()) {
        return Ok(command);
    }
    match known(&row.name) {
        Some(known) => Ok(known.command.iter().map(|&word| word.to_owned()).collect()),
        None => {
            let short = row.short();
            Err(Error::new(
                Code::NoStartCommand,
                format!("nothing says how to start {short}"),
            )
            .hint(format!(
                "give it a command: `parachute add {short} --port {} --replace -- COMMAND`",
                row.port
            )))
        }
    }
}

/// Variables of the spawner that are about the spawner itself.
fn is_spawners_own(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    const NAMES: &[&str] = &[
        "PARACHUTE_BIND_HOST",
        "PARACHUTE_HUB_ORIGIN",
        "NOTIFY_SOCKET",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
        "MAINPID",
    ];
    NAMES.contains(&name) || name.starts_with("WATCHDOG_") || name.starts_with("LISTEN_")
}

/// argv, cwd and environment, less the program's place on this machine. Pure.
pub fn plan(inputs: &Inputs, spawner: &Spawner, spawn_id: &str) -> Result<Launch> {
    let argv = command(&inputs.row, inputs.manifest.as_ref())?;
    let mut env: BTreeMap<OsString, OsString> = spawner
        .env
        .iter()
        .filter(|(name, _)| !is_spawners_own(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    env.insert(
        "PATH".into(),
        path::extended(&spawner.env, &inputs.extra_path),
    );
    env.extend(inputs.dotenv.iter().cloned());
    env.insert("PORT".into(), inputs.row.port.to_string().into());
    env.insert("PARACHUTE_HOME".into(), inputs.home.root().into());
    env.insert("PARACHUTE_SPAWN_ID".into(), spawn_id.into());
    if let Some(socket) = &spawner.notify_socket {
        env.insert("NOTIFY_SOCKET".into(), socket.into());
    }
    let here = || Some(format!("http://127.0.0.1:{}", spawner.hub_port?));
    if let Some(origin) = inputs.origin.clone().or_else(here) {
        env.insert("PARACHUTE_HUB_ORIGIN".into(), origin.into());
    }
    Ok(Launch {
        argv,
        cwd: inputs.row.install_dir.clone(),
        env,
    })
}

/// A launch whose executable has not been looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The command, non-empty.
    pub argv: Vec<String>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
    /// Its whole environment; no name twice.
    pub env: BTreeMap<OsString, OsString>,
}

impl Launch {
    /// The launch of an executable that has been looked up.
    fn of(&self, program: PathBuf) -> Plan {
        Plan {
            program,
            argv: self.argv.iter().map(OsString::from).collect(),
            cwd: self.cwd.clone(),
            env: self
                .env
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }
}
