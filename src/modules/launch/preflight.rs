//! What can be known to be wrong with a launch before anything is spawned, told apart the way
//! people need it. Spawns nothing.

use super::Launch;
use crate::{
    api::{Install, StartError, StartErrorType},
    os::spawn::{self, Found, Plan},
};
use std::{ffi::OsStr, fs, io, path::Path};

/// Looks the executable and the folder up, before anything is spawned: missing
/// (`missing_dependency`), without its x bit or out of reach (`non_executable`), folder gone or
/// closed to us (`spawn_failed`).
pub fn preflight(launch: &Launch) -> Result<Plan, StartError> {
    let failed = |what: String| StartError::new(StartErrorType::SpawnFailed, what);
    if let Some(dir) = &launch.cwd
        && let Some(what) = unusable(dir)
    {
        return Err(failed(format!("its folder {} {what}", dir.display())));
    }
    let Some(program) = launch.argv.first().filter(|program| !program.is_empty()) else {
        return Err(failed("its start command is empty".to_owned()));
    };
    let path = launch
        .env
        .get(OsStr::new("PATH"))
        .map_or(OsStr::new(""), |path| path.as_os_str());
    match spawn::find(program, launch.cwd.as_deref(), path) {
        Found::Executable(file) => {
            let file = match &launch.cwd {
                Some(dir) if file.is_relative() => dir.join(file),
                _ => file,
            };
            Ok(launch.of(file))
        }
        Found::NotExecutable(file) => Err(StartError::new(
            StartErrorType::NonExecutable,
            format!(
                "{} is there, but may not be executed\nrun `chmod +x {}`",
                file.display(),
                shlex::try_quote(&file.to_string_lossy()).unwrap_or_default()
            ),
        )),
        // Of a bare name nobody says that it is in that very folder of PATH.
        Found::OutOfReach(file) if program.contains('/') => Err(StartError::new(
            StartErrorType::NonExecutable,
            format!(
                "{} may not be reached: a folder on the way to it does not let this user in\n\
                 open that folder (`chmod o+x`), or move the program to one that everybody may enter",
                file.display()
            ),
        )),
        Found::OutOfReach(file) => Err(missing(program, None, path, Some(&file))),
        Found::Missing => Err(missing(program, launch.cwd.as_deref(), path, None)),
    }
}

/// What keeps a program from running in a folder, with what to do about it.
fn unusable(dir: &Path) -> Option<&'static str> {
    match fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => Some(
            "is not a directory\ninstall the module anew, or correct `installDir` in services.json",
        ),
        Ok(_) if spawn::may_execute(dir) => None,
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Some("is gone\ninstall the module anew, or correct `installDir` in services.json")
        }
        _ => Some(
            "may not be entered by this user\n\
             open it and those above it (`chmod o+x`), or correct `installDir` in services.json",
        ),
    }
}

/// The program is nowhere to be found. A relative one with a `/` was looked for in the module's folder.
fn missing(program: &str, cwd: Option<&Path>, path: &OsStr, hidden: Option<&Path>) -> StartError {
    if program.contains('/') {
        let relative = Path::new(program);
        let relative = relative.strip_prefix(".").unwrap_or(relative);
        let file = cwd.unwrap_or(Path::new("")).join(relative);
        let file = file.display();
        return StartError {
            binary: Some(program.to_owned()),
            install: Some(Install::default()),
            sysadmin_hint: Some(format!("make sure that {file} exists")),
            ..StartError::new(
                StartErrorType::MissingDependency,
                format!("there is no file {file}"),
            )
        };
    }
    let closed = hidden
        .and_then(Path::parent)
        .map(|folder| format!("; {} does not let this user in", folder.display()))
        .unwrap_or_default();
    StartError {
        binary: Some(program.to_owned()),
        install: Some(install(program)),
        sysadmin_hint: Some(format!(
            "install `{program}` for all users, in /usr/local/bin for example, or name its folder in PARACHUTE_EXTRA_PATH"
        )),
        ..StartError::new(
            StartErrorType::MissingDependency,
            format!(
                "`{program}` is not on this machine's PATH\nlooked in {}{closed}",
                path.to_string_lossy()
            ),
        )
    }
}

/// How people commonly get a program.
fn install(program: &str) -> Install {
    let text = |text: &str| Some(text.to_owned());
    match program {
        "bun" => Install {
            darwin: text("brew install oven-sh/bun/bun"),
            linux: text("npm install -g bun"),
            generic: text("install bun from https://bun.sh"),
        },
        "node" | "npm" | "npx" => Install {
            darwin: text("brew install node"),
            linux: text("install `nodejs` and `npm` with the package manager"),
            generic: text("install Node.js from https://nodejs.org"),
        },
        _ => Install {
            darwin: None,
            linux: None,
            generic: Some(format!(
                "install the package that brings `{program}`, with `npm install -g` or `bun add -g` if it is one of theirs"
            )),
        },
    }
}
