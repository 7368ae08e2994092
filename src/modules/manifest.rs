//! `module.json` (contract, section 3): reading the one of a row, and the text of one for a
//! command given to `add`. Runs nothing and changes nothing.

use super::{registry::Row, surrogates};
use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
    os::files,
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// More than any manifest has, in bytes.
pub(super) const LIMIT: u64 = 1024 * 1024;

/// What a manifest says that we use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// `displayName`
    pub display_name: Option<String>,
    /// `tagline`
    pub tagline: Option<String>,
    /// `startCmd`, non-empty.
    pub start_cmd: Option<Vec<String>>,
    /// `parachute add` wrote it, so `add` and `remove` may change it.
    pub ours: bool,
}

/// The field that marks a manifest as written by `add`.
const MARK: (&str, &str) = ("writtenBy", "parachute add");

/// The manifest of a row: what `add` wrote for its command under the home, else the one of its
/// `installDir`; `None` when there is none.
pub fn read(home: &Home, row: &Row) -> Result<Option<Manifest>> {
    if let Some(manifest) = read_own(home, row.short())? {
        return Ok(Some(manifest));
    }
    let Some(dir) = &row.install_dir else {
        return Ok(None);
    };
    let path = of_dir(dir);
    match read_file(&path)? {
        Some(bytes) => parse(&bytes, &path).map(Some),
        None => Ok(None),
    }
}

/// The manifest under the home itself; `None` when there is none.
pub fn read_own(home: &Home, short: &str) -> Result<Option<Manifest>> {
    let path = rel::manifest(short);
    match files::read(home, &path, LIMIT)? {
        Some(bytes) => parse(&bytes, &home.at(path)).map(Some),
        None => Ok(None),
    }
}

/// Where a module keeps its own manifest.
pub fn of_dir(dir: &Path) -> PathBuf {
    dir.join(".parachute").join("module.json")
}

/// Reads a manifest's text; `file` is only named in messages. What is merely for show and of the
/// wrong type is passed over.
pub fn parse(bytes: &[u8], file: &Path) -> Result<Manifest> {
    let wrong = |what: &str| {
        Error::new(Code::ManifestBroken, format!("{} {what}", file.display()))
            .hint("correct that file, or move it out of the way")
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let root = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(&surrogates::readable(text)),
        Err(_) => serde_json::from_slice(bytes),
    };
    let root: Value = root.map_err(|error| wrong(&format!("is not valid JSON: {error}")))?;
    let fields = root
        .as_object()
        .ok_or_else(|| wrong("is not a JSON object"))?;
    let start_cmd = match fields.get("startCmd").filter(|cmd| !cmd.is_null()) {
        None => None,
        Some(value) => {
            let command: Option<Vec<String>> = value
                .as_array()
                .and_then(|words| words.iter().map(word).collect());
            Some(
                command
                    .filter(|words| words.first().is_some_and(|program| !program.is_empty()))
                    .ok_or_else(|| {
                        wrong(
                            "has a `startCmd` that is not an array of strings with a program first",
                        )
                    })?,
            )
        }
    };
    let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
    Ok(Manifest {
        display_name: text("displayName"),
        tagline: text("tagline"),
        start_cmd,
        ours: text(MARK.0).as_deref() == Some(MARK.1),
    })
}

/// A string that can be an argument.
fn word(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.contains('\0'))
        .map(str::to_owned)
}

/// The text of the manifest that `add` writes for a command.
pub fn render(row: &Row, command: &[String]) -> Result<Vec<u8>> {
    let mut fields = Map::new();
    for (field, value) in [
        ("name", json!(row.short())),
        ("manifestName", json!(row.name)),
        ("port", json!(row.port)),
        ("paths", json!(row.paths)),
        ("health", json!(row.health)),
        ("displayName", json!(row.display_name)),
        ("tagline", json!(row.tagline)),
        ("startCmd", json!(command)),
        (MARK.0, json!(MARK.1)),
    ] {
        if !value.is_null() {
            fields.insert(field.to_owned(), value);
        }
    }
    let mut text = serde_json::to_vec_pretty(&fields)
        .map_err(|error| Error::new(Code::Io, format!("cannot render a manifest: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

/// A file of a module's own folder, which may be anywhere; at most 1 MiB, `None` when it is not
/// there. Blocks on no FIFO.
pub(super) fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let failed = |error| Error::io("read", path, &error);
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(failed(errno.into())),
    };
    let wrong = |what| Error::new(Code::ManifestBroken, format!("{} {what}", path.display()));
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(wrong("is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(wrong("is larger than 1 MiB"));
    }
    Ok(Some(bytes))
}
