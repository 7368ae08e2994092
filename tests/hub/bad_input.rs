//! What a client can do wrong, and what it gets for it.

use super::{Hub, ask, ask_raw, command, module, one, registry, wire};
use crate::sandbox::{Sandbox, listens, until_true};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

#[test]
fn odd_paths_lead_nowhere() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    for path in [
        "/api/modules/../start",
        "/api/modules/%2e%2e/start",
        "/api/modules/a%2fb/start",
        "/api/modules/%00/start",
        "/api/modules//start",
        "/api/modules/good/start/",
        "/api/modules/good%2fstart",
        "/api/modules/%ff/start",
        "/../../etc/passwd",
        "/api/modules/good/../good/start",
    ] {
        hub.post(path).refused(404, "not_found");
    }
    hub.post("/api/modules/nobody/start")
        .refused(400, "not_installed");
    let long = format!("/{}", "x".repeat(1 << 20));
    let answer = ask(hub.port, "GET", &long, &[]);
    assert!(
        [0, 400, 404, 414, 431].contains(&answer.status),
        "{}",
        answer.status
    );
    let header = "x".repeat(1 << 20);
    let answer = ask(hub.port, "GET", "/health", &[("X-Long", &header)]);
    assert!([0, 400, 431].contains(&answer.status), "{}", answer.status);
    let many: Vec<(String, String)> = (0..5000).map(|n| (format!("X-{n}"), "y".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (&**a, &**b)).collect();
    let answer = ask(hub.port, "GET", "/health", &many);
    assert!([0, 400, 431].contains(&answer.status), "{}", answer.status);
    ask(hub.port, "GET", "/health", &[]).expect(200);
}

#[test]
fn odd_wire_formats_are_answered_or_closed() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    let token = hub.token();
    for bad in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nNo colon\r\n\r\n",
        b"\0\0\0\0",
    ] {
        let mut stream = wire::connect(hub.port);
        let _ = stream.write_all(bad);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        assert_ne!(wire::parse(&all).status, 200);
    }
    // HTTP/1.0, with no host and no keep-alive.
    let old = format!("GET /api/modules HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    ask_raw(hub.port, old.as_bytes()).expect(200);
    // HTTP/1.1 must say whom it is for.
    let nameless = format!(
        "GET /api/modules HTTP/1.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    ask_raw(hub.port, nameless.as_bytes()).refused(403, "forbidden_host");
    // Two requests at once on one connection are answered in order.
    let two = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stream = wire::connect(hub.port);
    stream.write_all(two.as_bytes()).unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).unwrap();
    let (first, second) = (
        both.find("200 OK").unwrap(),
        both.find("404 Not Found").unwrap(),
    );
    assert!(first < second, "{both}");
    // A body whose chunks are broken does not matter to an operation that ignores its body.
    let head = format!(
        "POST /api/modules/good/start HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let answer = ask_raw(hub.port, format!("{head}zzzz\r\nnonsense").as_bytes());
    assert!([200, 400].contains(&answer.status), "{answer}");
    // Nor does one that never comes.
    let head = format!(
        "POST /api/modules/good/start HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000000000\r\n\r\n{{"
    );
    let mut stream = wire::connect(hub.port);
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    hub.post("/api/modules/good/start").expect(200);
}

#[test]
fn a_client_that_leaves_midway_disturbs_nothing() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&["--bind-after", "300"]));
    let hub = Hub::serve(&sandbox);
    let token = hub.token();
    for path in [
        "POST /api/modules/good/restart",
        "GET /api/modules/good/logs?follow=1",
        "GET /api/modules",
    ] {
        for _ in 0..10 {
            let mut stream = wire::connect(hub.port);
            let request = format!(
                "{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).unwrap();
            drop(stream);
        }
    }
    hub.until_ready("good");
    assert_eq!(super::spawned(&sandbox).len(), 1);
}

