//! Listening sockets on macOS: those of the processes that we may look into, which for a plain
//! user are their own. What others listen on is not seen here.

use super::Listener;
use crate::os::{darwin, process};
use std::io;

pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    let mut all = Vec::new();
    for process in process::Snapshot::take()?.processes {
        for (address, port) in of(process.pid).unwrap_or_default() {
            all.push(Listener {
                address,
                port,
                uid: process.uid,
                id: u64::from(process.pid),
            });
        }
    }
    Ok(all)
}

fn of(pid: u32) -> Option<Vec<(std::net::IpAddr, u16)>> {
    darwin::listening(pid, process::open_files(pid)?)
}

/// Does this process hold one of these sockets? `None`: it may not be looked into, or is gone.
/// Several may hold one socket, so it is asked itself.
pub(super) fn holds(pid: u32, sockets: &[&Listener]) -> Option<bool> {
    let open = of(pid)?;
    let same = |socket: &&Listener| {
        open.iter()
            .any(|(address, port)| (*address, *port) == (socket.address, socket.port))
    };
    Some(sockets.iter().any(same))
}

pub(super) fn holder(sockets: &[&Listener]) -> Option<u32> {
    u32::try_from(sockets.first()?.id).ok()
}
