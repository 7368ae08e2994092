//! Health probes of modules: what counts as live, and many of them side by side.

use super::{PATIENCE, deaf_port};
use crate::fakes::rogue::{Rogue, Way};
use parachute::client::{Probe, probe, probe_all};
use std::time::Duration;

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
    // Answers nobody before all of them have asked.
    let live = Rogue::start(Way::Together(20));
    let (_socket, deaf) = deaf_port();
    let targets = (0..40)
        .map(|at| match at % 2 {
            0 => (live.port(), format!("/{at}")),
            _ => (deaf, "/health".to_owned()),
        })
        .collect();
    for (at, seen) in probe_all(targets, PATIENCE).await.iter().enumerate() {
        match at % 2 {
            0 => assert!(seen.live(), "{at} {seen:?}"),
            _ => assert_eq!(*seen, Probe::Refused, "{at}"),
        }
    }
    assert!(probe_all(Vec::new(), PATIENCE).await.is_empty());
}

#[tokio::test]
#[ignore = "prints a measurement"]
async fn speed() {
    let modules: Vec<Rogue> = (0..50).map(|_| says("200 OK")).collect();
    let home = super::home();
    let hub = crate::fakes::hub::Hub::start(crate::fakes::hub::Make::V0_7_15, home.path());
    let client = super::client(&home, hub.port());
    for _ in 0..5 {
        let targets = modules
            .iter()
            .map(|m| (m.port(), "/health".into()))
            .collect();
        let begun = std::time::Instant::now();
        assert!(probe_all(targets, PATIENCE).await.iter().all(Probe::live));
        let fifty = begun.elapsed();
        let begun = std::time::Instant::now();
        client.look().await.unwrap();
        let look = begun.elapsed();
        let begun = std::time::Instant::now();
        client.modules().await.unwrap();
        eprintln!(
            "50 probes {fifty:?}, look {look:?}, modules {:?}",
            begun.elapsed()
        );
    }
}
