//! Logs of a managed box. The hub's come from its manager; a module's from its log file where the
//! hub is ours, else from the hub's buffer, else from the hub log's `[short]` lines.

use super::Managed;
use crate::{
    client::bare,
    error::{Code, Error, Result},
    home::rel,
    lifecycle::{
        Targets,
        follow::{Files, Stream},
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
    let names: Vec<String> = match targets {
        Targets::Everything => std::iter::once("hub".to_owned())
            .chain(managed.module_names())
            .collect(),
        Targets::Named(names) => names.clone(),
    };
    let mut out = Vec::new();
    for name in names {
        let lines = if name == "hub" {
            hub(managed, tail).await
        } else {
            module(managed, &name, tail).await
        };
        match lines {
            Ok((name, lines)) => out.push((name, lines)),
            // Everything: what has no log here does not hide the others'.
            Err(error) if *targets == Targets::Everything => {
                managed.tell.warn(&format!("{name}: {}", error.message))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

async fn hub(managed: &Managed, tail: &Tail) -> Result<(String, Vec<String>)> {
    let lines = managed.manager.logs(tail).await?;
    // systemd and launchd go by the time themselves.
    let lines = match managed.manager.name() {
        "pidfile" => since(lines, "hub", tail, &*managed.tell),
        _ => lines,
    };
    Ok(("hub".to_owned(), lines))
}

async fn module(managed: &Managed, name: &str, tail: &Tail) -> Result<(String, Vec<String>)> {
    let short = short(managed, name)?;
    if has_file(managed, &short) && hub_is_ours(managed).await {
        let lines = logfile::tail(&managed.home, &rel::log(&short), tail.lines)?;
        let lines = since(lines, &short, tail, &*managed.tell);
        return Ok((short, lines));
    }
    match managed.client.logs(&short).await {
        Ok(lines) => {
            let from = lines.len().saturating_sub(tail.lines);
            let lines = lines[from..]
                .iter()
                .map(|line| bare(&short, line).to_owned())
                .collect();
            let lines = since(lines, &short, tail, &*managed.tell);
            Ok((short, lines))
        }
        Err(error) => match from_hub_log(managed, &short, tail) {
            Some(lines) => {
                let lines = since(lines, &short, tail, &*managed.tell);
                Ok((short, lines))
            }
            None => Err(error),
        },
    }
}

/// A hub that does not answer cannot be told by its version; a module's own log file can.
async fn hub_is_ours(managed: &Managed) -> bool {
    managed.client.look().await.map_or(true, |look| look.ours())
}

fn has_file(managed: &Managed, short: &str) -> bool {
    matches!(files::open(&managed.home, rel::log(short)), Ok(Some(_)))
}

/// The `[short] ` lines among the last ones of the hub's own log file.
fn from_hub_log(managed: &Managed, short: &str, tail: &Tail) -> Option<Vec<String>> {
    const BACK: usize = 20_000;
    let lines = logfile::tail(&managed.home, rel::HUB_LOG.as_ref(), BACK).ok()?;
    let mark = format!("[{short}] ");
    let own: Vec<String> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(&mark).map(str::to_owned))
        .collect();
    (!own.is_empty()).then(|| own[own.len().saturating_sub(tail.lines)..].to_vec())
}

fn short(managed: &Managed, name: &str) -> Result<String> {
    match managed.shorts(&Targets::Named(vec![name.to_owned()])).pop() {
        Some((_, short)) => short,
        None => Err(Error::new(
            Code::NotInstalled,
            format!("no module `{name}` on this box"),
        )),
    }
}

/// Follows these names together.
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
            continue;
        }
        let short = short(managed, name)?;
        if ours {
            on_disk.push((short.clone(), rel::log(&short)));
        } else {
            stream.hub(managed.client.clone(), short);
        }
    }
    if !on_disk.is_empty() {
        stream.files(Files::new(&managed.home, &on_disk, tail)?);
    }
    Ok(stream)
}
