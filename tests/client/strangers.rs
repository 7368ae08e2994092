//! What may answer instead of a hub: each costs at most its bound, says what it is, and gets no
//! token that was not meant for it.

use super::{PATIENCE, bounds, client, deaf_port, home};
use crate::fakes::{
    hub::{Hub, Make, jwt, put_token},
    rogue::{Rogue, Way},
};
use parachute::{
    client::{Client, Identity, Verb},
    error::Code,
};
use serde_json::json;
use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn home_with_token() -> TempDir {
    let home = home();
    put_token(home.path(), &jwt(&json!({"exp": 4_000_000_000_u32})));
    home
}

async fn every_call(client: &Client) -> Vec<parachute::error::Error> {
    vec![
        client.modules().await.unwrap_err(),
        client.start("vault").await.unwrap_err(),
        client.stop("vault").await.unwrap_err(),
        client.restart("vault").await.unwrap_err(),
        client.logs("vault").await.unwrap_err(),
        client.follow("vault").await.unwrap_err(),
        client.reload().await.unwrap_err(),
        client.install("vault").await.unwrap_err(),
        client.operation("x").await.unwrap_err(),
        client.uninstall("vault").await.unwrap_err(),
    ]
}

#[tokio::test]
async fn note_26_a_hub_that_never_answers_costs_its_bound_and_is_called_wedged() {
    for way in [Way::Silent, Way::Stalls, Way::Drips] {
        let home = home_with_token();
        let rogue = Rogue::start(way.clone());
        let client = client(&home, rogue.port()).bounds(bounds(Duration::from_millis(100)));
        let begun = Instant::now();
        for error in every_call(&client).await {
            assert_eq!(error.code, Code::HubWedged, "{way:?} {error:?}");
            assert!(error.hint.is_some());
        }
        assert_eq!(client.health().await.unwrap_err().code, Code::HubWedged);
        let error = client.bring_up(Verb::Start, "vault").await.unwrap_err();
        assert_eq!(error.code, Code::HubWedged);
        assert!(begun.elapsed() < PATIENCE);
    }
}

// What a full backlog does to the next connection is Linux's own.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn note_26_a_hub_that_accepts_no_more_connections_is_wedged_too() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&listener, 0).unwrap();
    let address = std::net::SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the backlog has no end");
    }
    let home = home_with_token();
    let client = client(&home, address.port()).bounds(bounds(Duration::from_millis(100)));
    assert_eq!(client.health().await.unwrap_err().code, Code::HubWedged);
    assert_eq!(client.modules().await.unwrap_err().code, Code::HubWedged);
}

