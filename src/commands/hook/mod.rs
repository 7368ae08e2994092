//! `parachute hook`: what the scripts of a package ask this program to do. Never asks a question,
//! never fails a transaction by itself, ends within [`BOUND`], says a line or two.

mod ground;
mod leftovers;
mod others;
mod tools;

use crate::{
    api::HUB_PORT,
    client::Client,
    context::Context,
    error::{Code, Error, Exit, Result},
    home::Home,
    lifecycle,
    manager::{
        Installed, Scope, ServiceManager, Unit, UnitState,
        systemd::{self, Systemd, UNIT},
    },
    os::identity,
    output::Output,
};
use ground::Ground;
use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

/// The whole of a hook.
const BOUND: Duration = Duration::from_secs(60);
/// How long the hub may take to answer its own health once systemd calls it started.
const HEALTH: Duration = Duration::from_secs(15);
/// The box of a machine that has its hub from a package.
pub(super) const HOME: &str = "/var/lib/parachute";
/// Where a package has the program.
const PROGRAM: &str = "/usr/bin/parachute";
/// The user that a packaged hub runs as.
const USER: &str = "parachute";

/// What the scripts of a package ask for
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    moment: Moment,
}

/// When it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Moment {
    /// The files are there for the first time: enable and start the hub, unless there is another
    PostInstall,
    /// The files are newer now: restart the hub if it runs
    PostUpgrade,
    /// The files are about to go: stop the hub, and have it not start again
    PreRemove,
    /// The files are gone
    PostRemove {
        /// Take away what the hub has made in its home, unless modules are registered there
        #[arg(long)]
        purge: bool,
    },
    /// Print the unit that a package brings
    Unit,
}

/// Carries it out.
pub async fn run(args: &Args, cx: &Context, out: &Output) -> Result<Exit> {
    let work = async {
        match args.moment {
            Moment::PostInstall => post_install(cx, out).await,
            Moment::PostUpgrade => post_upgrade(cx, out).await,
            Moment::PreRemove => pre_remove(cx, out).await,
            Moment::PostRemove { purge } => post_remove(purge, cx, out).await,
            Moment::Unit => print_unit(cx, out),
        }
    };
    match tokio::time::timeout(BOUND, work).await {
        Ok(Ok(())) => Ok(Exit::Success),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::new(
            Code::TimedOut,
            format!("the hook did not end within {} s", BOUND.as_secs()),
        )
        .hint(format!("`systemctl status {UNIT}` shows how far it got"))),
    }
}

fn say(out: &Output, what: impl Display) -> Result<()> {
    out.human(|to| writeln!(to, "parachute: {what}"))
        .map_err(|e| Error::new(Code::Io, format!("cannot write to stdout: {e}")))
}

/// The unit is known, enabled and started; or, where there is a reason, neither.
async fn post_install(cx: &Context, out: &Output) -> Result<()> {
    let ground = Ground::of(cx);
    if ground.live {
        tools::reload().await?;
    }
    let refused = match ground.policy("start").await {
        Some(said) => Some(said),
        None if ground.live => others::in_the_way(&look(cx).await?.1),
        None => others::on_disk(&ground.root),
    };
    if let Some(reason) = refused {
        tools::remember(&ground).await?;
        return say(
            out,
            format_args!(
                "the hub is neither enabled nor started: {reason}\n\
                 parachute: `systemctl enable --now {UNIT}` does both"
            ),
        );
    }
    if !tools::enable(&ground).await? {
        return say(
            out,
            format_args!(
                "the hub is not enabled: no systemd is here\n\
                 parachute: `systemctl enable --now {UNIT}` does it once there is; \
                 `parachute serve` runs a hub without"
            ),
        );
    }
    if !ground.live {
        return say(
            out,
            "the hub is enabled and starts at the next boot under systemd, which does not run here",
        );
    }
    let (_, before) = look(cx).await?;
    if matches!(before.state, UnitState::Running { .. }) {
        return say(out, format_args!("the hub runs on port {}", before.port));
    }
    tools::invoke(&ground, "start").await?;
    let version = answering(&before).await?;
    say(
        out,
        format_args!(
            "the hub {version} runs on port {}, its box is {}; `sudo parachute status` shows it",
            before.port,
            home(&before).root().display()
        ),
    )
}

