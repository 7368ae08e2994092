//! `parachute init`: the hub as a unit of this machine or this user. Decides what the unit is to
//! say; the manager's room knows how it gets there.

use super::keeping::{self, Draft, Keeper, Told};
use crate::{
    api::HUB_PORT,
    client::Client,
    context::Context,
    error::{Code, Error, Exit, Result},
    home::Home,
    lifecycle,
    manager::{Installed, Scope, Tail, Unit, UnitState},
    os::{
        identity::{self, User},
        port::{Holder, Listeners, holder},
    },
    output::Output,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a hub may take to answer its own health.
const HEALTH: Duration = Duration::from_secs(15);
/// How many of the hub's last lines go with a failure.
const EXCERPT: usize = 50;
/// Where programs are on every machine, for modules; what people have beyond that follows.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Make the hub a service that starts at boot
///
/// As root: a unit of the machine, run as the user who called sudo or as `--run-as` says. Else: a
/// unit of yours, kept running without a session. What is there already and right stays untouched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The user whose box it is, for a unit of the machine
    #[arg(long, value_name = "USER")]
    pub run_as: Option<String>,
    /// The hub's port [default: the unit's, else 1939]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Install it, and leave the hub as it is
    #[arg(long)]
    pub no_start: bool,
    /// Print the unit and do nothing
    #[arg(long)]
    pub print: bool,
    /// Say what would be done, in order, and do none of it
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a unit that runs a hub of other make
    #[arg(long)]
    pub replace: bool,
    /// Use a program in a build or temporary folder
    #[arg(long)]
    pub force: bool,
}

/// Carries it out.
pub async fn run(args: &Args, cx: &Context, out: &Output) -> Result<Exit> {
    let scope = keeping::scope(cx);
    if args.print {
        let text = Keeper::render(&wanted(args, cx, scope, None)?)?;
        return Ok(out.text("unit", &text));
    }
    let keeper = Keeper::of(cx)?;
    let there = keeper.there().await?;
    let unit = wanted(args, cx, scope, there.as_ref())?;
    if let Some(rival) = keeper.rival(cx, &unit).await {
        return Err(two_units(&rival, &unit));
    }
    let mut draft = keeper.install(&unit).await?;
    if draft.replaces_other && !args.replace {
        return Err(Error::new(
            Code::Refused,
            format!(
                "the unit that is there, {}, runs a hub of other make",
                shown(there.as_ref())
            ),
        )
        .hint(
            "`--replace` puts this one in its place; with the other go the box's sign-in, its web \
             interface and its proxy",
        ));
    }
    let up = there
        .as_ref()
        .is_some_and(|unit| matches!(unit.state, UnitState::Running { .. }));
    let same_port = there.as_ref().is_some_and(|there| there.port == unit.port);
    let stays = args.no_start || (up && same_port);
    if !stays {
        port_free(unit.port)?;
    }
    if !args.no_start && !up {
        draft.notes.extend(handed_over(cx, &unit));
    }
    let told = Told::of("init", &draft, scope, keeper.place()?, Some(unit.port));
    if args.dry_run {
        return Ok(out.report(&told.would(!args.no_start && (!up || draft.restart))));
    }
    for note in &draft.notes {
        cx.tell.say(note);
    }
    make_home(&unit)?;
    keeper.apply(&draft).await?;
    let began = match args.no_start {
        true => Ok(None),
        false => begin(cx, &keeper, &unit, &draft).await,
    };
    match began {
        Ok(began) => Ok(out.report(&told.did(began))),
        Err(error) => {
            keeper.take_back(&draft).await;
            Err(error)
        }
    }
}

/// What runs without a hub so far is stopped by the one that comes, and started again under it.
fn handed_over(cx: &Context, unit: &Unit) -> Option<String> {
    let running = lifecycle::without_hub(cx, &unit.home).unwrap_or_default();
    (!running.is_empty()).then(|| {
        format!(
            "modules that run here without a hub are stopped, and started again under it: {}",
            running.join(", ")
        )
    })
}

