//! The work behind `parachute add` and `parachute remove`: what would be written, and writing it.
//! Starts and stops nothing, and never changes a `module.json` that is a module's own.

mod before;
mod fields;
mod ports;
#[cfg(test)]
mod races_tests;
#[cfg(test)]
mod tests;
mod version;

use self::before::Before;
use super::{
    manifest,
    registry::{self, Document, Name, Registry, Row},
};
use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
    os::{files, port::Listeners},
};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What a person asks `add` for. What is not given stays as it is in a row that is replaced.
#[derive(Clone, Debug, Default)]
pub struct Addition {
    /// Short or service name.
    pub name: String,
    /// Its port, at least 1.
    pub port: u16,
    /// Its health path; `/health` when there is none.
    pub health: Option<String>,
    /// Its paths, each with a `/` first.
    pub paths: Vec<String>,
    /// Its folder, which must be there; relative to ours.
    pub dir: Option<PathBuf>,
    /// Its start command; empty when its own manifest or the table says it. A program that is a
    /// relative path is relative to the module's folder where one was named, else to ours.
    pub command: Vec<String>,
    /// Its name for people.
    pub display_name: Option<String>,
    /// One line about it for people.
    pub tagline: Option<String>,
    /// A reserved port, and one that somebody listens on, are fine.
    pub force: bool,
    /// A row of that name is changed.
    pub replace: bool,
}

/// What [`add`] would write, or has written.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The new row.
    pub row: Row,
    /// The row as JSON.
    pub json: Value,
    /// The row that it takes the place of.
    pub replaces: Option<Row>,
    /// The registry's file.
    pub registry: PathBuf,
    /// The manifest that is written for a command.
    pub manifest: Option<PathBuf>,
    /// What a person should know of, without its being wrong.
    pub warnings: Vec<String>,
    /// The start command that is written; empty when none is.
    pub command: Vec<String>,
    /// It is a view of another row's process, and is never started itself.
    pub view: bool,
    /// A module that runs by the replaced row is launched from something else by the new one: its
    /// port, folder or command. What only clients see of a row changes no process.
    pub launches_anew: bool,
}

/// What [`add`] has written.
pub type Added = Planned;

/// What [`add`] would do; changes nothing. The same errors as `add`, but for those of writing.
pub fn check(home: &Home, addition: &Addition) -> Result<Planned> {
    // Where nobody can say who listens, a port that is taken shows at the first start.
    let listeners = Listeners::read().unwrap_or_default();
    check_against(home, addition, &listeners)
}

fn check_against(home: &Home, addition: &Addition, listeners: &Listeners) -> Result<Planned> {
    plan(home, addition, listeners, &mut registry::load(home)?)
}

/// Adds a row, and a manifest for a command. All or nothing: when the row cannot be written, the
/// manifest is as it was. Both are written under the registry's lock, so of several at once the
/// row and the manifest are those of one.
pub fn add(home: &Home, addition: &Addition) -> Result<Added> {
    let listeners = Listeners::read().unwrap_or_default();
    add_against(home, addition, &listeners)
}

fn add_against(home: &Home, addition: &Addition, listeners: &Listeners) -> Result<Added> {
    // What is refused is refused before anything is made.
    let mut planned = check_against(home, addition, listeners)?;
    let registry = registry::lock(home)?;
    // Both as the first round found them: what is written is there already in a second one.
    let (mut before, mut anew) = (None, None);
    let written = registry.edit(|document| {
        planned = plan(home, addition, listeners, document)?;
        anew.get_or_insert(planned.launches_anew);
        if planned.manifest.is_some() {
            if before.is_none() {
                before = Some(Before::of(home, &planned)?);
            }
            let text = manifest::render(&planned.row, &planned.command)?;
            files::replace(home, rel::manifest(planned.row.short()), 0o644, &text)?;
        }
        Ok(true)
    });
    match (written, before) {
        (Ok(_), _) => {
            planned.launches_anew = anew.unwrap_or_default();
            Ok(planned)
        }
        (Err(error), before) => {
            if let Some(before) = before {
                before.restore(home);
            }
            Err(error)
        }
    }
}

/// Removes a row, and the manifest that `add` wrote for it, under the registry's lock. Gives the
/// row as it was.
pub fn remove(home: &Home, name: &str) -> Result<Row> {
    let take = |document: &mut Document| -> Result<Option<Row>> {
        let rows = Registry::strict(&document.rows(), &home.registry())?;
        let row = rows.find(name).cloned();
        if let (Some(_), Some(at)) = (&row, document.position(name)) {
            document.rows_mut().remove(at);
        }
        Ok(row)
    };
    let none = || {
        let shown: String = name.chars().take(80).collect();
        Error::new(
            Code::NotInstalled,
            format!("no module named {shown:?} is registered"),
        )
        .hint("`parachute status` lists those that are")
    };
    // What is refused is refused before anything is made.
    take(&mut registry::load(home)?)?.ok_or_else(none)?;
    let registry = registry::lock(home)?;
    let mut gone = None;
    registry.edit(|document| {
        gone = take(document)?;
        Ok(gone.is_some())
    })?;
    let row = gone.ok_or_else(none)?;
    if matches!(manifest::read_own(home, row.short()), Ok(Some(manifest)) if manifest.ours) {
        files::remove(home, rel::manifest(row.short()))?;
    }
    Ok(row)
}