/// A hub that runs gets the new program; one that does not is left alone.
async fn post_upgrade(cx: &Context, out: &Output) -> Result<()> {
    let ground = Ground::of(cx);
    tools::keep_enabled(&ground).await?;
    if !ground.live {
        return Ok(());
    }
    tools::reload().await?;
    let (_, unit) = look(cx).await?;
    let UnitState::Running { pid, .. } = unit.state else {
        return Ok(());
    };
    if !runs(pid) {
        return say(
            out,
            "the hub that runs is not this package's: it is left alone",
        );
    }
    if let Some(reason) = ground.policy("restart").await {
        return say(
            out,
            format_args!(
                "the hub goes on with the version of before: {reason}\n\
                 parachute: `systemctl restart {UNIT}` changes that"
            ),
        );
    }
    tools::invoke(&ground, "restart").await?;
    let version = answering(&unit).await?;
    say(out, format_args!("the hub runs again, version {version}"))
}

/// The hub of this package is stopped, and does not start at boot.
async fn pre_remove(cx: &Context, out: &Output) -> Result<()> {
    let ground = Ground::of(cx);
    if !ground.live {
        return tools::disable(&ground).await;
    }
    let (_, unit) = look(cx).await?;
    if unit.state == UnitState::NotInstalled {
        return Ok(());
    }
    if !of_this_package(&unit) {
        return say(
            out,
            "the hub unit that is there is not this package's: it is left alone",
        );
    }
    let stopped = match ground.policy("stop").await {
        Some(reason) => say(out, format_args!("the hub is not stopped: {reason}")),
        None => tools::invoke(&ground, "stop").await,
    };
    // One that would not stop is at least not started again.
    tools::disable(&ground).await?;
    stopped
}

/// Nothing of the package's own is left; the box stays, unless it is to go too and is empty.
async fn post_remove(purge: bool, cx: &Context, out: &Output) -> Result<()> {
    let ground = Ground::of(cx);
    if ground.live {
        tools::reload().await?;
    }
    if !purge {
        return Ok(());
    }
    let home = (cx.explicit.clone()).unwrap_or_else(|| Home::new(ground.root.join(&HOME[1..])));
    let kept = if cx.uid == 0 {
        leftovers::purge_as_owner(&home, cx)?
    } else {
        leftovers::purge(&home)?
    };
    match kept {
        Some(why) => say(out, why),
        None => Ok(()),
    }
}

fn print_unit(cx: &Context, out: &Output) -> Result<()> {
    let unit = Unit {
        binary: PROGRAM.into(),
        home: cx.explicit.clone().unwrap_or_else(|| Home::new(HOME)),
        port: HUB_PORT,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        path: super::init::search_path(Some(Path::new(HOME))),
        user: Some(USER.to_owned()),
    };
    let text = systemd::render(&unit)?;
    out.human(|to| to.write_all(text.as_bytes()))
        .map_err(|e| Error::new(Code::Io, format!("cannot write to stdout: {e}")))
}

/// The machine's hub unit. Only where systemd runs.
async fn look(cx: &Context) -> Result<(Systemd, Installed)> {
    let manager = Systemd::new(Scope::System, &lifecycle::systemd_caller(cx));
    let unit = manager.look().await?;
    Ok((manager, unit))
}

fn home(unit: &Installed) -> Home {
    unit.home.clone().unwrap_or_else(|| Home::new(HOME))
}

/// Waits for the hub's own health; gives the version that answers.
async fn answering(unit: &Installed) -> Result<String> {
    let uids = unit.uid.or_else(|| identity::owner(home(unit).root()).ok());
    let client = Client::new(home(unit), unit.port, uids.into_iter().collect());
    match client.wait_healthy(HEALTH, None).await {
        Ok(look) => Ok(look
            .health
            .version
            .unwrap_or_else(|| "of no version".into())),
        Err(error) => Err(error.hint(format!("`journalctl -u {UNIT}` shows what it said"))),
    }
}

/// Is this process the program of this package, or the one that was in its place until a moment
/// ago. Going by its command line, which is the unit's: the file it was started from may be gone.
fn runs(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).next() == Some(PROGRAM.as_bytes())
}

/// Does this unit run the program that is about to go.
fn of_this_package(unit: &Installed) -> bool {
    if let UnitState::Running { pid, .. } = unit.state {
        return runs(pid);
    }
    unit.path.as_deref().is_some_and(others::packaged)
}