#[test]
fn idle_and_slow_connections_leave_room_for_others() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    hub.until_ready("good");
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    let idle = 5000.min(usize::try_from(limit).unwrap_or(usize::MAX) / 2);
    let mut held = Vec::new();
    while held.len() < idle {
        match TcpStream::connect(("127.0.0.1", hub.port)) {
            Ok(stream) => held.push(stream),
            Err(error) => panic!("{error} after {}", held.len()),
        }
    }
    let mut slow: Vec<TcpStream> = (0..200).map(|_| wire::connect(hub.port)).collect();
    for stream in &mut slow {
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: local")
            .unwrap();
    }
    for _ in 0..20 {
        ask(hub.port, "GET", "/health", &[]).expect(200);
    }
    assert_eq!(hub.restart("good")["status"], "running");
}

/// More of them than there are places, without a token, each with answers that it never takes.
#[test]
fn clients_that_never_read_do_not_keep_the_hub_from_others() {
    let sandbox = Sandbox::new();
    // Long names make long answers.
    let names: Vec<String> = (0..300).map(|n| format!("{n:0>200}")).collect();
    let ill: Vec<(&str, u16, &[&str])> = (20_000..)
        .zip(&names)
        .map(|(port, name)| (&**name, port, &["no-such-program-anywhere"][..]))
        .collect();
    registry(&sandbox, &ill);
    let serve = command(&sandbox);
    let mut few = std::process::Command::new("/bin/sh");
    few.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env_clear()
        .current_dir(sandbox.user_dir())
        .stdout(std::fs::File::create(sandbox.user_dir().join("hub.out")).unwrap())
        .stderr(std::fs::File::create(sandbox.user_dir().join("hub.err")).unwrap());
    for (name, value) in serve.get_envs() {
        few.env(name, value.unwrap_or_default());
    }
    let hub = Hub::of(&sandbox, &mut few);
    until_true("long answers", || {
        let ready = ask(hub.port, "GET", "/api/ready", &[]).expect(200);
        ready["persistent_modules"].as_array().unwrap().len() == names.len()
    });
    let many = "GET /api/ready HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    let deaf: Vec<TcpStream> = (0..28)
        .map(|_| {
            let mut stream = wire::connect(hub.port);
            stream.write_all(many.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Behind all of these, however long a slow machine takes to answer them until they are full.
    let mut stream = wire::connect(hub.port);
    stream
        .set_read_timeout(Some(Duration::from_secs(90)))
        .unwrap();
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    wire::parse(&all).expect(200);
    drop(deaf);
}

#[test]
fn a_second_hub_fails_at_once_and_disturbs_nothing() {
    let sandbox = Sandbox::new();
    one(&sandbox, "good", &module(&[]));
    let hub = Hub::serve(&sandbox);
    let pid = hub.until_ready("good");
    let instance = sandbox.text("hub-instance.json");
    let token = hub.token();

    // Note 5: the same port, of another home.
    let other = Sandbox::new();
    one(&other, "other", &module(&[]));
    let ran = other
        .command(["serve"])
        .env("PORT", hub.port.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("pid {}", hub.pid())) && text.contains("hint: "),
        "{text}"
    );
    assert!(!other.at("hub").exists() && super::spawned(&other).is_empty());

    // The same home, on another port.
    let ran = command(&sandbox)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("pid {}", hub.pid())), "{text}");

    assert_eq!(sandbox.text("hub-instance.json"), instance);
    assert_eq!(hub.token(), token);
    assert_eq!(hub.until_ready("good"), pid);
}

#[test]
fn odd_environments_are_wrong_command_lines() {
    let sandbox = Sandbox::new();
    for (name, value) in [
        ("PORT", "abc"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PARACHUTE_LOG", "loud"),
        ("PARACHUTE_BIND_HOST", "no such host"),
    ] {
        let ran = sandbox
            .command(["serve"])
            .env("PORT", "0")
            .env(name, value)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{name}={value}: {text}");
        assert!(text.contains(name), "{text}");
    }
    assert!(!sandbox.home().exists());
    let mut hub = Hub::of(
        &sandbox,
        command(&sandbox)
            .env("PARACHUTE_BIND_HOST", "localhost")
            .args(["--log-format", "json", "--log-level", "debug"]),
    );
    until_true("json lines", || hub.err().lines().count() > 0);
    for line in hub.err().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
    hub.signal("TERM");
    assert_eq!(hub.wait(), 0);
    assert!(!listens(hub.port));
}
