//! Logs of a managed box. The hub's come from its manager; a module's from its log file where the
//! hub is ours, else from the hub's buffer, else from the hub log's `[short]` lines.

use super::Managed;
use crate::{
    client::{bare, marked},
    error::Result,
    home::rel,
    lifecycle::{
        Targets,
        follow::{Files, Marked, Stream},
        since,
    },
    manager::{Follow, Tail},
    modules::logfile,
    os::files,
};

/// The last lines of each target.
pub(super) async fn tails(
    managed: &Managed,
    targets: &Targets,
    tail: &Tail,
) -> Result<Vec<(String, Vec<String>)>> {
    let names: Vec<(String, Result<String>)> = match targets {
        Targets::Everything => std::iter::once("hub".to_owned())
            .chain(managed.module_names())
            .map(|name| (name.clone(), Ok(name)))
            .collect(),
        Targets::Named(names) => {
            let named = managed.named(names).await.into_iter();
            named.map(|named| (named.asked, named.short)).collect()
        }
    };
    let mut out = Vec::new();
    for (name, short) in names {
        let short = short?;
        let lines = match short.as_str() {
            "hub" => hub(managed, tail).await,
            short => module(managed, short, tail).await,
        };
        match lines {
            Ok(lines) => out.push((short, lines)),
            // Everything: what has no log here does not hide the others'.
            Err(error) if *targets == Targets::Everything => {
                managed.tell.warn(&format!("{name}: {}", error.message))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

async fn hub(managed: &Managed, tail: &Tail) -> Result<Vec<String>> {
    let lines = managed.manager.logs(tail).await?;
    // systemd and launchd go by the time themselves.
    Ok(match managed.manager.name() {
        "pidfile" => since(lines, "hub", tail, &*managed.tell),
        _ => lines,
    })
}

async fn module(managed: &Managed, short: &str, tail: &Tail) -> Result<Vec<String>> {
    let lines = if has_file(managed, short) && hub_is_ours(managed).await {
        logfile::tail(&managed.home, &rel::log(short), tail.lines)?
    } else {
        match managed.client.logs(short).await {
            Ok(lines) => {
                let from = lines.len().saturating_sub(tail.lines);
                let bare = |line: &String| bare(short, line).to_owned();
                lines[from..].iter().map(bare).collect()
            }
            Err(error) => from_hub_log(managed, short, tail).ok_or(error)?,
        }
    };
    Ok(since(lines, short, tail, &*managed.tell))
}

/// A hub that does not answer cannot be told by its version; by its unit it can.
async fn hub_is_ours(managed: &Managed) -> bool {
    match managed.client.look().await {
        Ok(look) => look.ours(),
        Err(_) => managed.other_unit.is_none(),
    }
}

fn has_file(managed: &Managed, short: &str) -> bool {
    matches!(files::open(&managed.home, rel::log(short)), Ok(Some(_)))
}

/// The `[short] ` lines among the last ones of the hub's own log file; `None` when there are none.
fn from_hub_log(managed: &Managed, short: &str, tail: &Tail) -> Option<Vec<String>> {
    let lines = logfile::tail(&managed.home, rel::HUB_LOG.as_ref(), Marked::BACK).ok()?;
    let own: Vec<&str> = lines.iter().filter_map(|l| marked(short, l)).collect();
    let last = &own[own.len().saturating_sub(tail.lines)..];
    (!own.is_empty()).then(|| last.iter().map(|&line| line.to_owned()).collect())
}

/// Follows these names together, as [`tails`] has given them.
pub(super) async fn follow(managed: &Managed, names: &[String], tail: &Tail) -> Result<Stream> {
    let ours = hub_is_ours(managed).await;
    let mut stream = Stream::new();
    let mut on_disk = Vec::new();
    for name in names {
        if name == "hub" {
            match managed.manager.follow(tail) {
                Follow::Program(argv) => stream.program("hub", &argv)?,
                Follow::File(path) => stream.file("hub", &path, tail)?,
            }
        } else if ours {
            on_disk.push((name.clone(), rel::log(name)));
        } else if managed.client.logs(name).await.is_ok() {
            stream.hub(managed.client.clone(), name.clone());
        } else {
            // The hub does not give it, so there are its lines in the hub's log.
            stream.marked(Marked::new(&managed.home, name, tail)?);
        }
    }
    if !on_disk.is_empty() {
        stream.files(Files::new(&managed.home, &on_disk, tail)?);
    }
    Ok(stream)
}
