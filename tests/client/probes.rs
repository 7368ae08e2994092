//! Health probes of modules: what counts as live, and many of them side by side.

use super::{PATIENCE, deaf_port};
use crate::fakes::rogue::{Rogue, Way};
use parachute::client::{Probe, probe, probe_all};
use std::time::{Duration, Instant};

fn says(status: &'static str) -> Rogue {
    Rogue::start(Way::Says(status, String::new(), "x"))
}

#[tokio::test]
async fn note_25_2xx_and_401_are_live_and_nothing_else_is() {
    for (status, live) in [
        ("200 OK", true),
        ("204 No Content", true),
        ("299 Fine", true),
        ("401 Unauthorized", true),
        ("302 Found", false),
        ("403 Forbidden", false),
        ("404 Not Found", false),
        ("500 Oops", false),
        ("503 Starting", false),
    ] {
        let module = says(status);
        let seen = probe(module.port(), "/health?deep=1", PATIENCE).await;
        assert_eq!(seen.live(), live, "{status} {seen:?}");
        assert!(seen.somebody());
        assert_eq!(module.seen()[0].path, "/health?deep=1");
        assert!(module.seen()[0].header("authorization").is_none());
        let host = format!("127.0.0.1:{}", module.port());
        assert_eq!(module.seen()[0].header("host"), Some(host.as_str()));
    }
}

#[tokio::test]
async fn what_does_not_answer_is_told_apart() {
    let (_socket, port) = deaf_port();
    assert_eq!(probe(port, "/health", PATIENCE).await, Probe::Refused);
    for way in [Way::Silent, Way::Drips] {
        let silent = Rogue::start(way);
        let seen = probe(silent.port(), "/health", Duration::from_millis(100)).await;
        assert_eq!(seen, Probe::Silent);
    }
    for way in [Way::Closes, Way::Babbles, Way::EndlessHeaders] {
        let odd = Rogue::start(way.clone());
        let seen = probe(odd.port(), "/health", PATIENCE).await;
        assert!(matches!(seen, Probe::Odd(_)), "{way:?} {seen:?}");
    }
    // An answer is an answer, whatever follows its head.
    for way in [Way::EndlessBody, Way::Stalls, Way::Truncates] {
        let live = Rogue::start(way.clone());
        assert!(probe(live.port(), "/", PATIENCE).await.live(), "{way:?}");
    }
}

#[tokio::test]
async fn a_health_path_that_cannot_be_asked_for_is_odd_and_never_a_panic() {
    let module = says("200 OK");
    for path in ["/a b", "/\r\nx: y", "/\0", "", "http://evil.example:80 /"] {
        let seen = probe(module.port(), path, PATIENCE).await;
        assert!(matches!(seen, Probe::Odd(_)), "{path:?} {seen:?}");
    }
    assert!(module.seen().is_empty());
    assert!(probe(module.port(), "/héalth#x", PATIENCE).await.live());
}

#[tokio::test]
async fn many_are_asked_side_by_side_and_answer_in_order() {
    let live = says("200 OK");
    let (_socket, deaf) = deaf_port();
    let silent: Vec<Rogue> = (0..4).map(|_| Rogue::start(Way::Silent)).collect();
    let mut targets = Vec::new();
    for at in 0..40 {
        let port = match at % 3 {
            0 => live.port(),
            1 => deaf,
            _ => silent[at % 4].port(),
        };
        targets.push((port, "/health".to_owned()));
    }
    let bound = Duration::from_millis(1500);
    let begun = Instant::now();
    let seen = probe_all(targets, bound).await;
    // One after the other they would take 13 times their bound.
    assert!(begun.elapsed() < bound * 10, "{:?}", begun.elapsed());
    for (at, seen) in seen.iter().enumerate() {
        match at % 3 {
            0 => assert!(seen.live(), "{at} {seen:?}"),
            1 => assert_eq!(*seen, Probe::Refused, "{at}"),
            _ => assert_eq!(*seen, Probe::Silent, "{at}"),
        }
    }
    assert!(probe_all(Vec::new(), bound).await.is_empty());
}
