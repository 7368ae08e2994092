//! What may sit on the hub's port instead of a hub that is well. Each misbehaves in one way, and
//! all of them keep what they were sent, to prove that no token was in it.

use super::wire::{Request, Server, answer};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Barrier, Mutex},
};

/// How it misbehaves.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Accepts, and never says a word.
    Silent,
    /// Reads the request and closes.
    Closes,
    /// Closes in the middle of a JSON body.
    Truncates,
    /// Says its body is endless, and stops in the middle.
    Stalls,
    /// Headers without an end.
    EndlessHeaders,
    /// One byte of a header now and then, without an end.
    Drips,
    /// A body without an end.
    EndlessBody,
    /// This, to everything: status line, headers, body.
    Says(&'static str, String, &'static str),
    /// No HTTP at all.
    Babbles,
    /// 200, once so many requests are waiting for it at the same time.
    Together(usize),
    /// A healthy `/health` of a hub with this nonce; 401 to the rest.
    Hub(&'static str),
}

/// A stranger on a port.
#[derive(Debug)]
pub(crate) struct Rogue {
    server: Server,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Rogue {
    pub(crate) fn start(way: Way) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let count = if let Way::Together(n) = way { n } else { 1 };
        let barrier = Barrier::new(count);
        let server = Server::start(move |mut stream| {
            let Some(request) = Request::read(&stream) else {
                return;
            };
            let path = request.path.clone();
            kept.lock().unwrap().push(request);
            barrier.wait();
            misbehave(&way, &path, &mut stream);
        });
        Self { server, seen }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// What it was sent so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn misbehave(way: &Way, path: &str, stream: &mut TcpStream) {
    // Waits until the client leaves, or this stand-in is dropped.
    let wait = |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    };
    match way {
        Way::Silent => wait(stream),
        Way::Closes => {}
        Way::Truncates => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
            let _ = write!(stream, "{head}content-length: 500\r\n\r\n{{\"modules\": [");
        }
        Way::Stalls => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
            let _ = write!(
                stream,
                "{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"mod\r\n"
            );
            wait(stream);
        }
        Way::EndlessHeaders => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream
                .write_all(b"x-more: and-more-and-more-of-it\r\n")
                .is_ok()
            {}
        }
        Way::Drips => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-more: ");
            let pause = std::time::Duration::from_millis(5);
            stream.set_read_timeout(Some(pause)).unwrap();
            // The timeout of a read is the pause, and sees the client leave.
            while stream.read(&mut [0]).is_err() && stream.write_all(b"a").is_ok() {}
        }
        Way::EndlessBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).is_ok() {}
        }
        Way::Says(status, headers, body) => answer(stream, status, headers, body),
        Way::Babbles => {
            let _ = stream.write_all(b"220 mail.example ESMTP ready\r\n");
        }
        Way::Together(_) => answer(stream, "200 OK", "", ""),
        Way::Hub(nonce) if path == "/health" => {
            let body = format!(
                r#"{{"status":"ok","service":"parachute-hub","version":"0.7.15","instance":"{nonce}"}}"#
            );
            answer(
                stream,
                "200 OK",
                "content-type: application/json\r\n",
                &body,
            );
        }
        Way::Hub(_) => answer(stream, "401 Unauthorized", "", ""),
    }
}
