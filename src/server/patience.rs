//! A connection whose client must read: what is written and not taken in time is an error, so that
//! nobody holds a place, or what waits for them, by not reading. Bounds no read.

use rustix::net::sockopt::set_socket_linger;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// How long answers may wait for their client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// From the first byte that it does not take until it has taken all.
    pub(super) whole: Duration,
    /// For its next byte, while it follows a log: there is always more to come.
    pub(super) next: Duration,
}

/// Whether the answer under way is one that is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Following(Arc<AtomicBool>);

impl Following {
    pub(super) fn set(&self, follows: bool) {
        self.0.store(follows, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    bounds: Bounds,
    following: Following,
    /// Since when the client owes a read.
    since: Option<Instant>,
    wake: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, bounds: Bounds, following: Following) -> Self {
        Self {
            stream,
            bounds,
            following,
            since: None,
            wake: None,
        }
    }

    fn satisfied(&mut self) {
        self.since = None;
        self.wake = None;
    }

    /// The client does not read at this moment: pending, or an error when it has not for too long.
    fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let bound = match self.following.get() {
            true => self.bounds.next,
            false => self.bounds.whole,
        };
        let end = since + bound;
        let wake = self.wake.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if wake.deadline() != end {
            wake.as_mut().reset(end);
        }
        ready!(wake.as_mut().poll(cx));
        // What is queued would stay with the kernel long after the close.
        let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read",
        ))
    }

    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.waits(cx).map(Err),
            written => {
                if self.following.get() {
                    self.satisfied();
                }
                written
            }
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.judge(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when all that there was to write is written: nothing is owed any more.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.satisfied();
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
