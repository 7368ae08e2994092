//! From what systemd says of the hub's unit to what the rest of the program wants to know of it:
//! whose hub it is, where it lives and how it stands.

use super::{Caller, environment, facts::Facts};
use crate::{
    api::HUB_PORT,
    home::Home,
    manager::{Environment, Installed, Scope, UnitState},
    os::identity,
};
use std::{io::Read, path::PathBuf, time::Duration};

/// Reads the unit's environment files, and the user database, too.
pub(super) fn read(facts: &Facts, scope: Scope, caller: &Caller) -> Installed {
    let (env, mut notes) = environment::gather(facts);
    let user = match scope {
        Scope::User => identity::user(caller.uid),
        Scope::System if facts.user.is_empty() => identity::user(0),
        Scope::System => identity::user_named(&facts.user).or_else(|| {
            let uid = facts.user.parse().ok()?;
            identity::user(uid)
        }),
    };
    let state = facts.state();
    let there = state != UnitState::NotInstalled;
    if there && user.is_none() && !facts.user.is_empty() {
        notes.push(format!(
            "the unit runs as {}, a user that does not exist",
            facts.user
        ));
    }
    let dir = match scope {
        Scope::User => (caller.user_dir.clone()).or_else(|| user.as_ref().map(|u| u.dir.clone())),
        Scope::System => user.as_ref().map(|user| user.dir.clone()),
    };
    let ours = is_ours(&facts.exec);
    let port = port(facts, &env, ours).unwrap_or_else(|odd| {
        notes.push(format!(
            "the unit's port is {odd:?}, which is none; {HUB_PORT} is assumed"
        ));
        HUB_PORT
    });
    if facts.stale_file {
        let ctl = match scope {
            Scope::System => "systemctl",
            Scope::User => "systemctl --user",
        };
        notes.push(format!(
            "the unit's file has changed since systemd read it: `{ctl} daemon-reload`"
        ));
    }
    if matches!(state, UnitState::Running { .. }) {
        match facts.load.as_str() {
            "masked" => notes.push("the unit is masked: once stopped, it stays so".into()),
            "not-found" => notes.push("the unit's file is gone: once stopped, it stays so".into()),
            _ => {}
        }
    }
    Installed {
        scope,
        path: facts.path.clone(),
        enabled: facts.enabled(),
        home: home(facts, &env, dir, ours),
        port,
        uid: match scope {
            Scope::User => Some(caller.uid),
            Scope::System => user.map(|user| user.uid),
        },
        ours,
        drop_ins: facts.drop_ins.clone(),
        restarts: there.then_some(facts.restarts),
        cpu: facts.cpu.map(Duration::from_nanos),
        memory: facts.memory,
        state,
        notes,
    }
}

/// Is it this program: `parachute … serve`, and a program, not a script of that name, as the hub
/// of another make is.
pub(super) fn is_ours(exec: &[String]) -> bool {
    let [program, args @ ..] = exec else {
        return false;
    };
    let program = std::path::Path::new(program);
    let named = program.file_name().is_some_and(|name| name == "parachute");
    let mut magic = [0; 2];
    let script = std::fs::File::open(program)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok_and(|()| magic == *b"#!");
    named && !script && args.iter().any(|arg| arg == "serve")
}

/// The value of `--name X` or `--name=X`.
fn flag<'a>(exec: &'a [String], name: &str) -> Option<&'a str> {
    let mut args = exec.iter().skip(1);
    while let Some(arg) = args.next() {
        if arg == name {
            return args.next().map(String::as_str);
        }
        if let Some(value) = arg
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value);
        }
    }
    None
}

fn home(facts: &Facts, env: &Environment, dir: Option<PathBuf>, ours: bool) -> Option<Home> {
    let given = ours.then(|| flag(&facts.exec, "--home")).flatten();
    let given = given.or_else(|| env.get("PARACHUTE_HOME").map(String::as_str));
    if let Some(given) = given.filter(|given| given.starts_with('/')) {
        return Some(Home::new(given));
    }
    let dir = match env.get("HOME").filter(|home| home.starts_with('/')) {
        Some(home) => Some(PathBuf::from(home)),
        None => dir,
    };
    dir.map(|dir| Home::new(dir.join(".parachute")))
}

fn port<'a>(facts: &'a Facts, env: &'a Environment, ours: bool) -> Result<u16, &'a str> {
    let given = ours.then(|| flag(&facts.exec, "--port")).flatten();
    match given.or_else(|| env.get("PORT").map(String::as_str)) {
        None | Some("") => Ok(HUB_PORT),
        Some(text) => match text.parse() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(text),
        },
    }
}
