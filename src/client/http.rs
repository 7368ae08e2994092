//! One small HTTP/1.1 exchange with 127.0.0.1 over a connection of its own, everything under one
//! deadline and every length bounded. Follows no redirect, reuses no connection, and knows
//! nothing of hubs or tokens.

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Method, Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONTENT_TYPE, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::{
    error::Error as _,
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout_at};

/// A whole answer is at most this long, in bytes.
pub(super) const BODY_LIMIT: usize = 8 << 20;
/// Status line and headers together are at most this long, in bytes.
pub(super) const HEAD_LIMIT: usize = 64 << 10;

/// When an exchange is over, however far it got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    bound: Duration,
}

impl Deadline {
    /// This long from now.
    pub(super) fn within(bound: Duration) -> Self {
        Self {
            at: Instant::now() + bound,
            bound,
        }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    async fn hold<T>(self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        timeout_at(self.at.into(), work)
            .await
            .map_err(|_| Trouble::Silent(self.bound))
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody listens on the port.
    Refused,
    /// Not a whole answer within this bound.
    Silent(Duration),
    /// The connection was closed before a word of an answer.
    Closed,
    /// Something came back that is not an answer; says what, for people.
    Odd(String),
    /// Our own side failed (no sockets left, no loopback).
    Local(String),
}

/// The first part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its status.
    pub(super) status: u16,
    /// Its content type, lower case, without parameters; empty when it has none.
    pub(super) kind: String,
    /// Where a redirect points, as it was said.
    pub(super) location: Option<String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Its first part.
    pub(super) head: Head,
    /// The rest, at most [`BODY_LIMIT`] bytes.
    pub(super) body: Bytes,
}

/// Connects to `127.0.0.1:port`.
pub(super) async fn connect(port: u16, deadline: Deadline) -> Result<TcpStream, Trouble> {
    let stream = deadline
        .hold(TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
        .await?
        .map_err(|e| match e.kind() {
            io::ErrorKind::ConnectionRefused => Trouble::Refused,
            io::ErrorKind::ConnectionReset => Trouble::Closed,
            _ => Trouble::Local(crate::error::reason(&e)),
        })?;
    // Connecting to a free port of the ephemeral range may meet itself: TCP's simultaneous open.
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) if local == peer => Err(Trouble::Refused),
        _ => {
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
    }
}

/// A request to `127.0.0.1:port`; `Err` says what is wrong with the path.
pub(super) fn request(
    method: Method,
    port: u16,
    path: &str,
    extra: HeaderMap,
) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, format!("127.0.0.1:{port}"))
        .header(USER_AGENT, concat!("parachute/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|e| e.to_string())?;
    request.headers_mut().extend(extra);
    Ok(request)
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(super) struct Opened {
    /// Its first part.
    pub(super) head: Head,
    body: Incoming,
    _connection: Connection,
}

/// The task that moves the bytes; ends with what it serves.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn open(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    deadline: Deadline,
) -> Result<Opened, Trouble> {
    deadline
        .hold(async {
            let (mut sender, connection) = http1::Builder::new()
                .max_header_size(HEAD_LIMIT)
                .max_buf_size(2 * HEAD_LIMIT)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|e| before_answer(&e))?;
            let connection = Connection(tokio::spawn(async move {
                let _ = connection.await;
            }));
            let (parts, body) = sender
                .send_request(request)
                .await
                .map_err(|e| before_answer(&e))?
                .into_parts();
            let text = |name| {
                parts
                    .headers
                    .get(name)
                    .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            };
            let kind = text(CONTENT_TYPE).unwrap_or_default();
            Ok(Opened {
                head: Head {
                    status: parts.status.as_u16(),
                    kind: kind
                        .split(';')
                        .next()
                        .unwrap_or_default()
                        .trim()
                        .to_ascii_lowercase(),
                    location: text(LOCATION),
                },
                body,
                _connection: connection,
            })
        })
        .await?
}

impl Opened {
    /// The next piece of the body, none at its end. Has no deadline of its own.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, Trouble>> {
        loop {
            match self.body.frame().await? {
                Err(_) => return Some(Err(Trouble::Odd("its answer breaks off half-way".into()))),
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
            }
        }
    }

    /// Reads the rest: at most `limit` bytes.
    pub(super) async fn whole(
        mut self,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Answer, Trouble> {
        let body = deadline
            .hold(async {
                let mut body = Vec::new();
                while let Some(piece) = self.piece().await {
                    let piece = piece?;
                    if body.len() + piece.len() > limit {
                        return Err(Trouble::Odd(format!(
                            "its answer is longer than {} KiB",
                            limit >> 10
                        )));
                    }
                    body.extend_from_slice(&piece);
                }
                Ok(Bytes::from(body))
            })
            .await??;
        Ok(Answer {
            head: self.head,
            body,
        })
    }
}

/// What went wrong before the head of an answer was there.
fn before_answer(error: &hyper::Error) -> Trouble {
    if error.is_parse_too_large() {
        return Trouble::Odd(format!(
            "its headers are longer than {} KiB",
            HEAD_LIMIT >> 10
        ));
    }
    if error.is_parse() {
        return Trouble::Odd("what it answers is not HTTP".into());
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Trouble::Closed;
    }
    match error.source().and_then(|e| e.downcast_ref::<io::Error>()) {
        Some(e) => match e.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Trouble::Closed,
            _ => Trouble::Odd(crate::error::reason(e)),
        },
        None => Trouble::Odd(error.to_string()),
    }
}
