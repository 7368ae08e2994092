//! Listening sockets as the kernel dumps them over netlink (sock_diag(7)): it walks the listening
//! sockets alone, where /proc/net/tcp walks the whole table of connections, which takes some
//! milliseconds however few there are. Reads only; anything unexpected is `None`.

use crate::os::port::Listener;
use rustix::{
    io::{read, write},
    net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with},
};
use std::net::IpAddr;

/// From linux/netlink.h, linux/sock_diag.h, netinet/in.h and net/tcp_states.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u32 = 1 << 10;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// `None` where the kernel does not offer it, or a sandbox forbids it.
pub(super) fn listeners() -> Option<Vec<Listener>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(netlink::SOCK_DIAG),
    )
    .ok()?;
    let mut all = Vec::new();
    for family in [AF_INET, AF_INET6] {
        write(&socket, &request(family)).ok()?;
        let mut buffer = vec![0; 32 << 10];
        // The kernel answers from within the calls themselves, so nothing has to be waited for.
        loop {
            let length = read(&socket, &mut buffer).ok().filter(|n| *n > 0)?;
            if take(buffer.get(..length)?, &mut all)? {
                break;
            }
        }
    }
    Some(all)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(family: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(72);
    out.extend(72_u32.to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    out.extend([0; 8]);
    out.extend([family, IPPROTO_TCP, 0, 0]);
    out.extend(TCP_LISTEN.to_ne_bytes());
    out.resize(72, 0);
    out
}

/// Reads one datagram; `Some(true)`: that was the last. `None`: an error, or a dump that a change
/// ran into.
fn take(mut datagram: &[u8], into: &mut Vec<Listener>) -> Option<bool> {
    while !datagram.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(at(datagram, 0)?)).ok()?;
        let kind = u16::from_ne_bytes(at(datagram, 4)?);
        let flags = u16::from_ne_bytes(at(datagram, 6)?);
        if length < HEADER || flags & NLM_F_DUMP_INTR != 0 {
            return None;
        }
        match kind {
            NLMSG_DONE => return Some(true),
            SOCK_DIAG_BY_FAMILY => into.push(listener(datagram.get(HEADER..length)?)?),
            _ => return None,
        }
        // Messages are aligned to four bytes.
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(false)
}

/// `struct inet_diag_msg`.
fn listener(message: &[u8]) -> Option<Listener> {
    let address: IpAddr = match *message.first()? {
        AF_INET => IpAddr::from(at::<4>(message, 8)?),
        AF_INET6 => IpAddr::from(at::<16>(message, 8)?),
        _ => return None,
    };
    Some(Listener {
        address,
        port: u16::from_be_bytes(at(message, 4)?),
        uid: u32::from_ne_bytes(at(message, 64)?),
        id: u32::from_ne_bytes(at(message, 68)?).into(),
    })
}

fn at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn it_tells_what_the_tables_in_proc_tell() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::]:0").ok();
        let Some(dumped) = listeners() else {
            return; // Not offered here.
        };
        let mut tables = Vec::new();
        super::super::table("/proc/self/net/tcp", &mut tables).unwrap();
        super::super::table("/proc/self/net/tcp6", &mut tables).unwrap();
        for ours in [Some(v4), v6].into_iter().flatten() {
            let port = ours.local_addr().unwrap().port();
            let in_dump: Vec<_> = dumped.iter().filter(|l| l.port == port).collect();
            let in_table: Vec<_> = tables.iter().filter(|l| l.port == port).collect();
            assert_eq!(in_dump, in_table);
            assert_eq!(in_dump.len(), 1);
        }
    }

    #[test]
    fn broken_datagrams_are_none_and_never_a_panic() {
        let mut good = Vec::new();
        good.extend(88_u32.to_ne_bytes());
        good.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        good.extend([0; 10]);
        good.extend([AF_INET, 10, 0, 0]);
        good.extend([7, 147, 0, 0, 127, 0, 0, 1]);
        good.resize(88, 0);
        let mut all = Vec::new();
        assert_eq!(take(&good, &mut all), Some(false));
        assert_eq!(all[0].address, "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(all[0].port, 1939);
        for cut in 1..good.len() {
            assert_eq!(take(&good[..cut], &mut Vec::new()), None, "{cut}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 255] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = take(&bad, &mut Vec::new());
            }
        }
    }
}