/// Two units of one home would start every module twice.
fn two_units(rival: &Installed, unit: &Unit) -> Error {
    let message = format!(
        "{} already has a hub unit: {}",
        unit.home.root().display(),
        shown(Some(rival))
    );
    Error::new(Code::Refused, message).hint(match (rival.scope, &unit.user) {
        (Scope::User, Some(user)) => {
            format!("`parachute uninstall-unit` as {user} takes it away first")
        }
        _ => "`sudo parachute uninstall-unit` takes it away first".into(),
    })
}

fn shown(there: Option<&Installed>) -> String {
    let path = there.and_then(|unit| unit.path.as_ref());
    path.map_or_else(
        || "without a file".into(),
        |path| path.display().to_string(),
    )
}

/// Starts the hub, or restarts it where it runs as it should no longer; waits for its health.
async fn begin(
    cx: &Context,
    keeper: &Keeper,
    unit: &Unit,
    draft: &Draft,
) -> Result<Option<&'static str>> {
    let manager = keeper.manager();
    let up = matches!(manager.look().await?.state, UnitState::Running { .. });
    cx.tell.waiting(Some("waiting for the hub"));
    let did = match (up, draft.restart) {
        (false, _) => manager.start().await.map(|()| Some("started")),
        (true, true) => manager.restart().await.map(|()| Some("restarted")),
        (true, false) => Ok(None),
    };
    let client = Client::new(unit.home.clone(), unit.port, vec![uid_of(unit)]);
    let well = match &did {
        Ok(_) => client.wait_healthy(HEALTH, None).await.map(drop),
        Err(_) => Ok(()),
    };
    cx.tell.waiting(None);
    let did = did?;
    match well {
        Ok(()) => Ok(did),
        Err(error) => {
            let tail = Tail {
                lines: EXCERPT,
                since: None,
            };
            let lines = manager.logs(&tail).await.unwrap_or_default();
            Err(error.log(lines))
        }
    }
}

/// What the unit is to say: the command line first, then the unit that is there, if it is one of
/// this program's, then what is usual.
fn wanted(args: &Args, cx: &Context, scope: Scope, there: Option<&Installed>) -> Result<Unit> {
    let there = there.filter(|unit| unit.ours);
    let user = match (scope, &args.run_as) {
        (Scope::User, None) => None,
        (Scope::User, Some(name)) => {
            return Err(Error::new(
                Code::Usage,
                "only root can install a unit that runs as another user",
            )
            .hint(format!("`sudo {} init --run-as {name}`", cx.exe.display())));
        }
        (Scope::System, Some(name)) => Some(named(name)?),
        (Scope::System, None) => Some(usual_user(cx, there)?),
    };
    let dir = match &user {
        Some(user) => Some(user.dir.clone()),
        None => cx.user_dir.clone(),
    };
    let home = (cx.explicit.clone())
        .or_else(|| there.and_then(|unit| unit.home.clone()))
        .or_else(|| dir.as_ref().map(|dir| Home::new(dir.join(".parachute"))))
        .ok_or_else(|| {
            Error::new(Code::HomeUnusable, "this user has no home directory")
                .hint("name a box with `--home DIR`")
        })?;
    if home.root().exists() && !home.root().is_dir() {
        return Err(Error::new(
            Code::HomeUnusable,
            format!("{} is no folder", home.root().display()),
        ));
    }
    let binary = binary(&cx.exe, args.force)?;
    Ok(Unit {
        binary,
        home,
        port: args
            .port
            .or(there.map(|unit| unit.port))
            .unwrap_or(HUB_PORT),
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        path: search_path(dir.as_deref()),
        user: user.map(|user| user.name),
    })
}

fn named(name: &str) -> Result<User> {
    identity::user_named(name)
        .or_else(|| identity::user(name.parse().ok()?))
        .ok_or_else(|| Error::new(Code::Usage, format!("there is no user `{name}`")))
}

/// Never root unless told so.
fn usual_user(cx: &Context, there: Option<&Installed>) -> Result<User> {
    let uid = there
        .and_then(|unit| unit.uid)
        .or(cx.invoker.as_ref().map(|invoker| invoker.uid));
    uid.and_then(identity::user).ok_or_else(|| {
        Error::new(Code::Usage, "as which user is the hub to run?")
            .hint("`parachute init --run-as USER`; modules can do whatever that user can")
    })
}

