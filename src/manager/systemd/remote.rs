//! A look at another user's unit, for root: a user's bus refuses everybody else, so this program
//! runs itself as that user, who looks and answers in JSON.

use super::{Caller, booted, look_at};
use crate::{
    error::{Code, Error, Result},
    manager::{Installed, Scope},
    os::identity::User,
};
use std::{path::Path, process::Stdio, time::Duration};

/// Longer than the look itself may take.
const LOOK: Duration = Duration::from_secs(8);
/// The verb, not for people, under which this program looks for another.
pub(super) const VERB: &str = "__unit-look";

/// What `parachute __unit-look` prints: `null`, or the user's unit; or `{"code","message","hint"}`.
pub async fn look_as_json(caller: &Caller) -> String {
    let answer = match look_at(Scope::User, caller).await {
        Ok(unit) => serde_json::to_string(&Answer::Unit(unit)),
        Err(error) => serde_json::to_string(&Answer::Error {
            message: error.message,
            hint: error.hint,
        }),
    };
    answer.unwrap_or_else(|_| "null".into())
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Unit(Option<Installed>),
    Error {
        message: String,
        hint: Option<String>,
    },
}

/// Looks, as root, at the unit of a user's own manager; `exe` is this program. `None` also where
/// that user has no manager.
pub async fn look_for_user(user: &User, exe: &Path) -> Result<Option<Installed>> {
    let runtime_dir = format!("/run/user/{}", user.uid);
    if !booted() || !user.dir.is_dir() {
        return Ok(None);
    }
    let odd = |why: String| {
        Error::new(
            Code::ManagerUnreachable,
            format!("cannot look at the units of {}: {why}", user.name),
        )
    };
    // With a uid given and no groups, std gives up root's supplementary groups, too.
    let child = tokio::process::Command::new(exe)
        .arg(VERB)
        .env_clear()
        .env("HOME", &user.dir)
        .env("USER", &user.name)
        .env("LOGNAME", &user.name)
        .env("XDG_RUNTIME_DIR", runtime_dir)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .uid(user.uid)
        .gid(user.gid)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(LOOK, child).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(odd(crate::error::reason(&error))),
        Err(_) => return Err(odd("no answer".into())),
    };
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::Unit(unit)) => Ok(unit),
        Ok(Answer::Error { message, hint }) => {
            let error = Error::new(Code::ManagerUnreachable, message);
            Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            })
        }
        Err(_) => Err(odd("its answer cannot be read".into())),
    }
}
