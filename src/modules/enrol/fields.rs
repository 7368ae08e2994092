//! The fields of a row that is being made: what the command line may say, and what a row gets
//! from it. Looks at a module's folder, touches nothing.

use super::{Addition, version};
use crate::{
    error::{Code, Error, Result},
    home::Home,
    modules::registry::{Name, Row},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the command line says, by itself.
pub(super) fn check(addition: &Addition) -> Result<()> {
    let usage = |what: &str| Err(Error::new(Code::Usage, what));
    let odd = |text: &String| text.chars().any(|c| c.is_control() || c == ' ');
    if addition.port == 0 {
        return usage("a port is a number from 1 to 65535");
    }
    for path in addition.health.iter().chain(&addition.paths) {
        if !path.starts_with('/') || odd(path) {
            return usage(&format!("{path:?} is no path: it must start with `/`"));
        }
    }
    if addition.command.first().is_some_and(String::is_empty) {
        return usage("the start command is empty");
    }
    if addition.command.iter().any(|word| word.contains('\0')) {
        return usage("the start command has a NUL character");
    }
    let shown = [&addition.display_name, &addition.tagline];
    if shown
        .into_iter()
        .flatten()
        .any(|text| text.chars().any(char::is_control))
    {
        return usage("a name for people and a tagline have no control characters");
    }
    Ok(())
}

/// The start command as it is written. Without a folder that somebody named, now or for the row
/// that is replaced, a program's relative path is relative to the folder that we are in: the one
/// under the home is made for the module and has no program in it.
pub(super) fn command(
    home: &Home,
    name: &Name,
    addition: &Addition,
    old: Option<&Row>,
) -> Result<Vec<String>> {
    let mut command = addition.command.clone();
    if let Some(program) = command.first_mut()
        && program.contains('/')
        && !has_folder(home, name, addition, old)
    {
        *program = utf8(absolute(Path::new(program))?)?;
    }
    Ok(command)
}

/// Has somebody named a folder for it, now or for the row that is replaced.
fn has_folder(home: &Home, name: &Name, addition: &Addition, old: Option<&Row>) -> bool {
    let kept = old.and_then(|row| row.install_dir.as_ref());
    addition.dir.is_some() || kept.is_some_and(|dir| *dir != home.at(name.short()))
}

/// A word of the command, after the program, that names a file beside the person who types and will not
/// be found from the folder that the module runs in.
pub(super) fn left_behind(
    home: &Home,
    name: &Name,
    addition: &Addition,
    old: Option<&Row>,
) -> Option<String> {
    if has_folder(home, name, addition, old) {
        return None;
    }
    let folder = home.at(name.short());
    let here = |word: &&String| {
        let path = Path::new(word.as_str());
        path.is_relative() && path.is_file() && !folder.join(path).exists()
    };
    let word = addition.command.iter().skip(1).find(here)?;
    Some(format!(
        "`{word}` is looked for in {}, where the module runs; `--dir .` runs it here",
        folder.display()
    ))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io("find", path, &error))
}

/// A module's folder, absolute.
pub(super) fn folder(dir: &Path) -> Result<String> {
    let path = absolute(dir)?;
    let meta = std::fs::metadata(&path).map_err(|error| Error::io("look at", &path, &error))?;
    if !meta.is_dir() {
        return Err(Error::new(
            Code::Usage,
            format!("{} is not a directory", path.display()),
        ));
    }
    utf8(path)
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Error::new(
            Code::Usage,
            format!(
                "{} is not UTF-8 text, which the files of a home have to be",
                path.display()
            ),
        )
    })
}

/// The fields that a row gets, in the order that a new one has them.
pub(super) fn of(
    home: &Home,
    name: &Name,
    addition: &Addition,
    old: Option<&Row>,
    dir: Option<&str>,
) -> Result<Vec<(&'static str, Value)>> {
    let mut fields = vec![
        ("name", json!(name.service())),
        ("port", json!(addition.port)),
    ];
    if old.is_none() || !addition.paths.is_empty() {
        fields.push(("paths", json!(addition.paths)));
    }
    match &addition.health {
        Some(health) => fields.push(("health", json!(health))),
        None if old.is_none() => fields.push(("health", json!("/health"))),
        None => {}
    }
    match dir {
        Some(dir) => fields.push(("version", json!(version::of(Path::new(dir))))),
        None if old.is_none() => fields.push(("version", json!(version::UNKNOWN))),
        None => {}
    }
    if let Some(text) = &addition.display_name {
        fields.push(("displayName", json!(text)));
    }
    if let Some(text) = &addition.tagline {
        fields.push(("tagline", json!(text)));
    }
    let has_dir = old.is_some_and(|row| row.install_dir.is_some());
    match dir {
        Some(dir) => fields.push(("installDir", json!(dir))),
        None if !addition.command.is_empty() && !has_dir => {
            let dir = home.at(name.short());
            let text = dir.to_str().ok_or_else(|| {
                Error::new(
                    Code::HomeUnusable,
                    format!(
                        "{} is not UTF-8 text, which services.json has to be",
                        dir.display()
                    ),
                )
            })?;
            fields.push(("installDir", json!(text)));
        }
        None => {}
    }
    Ok(fields)
}
