//! The least HTTP client that shows everything: one connection a request, bytes in, bytes out.

use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Asserts the status; gives the JSON body.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Asserts the status and the error code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["error"], code, "{self}");
        assert!(
            body["error_description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{self}"
        );
        body
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// A connection with patience.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// One request; `Host` is loopback unless the headers name one.
pub fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        text.push_str(&format!("Host: 127.0.0.1:{port}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    ask_raw(port, text.as_bytes())
}

/// Any bytes; the first answer to them.
pub fn ask_raw(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = connect(port);
    let _ = stream.write_all(bytes);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    parse(&all)
}

/// Reads an answer; status 0 when there is none.
pub fn parse(all: &[u8]) -> Answer {
    let end = all
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(all.len());
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut body = all.get(end + 4..).unwrap_or_default().to_vec();
    if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        body = dechunk(&body);
    }
    Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0),
        head,
        body,
    }
}

/// Takes the chunks apart; what is incomplete is left out.
pub fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size =
            usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap().trim(), 16).unwrap();
        let from = at + 2;
        if size == 0 || bytes.len() < from + size {
            break;
        }
        out.extend_from_slice(&bytes[from..from + size]);
        bytes = bytes.get(from + size + 2..).unwrap_or_default();
    }
    out
}

/// A request whose answer is read as it comes, as HTTP/1.0: no chunks.
pub struct Stream {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Stream {
    pub fn follow(port: u16, token: &str, short: &str) -> Self {
        let mut stream = connect(port);
        let request = format!(
            "GET /api/modules/{short}/logs?follow=1 HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    /// Reads until the text is there; gives all that was read.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let mut chunk = [0; 65536];
        loop {
            let all = String::from_utf8_lossy(&self.seen).into_owned();
            if all.contains(text) {
                return all;
            }
            let n = self.stream.read(&mut chunk).unwrap();
            assert!(n > 0, "the stream ended without {text:?}: {all}");
            self.seen.extend_from_slice(&chunk[..n]);
        }
    }

    /// Reads to the end.
    pub fn rest(mut self) -> String {
        self.stream.read_to_end(&mut self.seen).unwrap();
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}
