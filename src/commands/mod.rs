//! A verb is a file: its arguments, whose doc comments are its help text, and `run`. This file
//! hands each verb what it needs: the box it acts on, as that box's owner.

pub mod add;
pub mod auth;
pub mod completions;
pub mod demo;
pub mod health;
pub mod hook;
pub mod init;
pub mod install;
pub mod is_active;
pub mod is_installed;
pub mod logs;
pub mod man;
pub mod remove;
pub mod restart;
pub mod serve;
pub mod start;
pub mod status;
pub mod stop;
pub mod testmodule;
pub mod uninstall;
pub mod uninstall_unit;
pub mod upgrade;
pub mod wait;

mod changes;
mod driving;
mod keeping;
mod operation;
mod watch;
mod when;

use crate::{
    cli::{OnBox, Own, Verb},
    context::Context,
    error::{Code, Error, Exit, Result, reason},
    home::Home,
    lifecycle::{self, Site},
    manager::{Scope, systemd},
    os::identity,
    output::Output,
};
use std::{ffi::OsString, io};

/// Names and values.
type Environment = Vec<(OsString, OsString)>;

/// Carries out one verb on a runtime of its own.
pub fn run(verb: &Verb, cx: &Context, out: &Output) -> Result<Exit> {
    if let Verb::Own(Own::Guardian) = verb {
        return Ok(serve::guard());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Sockets have their turn after every task: the routes answer while many modules boot.
        .event_interval(1)
        .build()
        .map_err(|e| Error::new(Code::Io, format!("cannot make a runtime: {e}")))?
        .block_on(async {
            match verb {
                Verb::OnBox(verb) => on_box(verb, cx, out).await,
                Verb::Own(verb) => own(verb, cx, out).await,
            }
        })
}

async fn own(verb: &Own, cx: &Context, out: &Output) -> Result<Exit> {
    match verb {
        Own::Serve(args) => serve::run(args, cx).await,
        Own::Init(args) => init::run(args, cx, out).await,
        Own::UninstallUnit(args) => uninstall_unit::run(args, cx, out).await,
        Own::Demo(args) => demo::run(args, cx, out).await,
        Own::Completions(args) => completions::run(args, out),
        Own::Man(args) => man::run(args, out),
        Own::Hook(args) => hook::run(args, cx, out).await,
        Own::UnitLook => unit_look(cx, out).await,
        Own::Guardian => Ok(serve::guard()),
        Own::TestModule(args) => testmodule::run(args, cx).await,
    }
}

async fn on_box(verb: &OnBox, cx: &Context, out: &Output) -> Result<Exit> {
    let mut site = lifecycle::detect(cx).await?;
    if let Some(exit) = as_owner(verb, cx, &site)? {
        return Ok(exit);
    }
    if !tells_itself(verb) {
        for note in &site.notes {
            cx.tell.say(note);
        }
    }
    match verb {
        OnBox::Status(args) => status::run(args, &site, out).await,
        OnBox::Start(args) => start::run(args, &mut site, out).await,
        OnBox::Stop(args) => stop::run(args, &site, out).await,
        OnBox::Restart(args) => restart::run(args, &mut site, out).await,
        OnBox::Logs(args) => logs::run(args, &site, out).await,
        OnBox::Add(args) => add::run(args, &mut site, out).await,
        OnBox::Remove(args) => remove::run(args, &site, out).await,
        OnBox::Install(args) => install::run(args, &site, out).await,
        OnBox::Upgrade(args) => upgrade::run(args, &site, out).await,
        OnBox::Uninstall(args) => uninstall::run(args, &site, out).await,
        OnBox::IsActive(args) => is_active::run(args, &site, out).await,
        OnBox::IsInstalled(args) => is_installed::run(args, &site, out).await,
        OnBox::Wait(args) => wait::run(args, &site, cx, out).await,
        OnBox::Health(args) => health::run(args, &site, out).await,
        OnBox::Auth(args) => auth::run(args, cx, &site, out).await,
    }
}

/// A status has the notes in it; what is for scripts prints nothing but its answer.
fn tells_itself(verb: &OnBox) -> bool {
    matches!(
        verb,
        OnBox::Status(_)
            | OnBox::IsActive(_)
            | OnBox::IsInstalled(_)
            | OnBox::Wait(_)
            | OnBox::Health(_)
    )
}

/// What root asks this program as another user: how that user's unit stands.
async fn unit_look(cx: &Context, out: &Output) -> Result<Exit> {
    let json = systemd::look_as_json(&lifecycle::systemd_caller(cx)).await;
    out.human(|to| writeln!(to, "{json}"))
        .map_err(|e| Error::new(Code::Io, format!("cannot write to stdout: {e}")))?;
    Ok(Exit::Success)
}

/// Root acts on somebody else's home as its owner: in a child that has dropped its privileges, so
/// that a link planted in that home leads nowhere (contract, section 1).
///
/// A unit of the machine is root's to drive, and reading the home follows no link out of it; what
/// writes into the home is the owner's even there.
fn as_owner(verb: &OnBox, cx: &Context, site: &Site) -> Result<Option<Exit>> {
    let writes = matches!(verb, OnBox::Add(_) | OnBox::Remove(_) | OnBox::Auth(_));
    if cx.uid != 0 || site.owner == 0 || (site.unit == Some(Scope::System) && !writes) {
        return Ok(None);
    }
    as_user(cx, &site.home, site.owner).map(Some)
}

/// Runs this same command line as the owner of a home; gives its exit status.
fn as_user(cx: &Context, home: &Home, owner: u32) -> Result<Exit> {
    let user = identity::owning(owner, home.root());
    let (args, env) = handed(cx, home, |_| false);
    let status =
        identity::run_as(&user, &args, &env).map_err(|error| not_as(&user.name, &error))?;
    Ok(Exit::of_status(status))
}

/// Goes on with this same command line as the owner of a home, in this very process; what a hub's
/// keeper tells it goes along. Comes back only with why not.
fn become_user(cx: &Context, home: &Home, owner: u32) -> Error {
    let user = identity::owning(owner, home.root());
    let (args, env) = handed(cx, home, of_the_keeper);
    not_as(&user.name, &identity::become_for_good(&user, &args, &env))
}

fn not_as(name: &str, error: &io::Error) -> Error {
    Error::new(
        Code::NoPermission,
        format!("cannot act as {name}: {}", reason(error)),
    )
}

/// The command line and the environment that the home's owner gets from root.
fn handed(cx: &Context, home: &Home, too: impl Fn(&str) -> bool) -> (Vec<OsString>, Environment) {
    let mut args: Vec<OsString> = vec!["--home".into(), home.root().into()];
    args.extend(without_home(&cx.args));
    let env = cx.env.iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        handed_on(&name) || too(&name)
    });
    (args, env.map(|(n, v)| (n.clone(), v.clone())).collect())
}

