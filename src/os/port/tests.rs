use super::*;
use crate::os::{
    kid::{Kid, eventually, lives, runtime},
    process::{self, Snapshot},
};
use std::net::{Ipv6Addr, TcpListener, TcpStream};

const SERVE: &str = "import socket, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1], flush=True)
time.sleep(1000)";

fn ourselves() -> Process {
    process::look(std::process::id()).unwrap().unwrap()
}

fn bound(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn free() -> u16 {
    bound("127.0.0.1").1
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(30)
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[test]
fn our_own_listener_is_ours() {
    let (_listener, port) = bound("127.0.0.1");
    let listeners = Listeners::read().unwrap();
    let on: Vec<_> = listeners.on(port).collect();
    assert_eq!(on.len(), 1);
    assert_eq!(on[0].address, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(on[0].uid, rustix::process::geteuid().as_raw());
    let pid = std::process::id();
    assert_eq!(holder(port, &listeners), Holder::Process { pid });
    assert_eq!(held(port, &[ourselves()], &listeners), Holding::Ours);
}

#[test]
fn a_port_without_listener_is_nobodys_even_when_it_is_bound() {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&socket, &any).unwrap();
    let name = std::net::SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap());
    let port = name.unwrap().port();
    let listeners = Listeners::read().unwrap();
    assert_eq!(holder(port, &listeners), Holder::Nobody);
    assert_eq!(held(port, &[ourselves()], &listeners), Holding::Nobody);
}

#[test]
fn connections_are_no_listeners() {
    let (listener, port) = bound("127.0.0.1");
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _served = listener.accept().unwrap();
    drop(listener);
    let listeners = Listeners::read().unwrap();
    assert_eq!(listeners.on(port).count(), 0);
    let own = client.local_addr().unwrap().port();
    assert_eq!(listeners.on(own).count(), 0);
}

#[test]
fn every_address_that_loopback_reaches_counts() {
    for (address, reaches) in [("0.0.0.0", true), ("127.0.0.1", true), ("127.0.0.2", false)] {
        if cfg!(target_os = "macos") && address == "127.0.0.2" {
            continue;
        }
        let (_listener, port) = bound(address);
        let found = Listeners::read().unwrap().on(port).count() == 1;
        assert_eq!(found, reaches, "{address}");
    }
    if let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Listeners::read().unwrap().on(port).count(), 1);
    }
    if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Listeners::read().unwrap().on(port).count(), 0);
    }
}

#[test]
fn a_member_holds_the_port_after_its_leader_died() {
    let script = format!("python3 -c \"{SERVE}\" & exit 0");
    let mut kid = Kid::new(&script);
    let port = u16::try_from(kid.number()).unwrap();
    eventually("the leader ended", || !lives(kid.pid()));
    let now = Snapshot::take().unwrap();
    let owner = rustix::process::geteuid().as_raw();
    let members = crate::os::group::members(kid.pid(), Some(&kid.spawn), owner, &now);
    let listeners = Listeners::read().unwrap();
    assert_eq!(held(port, &members, &listeners), Holding::Ours);
    assert_eq!(held(port, &[ourselves()], &listeners), Holding::Theirs);
    let pid = members.first().unwrap().pid;
    assert_eq!(holder(port, &listeners), Holder::Process { pid });
}

#[test]
fn waiting_ends_with_the_bind() {
    let script = "echo ready; sleep 0.1; exec python3 -c \"$CODE\"";
    let port = free();
    let code = SERVE.replace("0)", &format!("{port})"));
    let mut kid = Kid::with(script, &[("CODE", &code)]);
    kid.line();
    let members = || vec![kid.process()];
    let holding = runtime().block_on(until_held(port, members, far()));
    assert_eq!(holding, Holding::Ours);
}

#[test]
fn waiting_ends_at_the_deadline() {
    let (_listener, theirs) = bound("127.0.0.1");
    let kid = Kid::new("while :; do sleep 1000; done");
    let wait = |port| runtime().block_on(until_held(port, || vec![kid.process()], soon()));
    assert_eq!(wait(theirs), Holding::Theirs);
    assert_eq!(wait(free()), Holding::Nobody);
}

#[test]
fn a_socket_of_nobody_we_can_see_is_hidden_while_it_is_there() {
    let (listener, port) = bound("127.0.0.1");
    let mut listeners = Listeners::read().unwrap();
    for listener in &mut listeners.all {
        listener.id = u64::MAX;
    }
    assert!(matches!(holder(port, &listeners), Holder::Hidden { .. }));
    drop(listener);
    assert_eq!(held(port, &[ourselves()], &listeners), Holding::Nobody);
}
