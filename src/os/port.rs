//! Who listens on a TCP port. One read of the kernel's tables answers for many ports.

use super::process::Process;
use std::{io, net::IpAddr};

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The uid it belongs to.
    pub uid: u32,
    /// Linux: the socket's inode; elsewhere the pid that holds it.
    pub id: u64,
}

/// All listening TCP sockets of this network namespace at one moment.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    /// In the kernel's order, IPv4 first.
    pub all: Vec<Listener>,
}

impl Listeners {
    /// Reads the kernel's tables, IPv4 and IPv6.
    pub fn read() -> io::Result<Self> {
        todo!()
    }

    /// Those on a port that a client of 127.0.0.1 can reach.
    pub fn on(&self, port: u16) -> impl Iterator<Item = &Listener> {
        self.all.iter().filter(move |l| l.port == port)
    }
}

/// Who holds a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody listens.
    Nobody,
    /// This process does (the first that was found).
    Process {
        /// Its id.
        pid: u32,
    },
    /// Somebody does who cannot be looked into (another user, another pid namespace).
    Hidden {
        /// The uid the socket belongs to.
        uid: u32,
    },
}

/// Who holds the listening socket on a port.
pub fn holder(port: u16, listeners: &Listeners) -> Holder {
    todo!("{port} {listeners:?}")
}

/// How a set of processes stands to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// One of them listens on it.
    Ours,
    /// Somebody else does.
    Theirs,
    /// Nobody listens on it.
    Nobody,
    /// Somebody does, and whether it is one of them cannot be looked up.
    Unknown,
}

/// Does one of `members` listen on `port`? Looks only into the members.
pub fn held(port: u16, members: &[Process], listeners: &Listeners) -> Holding {
    todo!("{port} {members:?} {listeners:?}")
}
