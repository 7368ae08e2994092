//! Whom a token may go to: the listener on the hub's port has to run under one of the allowed
//! uids, looked up before the connection is made and again after it (contract, section 5). Sends
//! nothing itself.

use crate::{
    error::{Code, Error, reason},
    os::{
        identity,
        port::{self, Holder, Listener, Listeners},
        process,
    },
};
use std::net::{IpAddr, Ipv4Addr};

/// Who listens on a port, as far as a client of 127.0.0.1 is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Only allowed users do; the sockets, to be compared later.
    Allowed(Vec<u64>),
    /// This user does, and is not allowed.
    Foreign(u32),
    /// Nobody is to be seen.
    Nobody,
}

/// Which listeners a connection to `127.0.0.1:port` can meet: those bound to that very address,
/// and only where there are none, those bound to every address (the kernel prefers the former).
fn reachable(listeners: &Listeners, port: u16) -> Vec<&Listener> {
    let v4 = |l: &Listener| match l.address {
        IpAddr::V4(a) => Some(a),
        // A socket of both families that is bound to an IPv4 address.
        IpAddr::V6(a) => match a.to_ipv4_mapped() {
            Some(a) => Some(a),
            None if a.is_unspecified() => Some(Ipv4Addr::UNSPECIFIED),
            None => None,
        },
    };
    let at = |address| -> Vec<&Listener> {
        listeners
            .on(port)
            .filter(|l| v4(l) == Some(address))
            .collect()
    };
    match at(Ipv4Addr::LOCALHOST) {
        exact if !exact.is_empty() => exact,
        _ => at(Ipv4Addr::UNSPECIFIED),
    }
}

/// Judges the listeners on a port.
pub(super) fn judge(listeners: &Listeners, port: u16, allowed: &[u32]) -> Peer {
    let met = reachable(listeners, port);
    if met.is_empty() {
        return Peer::Nobody;
    }
    match met.iter().find(|l| !allowed.contains(&l.uid)) {
        Some(foreign) => Peer::Foreign(foreign.uid),
        None => {
            let mut ids: Vec<u64> = met.iter().map(|l| l.id).collect();
            ids.sort_unstable();
            Peer::Allowed(ids)
        }
    }
}

/// Reads the kernel's tables and judges them.
pub(super) fn look(port: u16, allowed: &[u32]) -> Result<Peer, Error> {
    let listeners = Listeners::read().map_err(|e| {
        Error::new(
            Code::WrongHub,
            format!("cannot look up who listens on port {port}: {}", reason(&e)),
        )
        .hint("without that, the operator token is not sent")
    })?;
    Ok(judge(&listeners, port, allowed))
}

/// Judges both looks around a connection: the token may go only to the same allowed listener.
pub(super) fn verdict(before: &Peer, after: &Peer, port: u16) -> Result<(), Error> {
    match (before, after) {
        (Peer::Allowed(a), Peer::Allowed(b)) if a == b => Ok(()),
        (Peer::Foreign(uid), _) | (_, Peer::Foreign(uid)) => Err(foreign(port, *uid)),
        (Peer::Nobody, Peer::Nobody) => Err(Error::new(
            Code::WrongHub,
            format!(
                "something answers on port {port}, and no listener of this machine is to be seen \
                 there: the operator token is not sent"
            ),
        )
        .hint(
            "a port that is forwarded from a container or another network namespace looks like \
             this: run `parachute` where the hub runs",
        )),
        _ => Err(Error::new(
            Code::WrongHub,
            format!("the listener on port {port} changed while it was being asked"),
        )
        .hint("try again in a moment")),
    }
}

fn foreign(port: u16, uid: u32) -> Error {
    Error::new(
        Code::WrongHub,
        format!(
            "port {port} is held by another user, {}: the operator token is not sent there",
            listener(port).unwrap_or_else(|| format!("uid {uid}"))
        ),
    )
    .hint(format!(
        "find out what runs there and stop it, or give the hub another port: \
         `ss -ltnp 'sport = :{port}'` as root names it"
    ))
}

/// Who listens on a port, for people: pid and command line where they are visible, else the user.
pub(super) fn listener(port: u16) -> Option<String> {
    let listeners = Listeners::read().ok()?;
    match port::holder(port, &listeners) {
        Holder::Nobody => None,
        Holder::Process { pid } => {
            let who = process::look(pid)
                .ok()
                .flatten()
                .map(|p| format!(" of {}", user(p.uid)))
                .unwrap_or_default();
            Some(format!("pid {pid}{who} ({})", process::command_line(pid)))
        }
        Holder::Hidden { uid } => Some(format!("a process of {}", user(uid))),
    }
}

fn user(uid: u32) -> String {
    match identity::user(uid) {
        Some(user) => format!("{} (uid {uid})", user.name),
        None => format!("uid {uid}"),
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
