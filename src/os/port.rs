//! Who listens on a TCP port. One read of the kernel's tables answers for many ports.

use super::process::Process;
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(test)]
mod tests;

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

impl Listener {
    /// Would a connection to 127.0.0.1 arrive here? `::` counts: whether such a socket takes IPv4
    /// too cannot be seen in the tables, and most do.
    pub fn reachable(&self) -> bool {
        let v4 = |a: Ipv4Addr| a == Ipv4Addr::LOCALHOST || a.is_unspecified();
        match self.address {
            IpAddr::V4(a) => v4(a),
            IpAddr::V6(a) => a.is_unspecified() || a.to_ipv4_mapped().is_some_and(v4),
        }
    }
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
        platform::listeners().map(|all| Self { all })
    }

    /// Tables at most `age` old, shared by all who ask for them at about the same time.
    pub fn recent(age: Duration) -> io::Result<Arc<Self>> {
        static LAST: Mutex<Option<(Instant, Arc<Listeners>)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, listeners)) = &*last
            && read.elapsed() < age
        {
            return Ok(Arc::clone(listeners));
        }
        let begun = Instant::now();
        let listeners = Arc::new(Self::read()?);
        *last = Some((begun, Arc::clone(&listeners)));
        Ok(listeners)
    }

    /// Those on a port that a client of 127.0.0.1 can reach.
    pub fn on(&self, port: u16) -> impl Iterator<Item = &Listener> {
        self.all
            .iter()
            .filter(move |l| l.port == port && l.reachable())
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

/// Who holds the listening socket on a port. Looks into every process it may look into: some
/// milliseconds.
pub fn holder(port: u16, listeners: &Listeners) -> Holder {
    let on: Vec<&Listener> = listeners.on(port).collect();
    let Some(first) = on.first() else {
        return Holder::Nobody;
    };
    match platform::holder(&on) {
        Some(pid) => Holder::Process { pid },
        None => Holder::Hidden { uid: first.uid },
    }
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

/// Does one of `members` listen on `port`? Looks only into the members, and when it is none of
/// them, whether somebody else can be named: `Theirs` is known, never guessed.
pub fn held(port: u16, members: &[Process], listeners: &Listeners) -> Holding {
    match among(port, members, listeners) {
        Among::Nobody => Holding::Nobody,
        Among::Member => Holding::Ours,
        Among::Unreadable => Holding::Unknown,
        Among::NoMember => match holder(port, listeners) {
            Holder::Process { pid } if members.iter().any(|m| m.pid == pid) => Holding::Ours,
            Holder::Process { .. } => Holding::Theirs,
            // It may have been closed meanwhile.
            Holder::Hidden { .. } if !still_there(port, listeners) => Holding::Nobody,
            Holder::Hidden { .. } => Holding::Unknown,
            Holder::Nobody => Holding::Nobody,
        },
    }
}

/// How a child of ours stands to a port that has become somebody else (a set-uid program) and may
/// not be looked into: the holder may be seen in its session, or not be seen at all.
pub fn held_by_session(port: u16, session: u32, listeners: &Listeners) -> Holding {
    match holder(port, listeners) {
        Holder::Nobody => Holding::Nobody,
        Holder::Hidden { .. } => Holding::Unknown,
        Holder::Process { pid } => match super::process::look(pid) {
            Ok(Some(holder)) if holder.session == session => Holding::Ours,
            _ => Holding::Theirs,
        },
    }
}

fn still_there(port: u16, before: &Listeners) -> bool {
    let known = |id: u64| before.on(port).any(|listener| listener.id == id);
    Listeners::read().is_ok_and(|now| now.on(port).any(|listener| known(listener.id)))
}

/// How often it must not be possible to look a holder up before that is believed: sockets are
/// closed, handed over and inherited between one look and the next.
const UNKNOWN_ENOUGH: u32 = 3;

/// How old the tables may be for those who wait. macOS has none: it walks all processes.
const FRESH: Duration = Duration::from_millis(if cfg!(target_os = "macos") { 25 } else { 2 });

enum Among {
    Nobody,
    Member,
    NoMember,
    Unreadable,
}

fn among(port: u16, members: &[Process], listeners: &Listeners) -> Among {
    let on: Vec<&Listener> = listeners.on(port).collect();
    if on.is_empty() {
        return Among::Nobody;
    }
    let mut unreadable = false;
    for member in members {
        match platform::holds(member.pid, &on) {
            Some(true) => return Among::Member,
            Some(false) => {}
            // One that ended meanwhile holds nothing.
            None => {
                unreadable |= matches!(super::process::look(member.pid), Ok(Some(p)) if p.alive())
            }
        }
    }
    if unreadable {
        Among::Unreadable
    } else {
        Among::NoMember
    }
}

/// Waits until a member listens on `port`: `Ours` at once when one does, `Unknown` soon when it
/// cannot be looked up, else how it stands at the deadline. There is no event for it, so the
/// tables are read every 2 ms, after a while every 8 ms (macOS: 25, 100), once for all who wait. `members` is asked
/// only while somebody listens on the port.
pub async fn until_held(
    port: u16,
    mut members: impl FnMut() -> Vec<Process>,
    deadline: Instant,
) -> Holding {
    let mut pause = FRESH;
    let mut strangers: Option<Vec<u64>> = None;
    let mut unknown = 0;
    loop {
        let mut now = Holding::Nobody;
        if let Ok(listeners) = Listeners::recent(FRESH) {
            let ids: Vec<u64> = listeners.on(port).map(|l| l.id).collect();
            if !ids.is_empty() {
                let members = members();
                now = match &strangers {
                    // Known to be a stranger's: the costly question is asked once a socket.
                    Some(known) if *known == ids => match among(port, &members, &listeners) {
                        Among::Member => Holding::Ours,
                        _ => Holding::Theirs,
                    },
                    _ => held(port, &members, &listeners),
                };
                strangers = (now == Holding::Theirs).then_some(ids);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        unknown = if now == Holding::Unknown {
            unknown + 1
        } else {
            0
        };
        if now == Holding::Ours || unknown >= UNKNOWN_ENOUGH || left.is_zero() {
            return now;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause + Duration::from_micros(250)).min(FRESH * 4);
    }
}
