//! A verb is a file: its arguments, whose doc comments are its help text, and `run`. This file
//! hands each verb what it needs: the box it acts on, as that box's owner.

pub mod add;
pub mod auth;
pub mod demo;
pub mod health;
pub mod init;
pub mod is_active;
pub mod is_installed;
pub mod logs;
pub mod remove;
pub mod restart;
pub mod serve;
pub mod start;
pub mod status;
pub mod stop;
pub mod testmodule;
pub mod uninstall_unit;
pub mod wait;

mod changes;
mod keeping;

use crate::{
    cli::Verb,
    context::Context,
    error::{Code, Error, Exit, Result},
    home::Home,
    lifecycle::{self, Site},
    manager::{Scope, systemd},
    os::identity,
    output::Output,
};
use std::ffi::OsString;

/// Carries out one verb on a runtime of its own.
pub fn run(verb: &Verb, cx: &Context, out: &Output) -> Result<Exit> {
    if let Verb::Guardian = verb {
        return Ok(serve::guard());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Sockets have their turn after every task: the routes answer while many modules boot.
        .event_interval(1)
        .build()
        .map_err(|e| Error::new(Code::Io, format!("cannot make a runtime: {e}")))?
        .block_on(dispatch(verb, cx, out))
}

async fn dispatch(verb: &Verb, cx: &Context, out: &Output) -> Result<Exit> {
    match verb {
        Verb::Serve(args) => return serve::run(args, cx).await,
        Verb::Demo(args) => return demo::run(args, cx, out).await,
        Verb::TestModule(args) => return testmodule::run(args, cx).await,
        Verb::Init(args) => return init::run(args, cx, out).await,
        Verb::UninstallUnit(args) => return uninstall_unit::run(args, cx, out).await,
        Verb::UnitLook => return unit_look(cx, out).await,
        _ => {}
    }
    let mut site = lifecycle::detect(cx).await?;
    for note in &site.notes {
        cx.tell.say(note);
    }
    if let Some(exit) = as_owner(verb, cx, &site)? {
        return Ok(exit);
    }
    match verb {
        Verb::Status(args) => status::run(args, &site, out).await,
        Verb::Start(args) => start::run(args, &mut site, out).await,
        Verb::Stop(args) => stop::run(args, &site, out).await,
        Verb::Restart(args) => restart::run(args, &mut site, out).await,
        Verb::Logs(args) => logs::run(args, &site, out).await,
        Verb::Add(args) => add::run(args, &mut site, out).await,
        Verb::Remove(args) => remove::run(args, &site, out).await,
        Verb::IsActive(args) => is_active::run(args, &site, out).await,
        Verb::IsInstalled(args) => is_installed::run(args, &site, out).await,
        Verb::Wait(args) => wait::run(args, &site, cx, out).await,
        Verb::Health(args) => health::run(args, &site, out).await,
        Verb::Auth(args) => auth::run(args, cx, &site.home, out).await,
        Verb::Serve(_)
        | Verb::Guardian
        | Verb::Demo(_)
        | Verb::TestModule(_)
        | Verb::Init(_)
        | Verb::UninstallUnit(_)
        | Verb::UnitLook => Ok(Exit::Success),
    }
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
fn as_owner(verb: &Verb, cx: &Context, site: &Site) -> Result<Option<Exit>> {
    let writes = matches!(verb, Verb::Add(_) | Verb::Remove(_) | Verb::Auth(_));
    if cx.uid != 0 || site.owner == 0 || (site.unit == Some(Scope::System) && !writes) {
        return Ok(None);
    }
    as_user(cx, &site.home, site.owner).map(Some)
}

/// Runs this same command line as the owner of a home; gives its exit status.
fn as_user(cx: &Context, home: &Home, owner: u32) -> Result<Exit> {
    let user = identity::user(owner).ok_or_else(|| {
        Error::new(
            Code::HomeUnusable,
            format!(
                "{} belongs to uid {}, which this machine does not know",
                home.root().display(),
                owner
            ),
        )
        .hint("give that uid a name, or the folder another owner")
    })?;
    let mut args: Vec<OsString> = vec!["--home".into(), home.root().into()];
    args.extend(without_home(&cx.args));
    let env: Vec<_> = cx
        .env
        .iter()
        .filter(|(name, _)| handed_on(name))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let status = identity::run_as(&user, &args, &env).map_err(|e| {
        Error::new(
            Code::NoPermission,
            format!("cannot act as {}: {e}", user.name),
        )
    })?;
    Ok(Exit::of_status(status))
}

/// Variables that the home's owner gets from root: their processes' environments can be read by
/// them, so nothing that may be secret.
fn handed_on(name: &OsString) -> bool {
    const NAMES: &[&str] = &[
        "PATH",
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
    let name = name.to_string_lossy();
    NAMES.contains(&&*name)
        || name.starts_with("LC_")
        || (name.starts_with("PARACHUTE_") && name != "PARACHUTE_HOME")
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
