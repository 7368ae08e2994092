//! The hub's client against hubs of other make, and against what may sit on the port instead.
// A test that cannot run here says so.
#![allow(clippy::print_stderr)]

mod calls;
mod peers;
mod probes;
mod strangers;

use parachute::{
    client::{Bounds, Client},
    home::Home,
    os::identity,
};
use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Long enough for anything that is to happen, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A client that trusts our own uid, with bounds that no slow machine can reach.
fn client(home: &TempDir, port: u16) -> Client {
    Client::new(Home::new(home.path()), port, vec![identity::euid()]).bounds(bounds(PATIENCE))
}

/// The same bound for every call.
fn bounds(bound: Duration) -> Bounds {
    Bounds {
        health: bound,
        modules: bound,
        start: bound,
        stop: bound,
        restart: bound,
        logs: bound,
        other: bound,
    }
}

/// A port that is taken and on which nobody listens, for as long as the socket lives.
fn deaf_port() -> (OwnedFd, u16) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&fd, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&fd).unwrap()).unwrap();
    (fd, address.port())
}

/// Waits for something that another thread or process brings about.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