/// Variables that the home's owner gets from root: their processes' environments can be read by
/// them, so nothing that may be secret.
fn handed_on(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "PATH",
        "PORT",
        "TERM",
        "COLORTERM",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "LANG",
        "TZ",
        "TMPDIR",
    ];
    NAMES.contains(&name)
        || name.starts_with("LC_")
        || (name.starts_with("PARACHUTE_") && name != "PARACHUTE_HOME")
}

/// What a service manager says to the process that it has started, and to no other.
fn of_the_keeper(name: &str) -> bool {
    name == "NOTIFY_SOCKET" || name.starts_with("WATCHDOG_") || name.starts_with("LISTEN_")
}

/// The command line less `--home`, which goes in front; what follows `--` is the module's.
fn without_home(args: &[OsString]) -> Vec<OsString> {
    let mut out = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            out.push(arg.clone());
            break;
        }
        if arg == "--home" {
            rest.next();
        } else if !arg.to_string_lossy().starts_with("--home=") {
            out.push(arg.clone());
        }
    }
    out.extend(rest.cloned());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_told_where_the_hub_is_and_what_its_keeper_says() {
        for name in ["PATH", "PORT", "PARACHUTE_BIND_HOST", "LC_ALL"] {
            assert!(handed_on(name), "{name}");
        }
        for name in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "LISTEN_FDS",
        ] {
            assert!(of_the_keeper(name) && !handed_on(name), "{name}");
        }
        for name in ["PARACHUTE_HOME", "SECRET", "SUDO_UID", "SSH_AUTH_SOCK"] {
            assert!(!of_the_keeper(name) && !handed_on(name), "{name}");
        }
    }

    #[test]
    fn home_is_taken_out_of_the_command_line_but_not_out_of_a_modules() {
        let args = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
        let given = args(&[
            "--home",
            "/a",
            "add",
            "x",
            "--home=/b",
            "--",
            "run",
            "--home",
            "/c",
        ]);
        assert_eq!(
            without_home(&given),
            args(&["add", "x", "--", "run", "--home", "/c"])
        );
    }
}
