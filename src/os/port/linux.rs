//! Listening sockets from the kernel's own dump, else from /proc/net/tcp and tcp6 (proc_net(5));
//! their holders from /proc/<pid>/fd. Reads only.

use super::Listener;
use crate::os::process;
use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

mod diag;

pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    if let Some(all) = diag::listeners() {
        return Ok(all);
    }
    let mut all = Vec::new();
    table("/proc/self/net/tcp", &mut all)?;
    match table("/proc/self/net/tcp6", &mut all) {
        // IPv6 is switched off.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => other?,
    }
    // A table that changes while it is read may give an entry twice.
    all.dedup_by_key(|listener| listener.id);
    Ok(all)
}

/// The kernel lists what listens (and half-open connections to it) before all other sockets, so a
/// box with a hundred thousand connections is not read to its end.
fn table(path: &str, into: &mut Vec<Listener>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        text.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in text.drain(..whole).as_slice().split(|byte| *byte == b'\n') {
            match parse(line) {
                Line::Listening(listener) => into.push(listener),
                Line::Other => return Ok(()),
                Line::Skip => {}
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Listening(Listener),
    Other,
    Skip,
}

pub(super) fn parse(line: &[u8]) -> Line {
    let Ok(line) = std::str::from_utf8(line) else {
        return Line::Skip;
    };
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    // sl local remote st queues timer retransmits uid timeout inode …
    let &[_, local, _, state, _, _, _, uid, _, inode, ..] = fields.as_slice() else {
        return Line::Skip;
    };
    match state {
        "0A" => {}
        // SYN_RECV and NEW_SYN_RECV stand between the listening ones; `st` is the heading.
        "03" | "0C" | "st" => return Line::Skip,
        _ => return Line::Other,
    }
    let listener = || {
        let (address, port) = local.split_once(':')?;
        Some(Listener {
            address: address_of(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            uid: uid.parse().ok()?,
            id: inode.parse().ok()?,
        })
    };
    listener().map_or(Line::Skip, Line::Listening)
}

/// Addresses are printed as 32-bit words in the machine's byte order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| -> Option<[u8; 4]> {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// Does this process hold one of these sockets? `None`: it may not be looked into, or is gone.
pub(super) fn holds(pid: u32, sockets: &[&Listener]) -> Option<bool> {
    let open = process::sockets(pid)?;
    Some(sockets.iter().any(|socket| open.contains(&socket.id)))
}

pub(super) fn holder(sockets: &[&Listener]) -> Option<u32> {
    let uid = sockets.first()?.uid;
    let mut processes = process::Snapshot::take().ok()?.processes;
    // Most likely a process of the socket's own user.
    processes.sort_by_key(|p| p.uid != uid);
    processes
        .iter()
        .find(|p| p.alive() && holds(p.pid, sockets) == Some(true))
        .map(|p| p.pid)
}

#[cfg(test)]
#[path = "linux_tests.rs"]
mod tests;
