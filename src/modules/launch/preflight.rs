//! What can be known to be wrong with a launch before anything is spawned, told apart the way
//! people need it. Spawns nothing.

use super::Launch;
use crate::{
    api::{Install, StartError, StartErrorType},
    os::spawn::{self, Found, Plan},
};
use std::ffi::OsStr;

/// Looks the executable and the folder up, before anything is spawned: missing
/// (`missing_dependency`), without its x bit (`non_executable`), folder gone (`spawn_failed`).
pub fn preflight(launch: &Launch) -> Result<Plan, StartError> {
    let failed = |what: String| StartError::new(StartErrorType::SpawnFailed, what);
    if let Some(dir) = &launch.cwd
        && !dir.is_dir()
    {
        let what = if dir.exists() {
            "is not a directory"
        } else {
            "is gone"
        };
        return Err(failed(format!(
            "its folder {} {what}\ninstall the module anew, or correct `installDir` in services.json",
            dir.display()
        )));
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
        Found::Missing => Err(missing(program, path)),
    }
}

/// The program is nowhere to be found.
fn missing(program: &str, path: &OsStr) -> StartError {
    if program.contains('/') {
        return StartError {
            binary: Some(program.to_owned()),
            install: Some(Install::default()),
            sysadmin_hint: Some(format!("make sure that {program} exists")),
            ..StartError::new(
                StartErrorType::MissingDependency,
                format!("there is no file {program}"),
            )
        };
    }
    StartError {
        binary: Some(program.to_owned()),
        install: Some(install(program)),
        sysadmin_hint: Some(format!(
            "install `{program}` for all users, in /usr/local/bin for example, or name its folder in PARACHUTE_EXTRA_PATH"
        )),
        ..StartError::new(
            StartErrorType::MissingDependency,
            format!(
                "`{program}` is not on this machine's PATH\nlooked in {}",
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
