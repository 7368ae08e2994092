//! `parachute status --watch`: on a terminal a screen of its own that is drawn anew when something
//! on it differs; in a pipe a block whenever a row changes.

use super::status::{Args, Screen, look};
use crate::{
    error::{Code, Error, Exit, Result},
    lifecycle::{Site, status::RowStatus},
    manager::Changes,
    output::{Output, Report, live::Live},
};
use std::{io, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// Looks until Ctrl-C.
pub(super) async fn watch(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    if out.json() {
        return Err(Error::new(
            Code::Usage,
            "`--watch` never ends, and `--json` is one document",
        )
        .hint("leave one of them out"));
    }
    let every = Duration::from_secs(args.interval);
    let catch = |kind| {
        signal(kind).map_err(|e| Error::new(Code::Io, format!("cannot wait for a signal: {e}")))
    };
    let (mut stop, mut term) = (
        catch(SignalKind::interrupt())?,
        catch(SignalKind::terminate())?,
    );
    let mut resized = catch(SignalKind::window_change())?;
    let mut live = Live::begin(site.context().var("TERM").map(|kind| &**kind));
    let mut shown = Vec::new();
    let mut changes = site.changes().await;
    let mut first = Some(look(args, site).await?);
    loop {
        let screen = match first.take() {
            Some(screen) => screen,
            None => tokio::select! {
                screen = anew(args, site) => screen?,
                exit = told(&mut stop, &mut term) => return Ok(exit),
            },
        };
        // In a pipe, time that passes is no change.
        let key = match live.terminal() {
            true => text(&screen),
            false => text(&timeless(&screen)),
        };
        if key != shown {
            match live.draw(&text(&screen)) {
                Ok(()) => shown = key,
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Success),
                Err(e) => {
                    let why = crate::error::reason(&e);
                    return Err(Error::new(
                        Code::Io,
                        format!("cannot write to stdout: {why}"),
                    ));
                }
            }
        }
        tokio::select! {
            () = sleep(every) => {}
            () = changed(&mut changes) => {}
            _ = resized.recv() => shown.clear(),
            exit = told(&mut stop, &mut term) => return Ok(exit),
        }
    }
}

async fn anew(args: &Args, site: &Site) -> Result<Screen> {
    look(args, &site.again().await?).await
}

/// Returns when the hub's unit has changed; never where nobody tells of that.
async fn changed(changes: &mut Option<Changes>) {
    if let Some(telling) = changes
        && telling.next().await
    {
        return;
    }
    *changes = None;
    std::future::pending().await
}

async fn told(stop: &mut Signal, term: &mut Signal) -> Exit {
    tokio::select! {
        _ = stop.recv() => Exit::Interrupted,
        _ = term.recv() => Exit::Interrupted,
    }
}

fn text(screen: &Screen) -> Vec<u8> {
    let mut text = Vec::new();
    // A vector takes everything.
    let _ = screen.human(&mut text);
    text
}

/// The same without what differs at every look.
fn timeless(screen: &Screen) -> Screen {
    let still = |row: &mut RowStatus| {
        row.uptime_seconds = None;
        row.latency_ms = None;
        row.cpu_percent = None;
        row.memory_bytes = None;
        row.log.clear();
    };
    let mut status = screen.status.clone();
    status.modules.iter_mut().for_each(still);
    if let Some(hub) = &mut status.hub {
        still(&mut hub.row);
    }
    Screen {
        status,
        wide: screen.wide,
        user_dir: screen.user_dir.clone(),
    }
}