/// Puts the new row into `document`, after everything that could be wrong with it.
fn plan(
    home: &Home,
    addition: &Addition,
    listeners: &Listeners,
    document: &mut Document,
) -> Result<Planned> {
    let name = Name::new(&addition.name)?;
    fields::check(addition)?;
    let rows = Registry::strict(&document.rows(), &home.registry())?;
    let old = rows.find(name.short()).cloned();
    if old.is_some() && !addition.replace {
        return Err(Error::new(
            Code::AlreadyRegistered,
            format!("{name} is registered already"),
        )
        .hint("give `--replace` to change its row"));
    }
    ports::check(&name, addition, old.as_ref(), &rows, listeners)?;
    let dir = addition.dir.as_deref().map(fields::folder).transpose()?;
    let mut warnings = Vec::new();
    let command = fields::command(home, &name, addition, old.as_ref())?;
    let manifest = manifest_of(home, &name, addition, &mut warnings)?;
    warnings.extend(fields::left_behind(home, &name, addition, old.as_ref()));
    let fresh = fields::of(home, &name, addition, old.as_ref(), dir.as_deref())?;
    let at = match document.position(name.short()) {
        Some(at) => at,
        None => {
            document.rows_mut().push(Value::Object(Map::new()));
            document.rows().len() - 1
        }
    };
    if let Some(row) = document
        .rows_mut()
        .get_mut(at)
        .and_then(Value::as_object_mut)
    {
        for (field, value) in fresh {
            row.insert(field.to_owned(), value);
        }
        row.shift_remove("lastStartError");
    }
    let json = document.rows().get(at).cloned().unwrap_or_default();
    let rows = Registry::strict(&document.rows(), &home.registry())?;
    let row = rows
        .find(name.short())
        .cloned()
        .ok_or_else(|| Error::new(Code::Io, format!("the row of {name} cannot be made")))?;
    let view = rows.process_of(&row).name != row.name;
    if command.is_empty() && !view {
        startable(home, &row, &mut warnings);
    }
    let launches_anew = !view && launches_anew(home, old.as_ref(), &row, &command);
    Ok(Planned {
        row,
        json,
        registry: home.registry(),
        manifest,
        warnings,
        launches_anew,
        command,
        view,
        replaces: old,
    })
}

/// Where the manifest of a command goes; refuses where there is one that `add` did not write.
fn manifest_of(
    home: &Home,
    name: &Name,
    addition: &Addition,
    warnings: &mut Vec<String>,
) -> Result<Option<PathBuf>> {
    let path = home.at(rel::manifest(name.short()));
    let own = manifest::read_own(home, name.short());
    if addition.command.is_empty() {
        if let Ok(Some(manifest)) = own
            && manifest.ours
        {
            warnings.push(format!(
                "its start command stays the one in {}",
                path.display()
            ));
        }
        return Ok(None);
    }
    match own {
        Ok(None) => Ok(Some(path)),
        Ok(Some(manifest)) if manifest.ours => Ok(Some(path)),
        Ok(Some(_)) => Err(Error::new(
            Code::Refused,
            format!(
                "{} is the module's own and is not overwritten",
                path.display()
            ),
        )
        .hint("leave the command out, or change `startCmd` in that file")),
        Err(error) => Err(error),
    }
}

/// Is a module that runs by `old` launched from something else by `row`, with `command` written
/// for it unless that is empty.
fn launches_anew(home: &Home, old: Option<&Row>, row: &Row, command: &[String]) -> bool {
    let there = |row: &Row| {
        let manifest = manifest::read(home, row).ok()?;
        super::launch::command(row, manifest.as_ref()).ok()
    };
    old.is_some_and(|old| {
        let now = match command {
            [] => there(row),
            words => Some(words.to_vec()),
        };
        old.port != row.port || old.install_dir != row.install_dir || there(old) != now
    })
}

/// Warns of a row that nothing says how to start.
fn startable(home: &Home, row: &Row, warnings: &mut Vec<String>) {
    let found =
        manifest::read(home, row).map(|manifest| super::launch::command(row, manifest.as_ref()));
    match found {
        Ok(Ok(_)) => {}
        Ok(Err(error)) | Err(error) => warnings.push(match error.hint {
            Some(hint) => format!("{}; {hint}", error.message),
            None => error.message,
        }),
    }
}