#[tokio::test]
async fn what_is_no_answer_of_a_hub_is_called_odd_and_says_how() {
    let json_type = "content-type: application/json\r\n".to_owned();
    let html = "content-type: text/html; charset=utf-8\r\n".to_owned();
    for (way, words) in [
        (Way::Truncates, "breaks off"),
        (Way::EndlessHeaders, "headers are longer"),
        (Way::EndlessBody, "longer than 8192 KiB"),
        (Way::Babbles, "not HTTP"),
        (
            Way::Says("500 Internal Server Error", html.clone(), "<h1>oops</h1>"),
            "500 with an HTML page",
        ),
        (
            Way::Says("200 OK", html, "<h1>welcome</h1>"),
            "200 with an HTML page",
        ),
        (
            Way::Says("200 OK", json_type.clone(), "{\"modules\": ["),
            "JSON that is broken",
        ),
        (
            Way::Says("200 OK", json_type.clone(), "[1, 2, 3]"),
            "lacks what it should say",
        ),
        (
            Way::Says("200 OK", json_type, r#"{"modules": {"vault": 1}}"#),
            "lacks what it should say",
        ),
        (
            Way::Says("418 I'm a teapot", String::new(), ""),
            "418 with nothing",
        ),
    ] {
        let home = home_with_token();
        let rogue = Rogue::start(way.clone());
        let error = client(&home, rogue.port()).modules().await.unwrap_err();
        assert_eq!(error.code, Code::OddHub, "{way:?} {error:?}");
        assert!(error.message.contains(words), "{way:?} {error:?}");
        assert!(error.hint.is_some());
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_token_goes_there() {
    let home = home_with_token();
    let token = fs::read_to_string(home.path().join("operator.token")).unwrap();
    let elsewhere = Rogue::start(Way::Says("200 OK", String::new(), "{}"));
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("location: http://127.0.0.1:{}/x\r\n", elsewhere.port());
        let rogue = Rogue::start(Way::Says(status, location, ""));
        let client = client(&home, rogue.port());
        for error in every_call(&client).await {
            assert_eq!(error.code, Code::OddHub, "{error:?}");
            assert!(error.message.contains("redirect"), "{error:?}");
            assert!(!error.message.contains(token.trim()));
        }
        assert_eq!(client.health().await.unwrap_err().code, Code::OddHub);
    }
    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
}

#[tokio::test]
async fn nobody_and_somebody_who_hangs_up_are_unreachable() {
    let home = home_with_token();
    let (_socket, port) = deaf_port();
    let deaf = client(&home, port);
    for error in every_call(&deaf).await {
        assert_eq!(error.code, Code::HubUnreachable, "{error:?}");
        assert!(error.message.contains("no hub answers"), "{error:?}");
    }
    assert_eq!(deaf.health().await.unwrap_err().code, Code::HubUnreachable);
    // Without a token the first thing to say is still that nobody is there.
    fs::remove_file(home.path().join("operator.token")).unwrap();
    let error = deaf.modules().await.unwrap_err();
    assert_eq!(error.code, Code::HubUnreachable);

    let home = home_with_token();
    let rogue = Rogue::start(Way::Closes);
    let error = client(&home, rogue.port()).modules().await.unwrap_err();
    assert_eq!(error.code, Code::HubUnreachable);
    assert!(error.message.contains("closed the connection"), "{error:?}");
}

#[tokio::test]
async fn note_27_another_program_on_the_port_is_no_hub_and_is_named() {
    let json_type = "content-type: application/json\r\n".to_owned();
    for way in [
        Way::Says("200 OK", String::new(), ""),
        Way::Says("200 OK", json_type.clone(), r#"{"status":"ok"}"#),
        Way::Says(
            "200 OK",
            json_type,
            r#"{"status":"ok","service":"grafana","version":"9"}"#,
        ),
        Way::Says("404 Not Found", String::new(), ""),
    ] {
        let home = home();
        let rogue = Rogue::start(way.clone());
        let error = client(&home, rogue.port()).own_health().await.unwrap_err();
        assert_eq!(error.code, Code::WrongHub, "{way:?}");
        let pid = format!("pid {}", std::process::id());
        assert!(error.message.contains(&pid), "{error:?}");
    }
}

#[tokio::test]
async fn note_27_a_hub_with_another_nonce_than_this_homes_is_the_wrong_one() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    client.own_health().await.unwrap();

    fs::write(
        home.path().join("hub-instance.json"),
        r#"{"instance":"somebody else's"}"#,
    )
    .unwrap();
    let look = client.look().await.unwrap();
    let Identity::Mismatch { listener } = look.identity else {
        panic!("{look:?}");
    };
    let pid = format!("pid {}", std::process::id());
    assert!(listener.contains(&pid), "{listener}");
    let error = client.own_health().await.unwrap_err();
    assert_eq!(error.code, Code::WrongHub);
    let error = client
        .wait_healthy(Duration::from_secs(3), None)
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::TimedOut);
    assert!(error.message.contains("another home's"), "{error:?}");

    // A file that cannot be read as one proves nothing.
    for text in ["", "{", "[]", r#"{"instance":7}"#, r#"{"instance":""}"#] {
        fs::write(home.path().join("hub-instance.json"), text).unwrap();
        assert_eq!(client.look().await.unwrap().identity, Identity::Unknown);
    }
}

#[tokio::test]
async fn note_39_a_stranger_that_answers_200_is_not_a_hub_that_came_up() {
    let home = home();
    let rogue = Rogue::start(Way::Says("200 OK", String::new(), "hello"));
    let begun = Instant::now();
    let error = client(&home, rogue.port())
        .wait_healthy(Duration::from_secs(3), None)
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::TimedOut);
    assert!(error.message.contains("no hub"), "{error:?}");
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_health_of_another_home_is_told_from_ours_by_the_nonce_alone() {
    let home = home_with_token();
    let rogue = Rogue::start(Way::Hub("theirs"));
    fs::write(
        home.path().join("hub-instance.json"),
        r#"{"instance":"ours"}"#,
    )
    .unwrap();
    let client = client(&home, rogue.port());
    assert_eq!(client.health().await.unwrap().status, "ok");
    let error = client.own_health().await.unwrap_err();
    assert_eq!(error.code, Code::WrongHub);
    assert!(rogue.seen().iter().all(|r| r.path == "/health"));
    assert_eq!(client.port(), rogue.port());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, rogue.port())).is_ok());
}
