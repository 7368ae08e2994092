//! The hub's property list: read (binary or XML, edited by hand or not) and rendered from the
//! template. Pure. Keys that we do not set are kept as they are.

use super::{LABEL, bounded, domain::Place};
use crate::{
    error::{Code, Error, Result},
    manager::{Environment, Scope, Unit},
};
use plist::{Dictionary, Value};
use std::path::Path;

const TEMPLATE: &[u8] = include_bytes!("../../../units/computer.parachute.hub.plist");

/// What launchd would run, read from a property list that it can use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The program and its arguments; never empty.
    pub arguments: Vec<String>,
    /// Its environment; values that are not strings are left out, as launchd does.
    pub environment: Environment,
    /// Where its output goes.
    pub stdout: Option<String>,
    /// The user it runs as.
    pub user: Option<String>,
    /// It is started at boot or login.
    pub automatic: bool,
    /// The file itself asks to be left alone until somebody enables it.
    pub disabled: bool,
}

/// Reads a property list's bytes; the error says why launchd would not.
pub fn read(bytes: &[u8]) -> Result<Dictionary, String> {
    match bounded::read(bytes)? {
        Value::Dictionary(dict) => Ok(dict),
        _ => Err("it is not a dictionary".into()),
    }
}

/// What it would run; the error says why nothing.
pub fn job(dict: &Dictionary) -> Result<Job, String> {
    match dict.get("Label") {
        Some(Value::String(label)) if label == LABEL => {}
        Some(Value::String(label)) => return Err(format!("its Label is {label:?}, not {LABEL:?}")),
        Some(_) => return Err("its Label is not a string".into()),
        None => return Err("it has no Label".into()),
    }
    let string = |key: &str| dict.get(key).and_then(Value::as_string).map(str::to_owned);
    let mut arguments = match dict.get("ProgramArguments") {
        None => Vec::new(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_string().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or("its ProgramArguments are not all strings")?,
        Some(_) => return Err("its ProgramArguments are not an array".into()),
    };
    // Program, where there is one, is what runs; the first argument is only its name then.
    match (dict.get("Program"), arguments.first_mut()) {
        (Some(Value::String(program)), Some(first)) => first.clone_from(program),
        (Some(Value::String(program)), None) => arguments.push(program.clone()),
        (Some(_), _) => return Err("its Program is not a string".into()),
        (None, Some(_)) => {}
        (None, None) => return Err("its ProgramArguments are missing or empty".into()),
    }
    if arguments.first().is_some_and(String::is_empty) {
        return Err("its program has no name".into());
    }
    let environment = match dict.get("EnvironmentVariables") {
        Some(Value::Dictionary(vars)) => vars
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_string()?.to_owned())))
            .collect(),
        _ => Environment::new(),
    };
    Ok(Job {
        arguments,
        environment,
        stdout: string("StandardOutPath"),
        user: string("UserName"),
        automatic: is_automatic(dict),
        disabled: is_disabled(dict),
    })
}

/// It is started at boot or login.
pub(super) fn is_automatic(dict: &Dictionary) -> bool {
    is_true(dict.get("RunAtLoad")) || keeps_alive(dict.get("KeepAlive"))
}

/// The file itself asks to be left alone.
pub(super) fn is_disabled(dict: &Dictionary) -> bool {
    is_true(dict.get("Disabled"))
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(Value::as_boolean) == Some(true)
}

/// KeepAlive may be a dictionary of conditions (launchd.plist(5)).
fn keeps_alive(value: Option<&Value>) -> bool {
    is_true(value) || matches!(value, Some(Value::Dictionary(conditions)) if !conditions.is_empty())
}

/// The property list of `unit` as XML, as it would be in its usual place; see [`render_at`].
pub fn render(unit: &Unit, scope: Scope, old: Option<&Dictionary>) -> Result<Vec<u8>> {
    let place = match scope {
        Scope::System => Place::system(Path::new("/")),
        // Only the machine's log depends on more than the home.
        Scope::User => Place::user(0, Path::new("/")),
    };
    render_at(&place, unit, old)
}

/// The property list of `unit` as XML. What `old` has beyond our own keys is kept, and so are
/// further variables of its environment; `Program` and `PARACHUTE_HUB_ORIGIN` are not.
pub fn render_at(place: &Place, unit: &Unit, old: Option<&Dictionary>) -> Result<Vec<u8>> {
    let scope = place.scope;
    let mut ours = read(TEMPLATE)
        .map_err(|why| Error::new(Code::Io, format!("the unit's template: {why}")))?;
    let binary = text(
        "the program's path",
        &unit.binary.to_string_lossy(),
        unit.binary.to_str(),
    )?;
    let root = unit.home.root();
    let home = text("the home's path", &root.to_string_lossy(), root.to_str())?;
    let path = text("PATH", &unit.path, Some(&unit.path))?;
    let log = place.log(&unit.home);
    let log = Value::from(text(
        "the log's path",
        &log.to_string_lossy(),
        log.to_str(),
    )?);
    ours.insert(
        "ProgramArguments".into(),
        Value::Array(vec![binary.into(), "serve".into()]),
    );
    if let Some(vars) = ours
        .get_mut("EnvironmentVariables")
        .and_then(Value::as_dictionary_mut)
    {
        vars.insert("PARACHUTE_HOME".into(), home.into());
        vars.insert("PORT".into(), unit.port.to_string().into());
        vars.insert("PARACHUTE_BIND_HOST".into(), unit.bind.to_string().into());
        vars.insert("PATH".into(), path.into());
    }
    ours.insert("StandardOutPath".into(), log.clone());
    ours.insert("StandardErrorPath".into(), log);
    if let Some(user) = &unit.user {
        ours.insert(
            "UserName".into(),
            text("the user's name", user, Some(user))?.into(),
        );
    }
    if scope == Scope::System {
        // Daemons are in the System session, which this key would leave out.
        ours.remove("LimitLoadToSessionType");
    }
    let whole = match old {
        None => ours,
        Some(old) => merge(old.clone(), ours, scope, unit.user.is_some()),
    };
    xml(&whole)
}

fn merge(mut old: Dictionary, ours: Dictionary, scope: Scope, user: bool) -> Dictionary {
    // Its `remove` would change the order of what stays.
    old.retain(|key, _| match key.as_str() {
        "Program" => false,
        "LimitLoadToSessionType" => scope == Scope::User,
        "UserName" => user,
        _ => true,
    });
    for (key, value) in ours {
        match (key.as_str(), old.get_mut(&key), value) {
            ("EnvironmentVariables", Some(Value::Dictionary(have)), Value::Dictionary(vars)) => {
                have.retain(|name, _| name != "PARACHUTE_HUB_ORIGIN");
                for (name, value) in vars {
                    have.insert(name, value);
                }
            }
            (_, _, value) => {
                old.insert(key, value);
            }
        }
    }
    old
}

/// A dictionary as XML with a line feed at its end.
pub fn xml(dict: &Dictionary) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Value::Dictionary(dict.clone())
        .to_writer_xml(&mut bytes)
        .map_err(|e| Error::new(Code::Io, format!("cannot write a property list: {e}")))?;
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// XML holds no control characters, and launchctl prints values raw, line feeds included.
fn text<'a>(what: &str, shown: &str, value: Option<&'a str>) -> Result<&'a str> {
    value
        .filter(|v| {
            !v.is_empty()
                && !v.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
        })
        .ok_or_else(|| {
            Error::new(
                Code::Usage,
                format!("{what} cannot stand in a property list: {shown:?}"),
            )
            .hint("use a path of plain UTF-8 text without control characters")
        })
}
