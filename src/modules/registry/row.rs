//! One row: from JSON to what we know of it, or the field that is wrong. Unknown fields are
//! nobody's business here.

use super::{Exposure, Row};
use serde_json::{Map, Number, Value};
use std::path::{Path, PathBuf};

/// The field that is wrong, and what about it.
type Wrong = (&'static str, String);

/// Reads a row by the rules of the contract's section 2; null counts as absent. Names are checked elsewhere.
pub(super) fn parse(value: &Value) -> Result<Row, Wrong> {
    let fields = value
        .as_object()
        .ok_or_else(|| ("", "is not an object".to_owned()))?;
    let name = text(fields, "name")?;
    let port = port(fields)?;
    let health = text(fields, "health")?;
    if !health.starts_with('/') || health.chars().any(char::is_control) {
        return Err(("health", "must start with `/`".to_owned()));
    }
    Ok(Row {
        name,
        port,
        paths: paths(fields)?,
        health,
        version: text(fields, "version")?,
        display_name: optional(fields, "displayName")?,
        tagline: optional(fields, "tagline")?,
        install_dir: install_dir(fields)?,
        exposure: exposure(fields)?,
        strip_prefix: match present(fields, "stripPrefix") {
            None => None,
            Some(Value::Bool(yes)) => Some(*yes),
            Some(_) => return Err(("stripPrefix", "must be true or false".to_owned())),
        },
        uis: uis(fields)?,
        last_start_error: present(fields, "lastStartError")
            .and_then(|error| serde_json::from_value(error.clone()).ok()),
    })
}

fn present<'a>(fields: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    fields.get(field).filter(|value| !value.is_null())
}

fn optional(fields: &Map<String, Value>, field: &'static str) -> Result<Option<String>, Wrong> {
    match present(fields, field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err((field, "must be a string".to_owned())),
    }
}

fn text(fields: &Map<String, Value>, field: &'static str) -> Result<String, Wrong> {
    optional(fields, field)?.ok_or_else(|| (field, "is missing".to_owned()))
}

fn port(fields: &Map<String, Value>) -> Result<u16, Wrong> {
    let value = present(fields, "port").ok_or_else(|| ("port", "is missing".to_owned()))?;
    value
        .as_number()
        .and_then(integer)
        .filter(|&port| port > 0)
        .ok_or_else(|| ("port", "must be an integer from 1 to 65535".to_owned()))
}

/// JSON has one kind of number: `1940.0` and `1.94e3` are the integer 1940 too.
fn integer(number: &Number) -> Option<u16> {
    if let Some(whole) = number.as_u64() {
        return u16::try_from(whole).ok();
    }
    let value = number.as_f64()?;
    (value.fract() == 0.0 && (0.0..=65535.0).contains(&value)).then_some(value as u16)
}

fn paths(fields: &Map<String, Value>) -> Result<Vec<String>, Wrong> {
    let wrong = || ("paths", "must be an array of strings".to_owned());
    let Some(value) = present(fields, "paths") else {
        return Err(("paths", "is missing".to_owned()));
    };
    value
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .map(|path| path.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect()
}

fn install_dir(fields: &Map<String, Value>) -> Result<Option<PathBuf>, Wrong> {
    match optional(fields, "installDir")? {
        None => Ok(None),
        Some(dir) if Path::new(&dir).is_absolute() && !dir.contains('\0') => {
            Ok(Some(PathBuf::from(dir)))
        }
        Some(_) => Err(("installDir", "must be an absolute path".to_owned())),
    }
}

fn exposure(fields: &Map<String, Value>) -> Result<Option<Exposure>, Wrong> {
    match optional(fields, "publicExposure")?.as_deref() {
        None => Ok(None),
        Some("allowed") => Ok(Some(Exposure::Allowed)),
        Some("loopback") => Ok(Some(Exposure::Loopback)),
        Some("auth-required") => Ok(Some(Exposure::AuthRequired)),
        Some(_) => Err((
            "publicExposure",
            "must be `allowed`, `loopback` or `auth-required`".to_owned(),
        )),
    }
}

fn uis(fields: &Map<String, Value>) -> Result<Option<Value>, Wrong> {
    let Some(value) = present(fields, "uis") else {
        return Ok(None);
    };
    let fits = |ui: &Value| {
        ["displayName", "path"]
            .iter()
            .all(|field| ui.get(field).is_some_and(Value::is_string))
    };
    match value.as_object() {
        Some(uis) if uis.values().all(fits) => Ok(Some(value.clone())),
        _ => Err((
            "uis",
            "must map each slug to an object with `displayName` and `path`".to_owned(),
        )),
    }
}
