//! The token goes to a listener of an allowed user, or nowhere.

use super::{PATIENCE, bounds, client, home, until};
use crate::fakes::{
    hub::{Hub, Make, jwt, put_token},
    rogue::{Rogue, Way},
};
use parachute::{
    client::{Client, Identity},
    error::Code,
    home::Home,
    os::identity,
};
use serde_json::json;
use std::{
    fs,
    process::{Child, Command, Stdio},
};

/// Ends with the test.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers 200 to everything and keeps what it was sent in a file.
const PROGRAM: &str = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1] + "/seen", "a") as seen:
            seen.write(str(self.headers))
        body = b'{"modules": []}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1] + "/port.new", "w") as port:
    port.write(str(server.server_port))
import os
os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
server.serve_forever()
"#;

fn python() -> Option<&'static str> {
    ["/usr/bin/python3", "/usr/local/bin/python3"]
        .into_iter()
        .find(|path| fs::exists(path).unwrap_or(false))
}

#[tokio::test]
async fn another_users_listener_gets_no_token_and_is_named() {
    if identity::euid() != 0 {
        eprintln!("skipped: needs root to run a listener as another user");
        return;
    }
    let Some(python) = python() else {
        eprintln!("skipped: needs python3");
        return;
    };
    let theirs = home();
    std::os::unix::fs::chown(theirs.path(), Some(54321), Some(54321)).unwrap();
    let spawned = Command::new("setpriv")
        .args(["--reuid=54321", "--regid=54321", "--clear-groups", python])
        .args(["-c", PROGRAM])
        .arg(theirs.path())
        .stdin(Stdio::null())
        .spawn();
    let Ok(child) = spawned else {
        eprintln!("skipped: needs setpriv");
        return;
    };
    let _stranger = Stranger(child);
    let port_file = theirs.path().join("port");
    until("the stranger listens", || port_file.exists()).await;
    let port = fs::read_to_string(port_file).unwrap().parse().unwrap();

    let home = home();
    let token = jwt(&json!({"exp": 4_000_000_000_u32}));
    put_token(home.path(), &token);
    let ours = client(&home, port);
    for error in [
        ours.modules().await.unwrap_err(),
        ours.start("vault").await.unwrap_err(),
        ours.follow("vault").await.unwrap_err(),
    ] {
        assert_eq!(error.code, Code::WrongHub, "{error:?}");
        assert_eq!(error.exit() as i32, 5);
        assert!(error.message.contains("uid 54321"), "{error:?}");
        assert!(error.message.contains("python"), "{error:?}");
        assert!(!error.message.contains(&token));
    }
    let seen = fs::read_to_string(theirs.path().join("seen")).unwrap_or_default();
    assert!(!seen.to_lowercase().contains("authorization"), "{seen}");

    // The very same listener is fine where the unit says that it runs as that user.
    let allowed = Client::new(Home::new(home.path()), port, vec![0, 54321]);
    allowed.bounds(bounds(PATIENCE)).modules().await.unwrap();
    let seen = fs::read_to_string(theirs.path().join("seen")).unwrap();
    assert!(seen.contains(&token));
}

#[tokio::test]
async fn a_listener_of_our_own_uid_is_refused_where_the_home_is_another_users() {
    let home = home();
    let token = jwt(&json!({"exp": 4_000_000_000_u32}));
    put_token(home.path(), &token);
    let rogue = Rogue::start(Way::Says(
        "200 OK",
        "content-type: application/json\r\n".into(),
        r#"{"modules":[]}"#,
    ));
    for allowed in [vec![], vec![identity::euid() + 1]] {
        let client = Client::new(Home::new(home.path()), rogue.port(), allowed);
        let client = client.bounds(bounds(PATIENCE));
        let error = client.modules().await.unwrap_err();
        assert_eq!(error.code, Code::WrongHub, "{error:?}");
        let pid = format!("pid {}", std::process::id());
        assert!(error.message.contains(&pid), "{error:?}");
    }
    assert!(rogue.seen().is_empty(), "{:?}", rogue.seen());
    client(&home, rogue.port()).modules().await.unwrap();
    assert!(rogue.seen()[0].text().contains(&token));
}

#[tokio::test]
async fn a_hub_of_a_user_who_may_not_is_not_ours_whatever_it_says() {
    let home = home();
    // Its nonce is the one in this home, which everybody may read.
    let hub = Hub::start(Make::V0_7_15, home.path());
    let theirs = Client::new(
        Home::new(home.path()),
        hub.port(),
        vec![identity::euid() + 1],
    );
    let theirs = theirs.bounds(bounds(PATIENCE));
    let look = theirs.look().await.unwrap();
    assert!(
        matches!(look.identity, Identity::Mismatch { .. }),
        "{look:?}"
    );
    assert_eq!(theirs.own_health().await.unwrap_err().code, Code::WrongHub);
    let look = client(&home, hub.port()).look().await.unwrap();
    assert_eq!(look.identity, Identity::Match);
}