/// The program, where it will still be tomorrow.
fn binary(exe: &Path, force: bool) -> Result<PathBuf> {
    if !exe.is_absolute() || !exe.exists() {
        return Err(
            Error::new(Code::Io, format!("{} is not there any more", exe.display()))
                .hint("run `init` from where `parachute` is installed"),
        );
    }
    match build_folder(exe) {
        Some(folder) if !force => Err(Error::new(
            Code::Refused,
            format!("{} lies in {folder}, which does not last", exe.display()),
        )
        .hint("install it first, in /usr/local/bin for example, or say `--force`")),
        _ => Ok(exe.to_owned()),
    }
}

/// Which passing folder a program lies in, if any.
fn build_folder(exe: &Path) -> Option<&'static str> {
    let temporary = [
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        "/run",
        "/private/tmp",
        "/private/var/folders",
    ];
    if temporary.iter().any(|dir| exe.starts_with(dir)) {
        return Some("a temporary folder");
    }
    let names: Vec<_> = exe
        .parent()?
        .components()
        .map(|part| part.as_os_str())
        .collect();
    let built = |name: &std::ffi::OsStr| name == "debug" || name == "release";
    let target = names.iter().rposition(|name| *name == "target")?;
    names[target..]
        .iter()
        .any(|name| built(name))
        .then_some("a build folder")
}

/// PATH for modules: the machine's, then the user's own (the hub adds those that come later).
pub(super) fn search_path(dir: Option<&Path>) -> String {
    let own = dir
        .iter()
        .flat_map(|dir| [dir.join(".local/bin"), dir.join(".bun/bin")]);
    let mut path = PATH.to_owned();
    for dir in own.filter_map(|dir| dir.to_str().map(str::to_owned)) {
        if !dir.contains(':') {
            path.push(':');
            path.push_str(&dir);
        }
    }
    path
}

fn uid_of(unit: &Unit) -> u32 {
    let user = unit.user.as_deref().and_then(identity::user_named);
    user.map_or_else(identity::euid, |user| user.uid)
}

/// A machine's unit may have a home where its user can make none.
fn make_home(unit: &Unit) -> Result<()> {
    let root = unit.home.root();
    let Some(user) = unit.user.as_deref().and_then(identity::user_named) else {
        return Ok(());
    };
    if root.exists() || root.starts_with(&user.dir) {
        return Ok(());
    }
    std::fs::create_dir_all(root).map_err(|e| Error::io("make", root, &e))?;
    std::os::unix::fs::lchown(root, Some(user.uid), Some(user.gid))
        .map_err(|e| Error::io("give away", root, &e))
}

/// Nobody listens yet where the hub is to listen.
fn port_free(port: u16) -> Result<()> {
    let Ok(listeners) = Listeners::read() else {
        return Ok(());
    };
    let who = match holder(port, &listeners) {
        Holder::Nobody => return Ok(()),
        Holder::Process { pid } => format!("process {pid}"),
        Holder::Hidden { uid } => format!("a process of uid {uid}"),
    };
    Err(Error::new(Code::PortTaken, format!("port {port} is taken: {who} listens on it"))
        .hint("a hub of before is ended with `parachute stop hub`; else choose another port with `--port N`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_will_not_last_is_known_by_its_folder() {
        for (exe, passing) in [
            ("/usr/local/bin/parachute", false),
            ("/home/a/src/parachute/target/debug/parachute", true),
            (
                "/home/a/p/target/x86_64-unknown-linux-musl/release/parachute",
                true,
            ),
            ("/home/a/target/parachute", false),
            ("/home/a/release/parachute", false),
            ("/tmp/x/parachute", true),
            ("/opt/tmp/parachute", false),
        ] {
            assert_eq!(build_folder(Path::new(exe)).is_some(), passing, "{exe}");
        }
    }

    #[test]
    fn a_folder_with_a_colon_stays_out_of_the_path() {
        assert!(
            search_path(Some(Path::new("/home/a")))
                .ends_with("/bin:/home/a/.local/bin:/home/a/.bun/bin")
        );
        assert_eq!(search_path(Some(Path::new("/home/a:b"))), PATH);
    }
}
