//! `parachute demo`.

use super::{changes, status::Screen};
use crate::{
    context::{Context, ManagerChoice},
    error::{Code, Error, Exit, Result},
    home::Home,
    lifecycle::{self, Site, Start, Targets},
    modules::enrol::{self, Addition},
    output::{Output, style},
};
use std::{
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// Show it all at work in a throwaway home
///
/// Four small modules: one that is well, one that binds its port late, one whose program is
/// missing and one that crashes. Nothing of yours is touched; everything is stopped and removed at
/// the end, on Ctrl-C too.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub async fn run(_: &Args, cx: &Context, out: &Output) -> Result<Exit> {
    if out.json() {
        return Err(Error::new(
            Code::Usage,
            "`demo` is for people: it has no JSON view",
        ));
    }
    // Listened to from now to the end: a Ctrl-C while everything is being stopped counts too.
    let interrupted = told_to_end()?;
    tokio::pin!(interrupted);
    let home = throwaway()?;
    let mut here = cx.clone();
    here.explicit = Some(home.clone());
    here.manager = ManagerChoice::None;
    let mut site = lifecycle::detect(&here).await?;
    let shown = tokio::select! {
        shown = show(&mut site, &here, out) => Some(shown),
        () = &mut interrupted => None,
    };
    if shown.is_none() {
        cx.tell.warn("interrupted; everything is being stopped");
    }
    let cleared = clear(&site, out).await;
    match shown {
        Some(shown) if !is_over(interrupted).await => shown.and(cleared),
        _ => cleared.and(Ok(Exit::Interrupted)),
    }
}

/// Has it come to its end by now.
async fn is_over(event: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::ZERO, event).await.is_ok()
}

/// Returns at Ctrl-C and the like. Listens from this call on, not from the first poll: what is
/// started in between must not outlive us.
fn told_to_end() -> Result<impl Future<Output = ()>> {
    let catch = |kind| {
        signal(kind).map_err(|e| Error::new(Code::Io, format!("cannot wait for a signal: {e}")))
    };
    let mut int = catch(SignalKind::interrupt())?;
    let mut term = catch(SignalKind::terminate())?;
    let mut hangup = catch(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// A folder of our own that nobody else can look into.
fn throwaway() -> Result<Home> {
    let name = format!("parachute-demo-{}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(|e| Error::io("make", &path, &e))?;
    Ok(Home::new(path))
}

async fn show(site: &mut Site, cx: &Context, out: &Output) -> Result<Exit> {
    let exe = cx.exe.to_string_lossy().into_owned();
    let module = |habit: &[&str]| -> Vec<String> {
        [exe.as_str(), "__module"]
            .iter()
            .chain(habit)
            .map(|s| (*s).to_owned())
            .collect()
    };
    let modules = [
        ("hello", module(&["--say", "good morning"])),
        (
            "slow",
            module(&["--say", "opening a large database", "--bind-after", "1200"]),
        ),
        (
            "missing",
            vec![
                "parachute-demo-that-nobody-installed".to_owned(),
                "serve".to_owned(),
            ],
        ),
        (
            "crashing",
            module(&[
                "--say",
                "error: no database at /var/lib/nowhere",
                "--crash-after",
                "20",
            ]),
        ),
    ];
    step(
        out,
        "a throwaway box",
        &format!("PARACHUTE_HOME={}", site.home.root().display()),
    );
    for ((name, command), port) in modules.into_iter().zip(free_ports()?) {
        let addition = Addition {
            name: name.to_owned(),
            port,
            command,
            force: true,
            ..Addition::default()
        };
        enrol::add(&site.home, &addition)?;
        step(out, "", &format!("parachute add {name} --port {port} -- …"));
    }
    step(out, "two of them can start", "parachute start");
    let changes = site.start(&Targets::Everything, Start::default()).await?;
    changes::report(out, "start", &changes);
    step(out, "and the truth about all four", "parachute status");
    let status = site.observe().await;
    let met = status.failing() && changes.iter().filter(|c| c.what.is_ok()).count() == 2;
    out.report(&Screen {
        status,
        wide: false,
        user_dir: cx.user_dir.clone(),
    });
    if met {
        Ok(Exit::Success)
    } else {
        Err(Error::new(
            Code::Io,
            "the demonstration did not go as it should",
        ))
    }
}

async fn clear(site: &Site, out: &Output) -> Result<Exit> {
    step(out, "nothing stays behind", "parachute stop");
    let changes = site.stop(&Targets::Everything).await;
    let exit = changes.map(|changes| changes::report(out, "stop", &changes))?;
    let root: PathBuf = site.home.root().to_owned();
    std::fs::remove_dir_all(&root).map_err(|e| Error::io("remove", &root, &e))?;
    Ok(exit)
}

/// A line that says what comes, as a person would type it.
fn step(out: &Output, what: &str, command: &str) {
    let (dim, name) = (style::DIM, style::NAME);
    let _ = out.human(|to| {
        if !what.is_empty() {
            writeln!(to, "\n{dim}# {what}{dim:#}")?;
        }
        writeln!(to, "{dim}${dim:#} {name}{command}{name:#}")
    });
}

/// Ports that are free now.
fn free_ports() -> Result<Vec<u16>> {
    let listeners: std::io::Result<Vec<TcpListener>> = (0..4)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect();
    listeners
        .and_then(|all| {
            all.iter()
                .map(|l| l.local_addr().map(|a| a.port()))
                .collect()
        })
        .map_err(|e| Error::new(Code::Io, format!("cannot find a free port: {e}")))
}
