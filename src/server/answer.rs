//! What goes back: JSON, an error in the contract's shape, or a stream of log lines that ends when the
//! client leaves or the module does.

use crate::{
    api::Failure,
    supervisor::log::{Follow, News},
};
use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// An answer on its way.
pub(super) type Answer = Response<Content>;

/// The body of an answer.
pub(super) enum Content {
    /// All of it; empty once it is sent.
    Whole(Bytes),
    /// As it comes.
    Stream(mpsc::Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Stream(lines) => lines
                .poll_recv(cx)
                .map(|some| some.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

/// JSON text, never cached.
pub(super) fn json_text(status: StatusCode, text: Bytes) -> Answer {
    let mut answer = Response::new(Content::Whole(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    json_text(status, serde_json::to_vec(value).unwrap_or_default().into())
}

/// `{"error","error_description"}`.
pub(super) fn failure(status: StatusCode, code: &str, text: &str) -> Answer {
    json(
        status,
        &Failure {
            error: code.to_owned(),
            error_description: Some(text.to_owned()),
        },
    )
}

/// Raw lines as the API has them: text, each with the module's name before it.
pub(super) fn prefixed(short: &str, lines: &[u8]) -> Vec<String> {
    lines
        .split_inclusive(|&b| b == b'\n')
        .map(|line| format!("[{short}] {}", String::from_utf8_lossy(line)))
        .collect()
}

/// Lines as they come. At most two portions wait for a slow client; the log itself waits for nobody.
pub(super) fn following(short: String, mut follow: Follow) -> Answer {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let news = tokio::select! {
                news = follow.next() => news,
                () = sender.closed() => return,
            };
            let text = match news {
                None => return,
                Some(News::Lines(lines)) => prefixed(&short, &lines).concat(),
                Some(News::Missed(1)) => {
                    "[hub] one line went by before it could be sent\n".to_owned()
                }
                Some(News::Missed(n)) => {
                    format!("[hub] {n} lines went by before they could be sent\n")
                }
            };
            if sender.send(text.into()).await.is_err() {
                return;
            }
        }
    });
    let mut answer = Response::new(Content::Stream(lines));
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
