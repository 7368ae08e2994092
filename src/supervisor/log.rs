//! A module's last lines: a ring of whole lines, 64 KiB, that any number of followers read at
//! their own pace. Never waits for a reader: one that is too slow is told how many lines it missed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// How much of a module's output is kept, in bytes, newlines included; also the longest line.
pub const KEPT: usize = 64 * 1024;

/// Whole lines, each ended by its newline, in one run of bytes: what 500 modules can afford.
#[derive(Debug, Default)]
struct Ring {
    bytes: VecDeque<u8>,
    /// How many lines, and bytes, have been dropped before the first that is kept.
    lines_before: u64,
    bytes_before: u64,
    /// Lines that are kept.
    lines: u64,
    /// Nothing more will come for now: the module is not running.
    idle: bool,
    /// Nothing more will come at all.
    gone: bool,
}

impl Ring {
    /// Takes whole lines in.
    fn push(&mut self, lines: &[u8]) {
        // Only the last lines of a long batch can stay.
        let mut kept = lines;
        if lines.len() > KEPT + 1 {
            let from = lines.len() - KEPT - 1;
            let cut = lines[from..].iter().position(|&b| b == b'\n');
            kept = &lines[from + cut.map_or(0, |at| at + 1)..];
        }
        let passed = &lines[..lines.len() - kept.len()];
        if !passed.is_empty() {
            self.evict(self.bytes.len());
            self.lines_before += count(passed);
            self.bytes_before += passed.len() as u64;
        }
        let over = (self.bytes.len() + kept.len()).saturating_sub(KEPT);
        if over > 0 {
            self.evict(over);
        }
        let need = self.bytes.len() + kept.len();
        if need > self.bytes.capacity() {
            let room = need.next_power_of_two().min(KEPT).max(need);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend(kept);
        self.lines += count(kept);
    }

    /// Drops whole lines from the front, at least `bytes`.
    fn evict(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let from = bytes.min(self.bytes.len()) - usize::from(!self.bytes.is_empty());
        let end = (from..self.bytes.len())
            .find(|&at| self.bytes[at] == b'\n')
            .map_or(self.bytes.len(), |at| at + 1);
        let (front, back) = self.bytes.as_slices();
        let dropped =
            count(&front[..end.min(front.len())]) + count(&back[..end.saturating_sub(front.len())]);
        self.bytes.drain(..end);
        self.lines_before += dropped;
        self.bytes_before += end as u64;
        self.lines -= dropped;
    }

    /// What is kept from this byte on.
    fn from(&self, byte: u64) -> Vec<u8> {
        let skip = usize::try_from(byte.saturating_sub(self.bytes_before)).unwrap_or(usize::MAX);
        let (front, back) = self.bytes.as_slices();
        let mut out = Vec::with_capacity(self.bytes.len().saturating_sub(skip));
        out.extend_from_slice(front.get(skip..).unwrap_or_default());
        out.extend_from_slice(
            back.get(skip.saturating_sub(front.len())..)
                .unwrap_or_default(),
        );
        out
    }
}

fn count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&b| b == b'\n').count() as u64
}

/// The shared end: the pump writes, anybody reads.
#[derive(Debug, Default)]
pub struct Log {
    ring: Mutex<Ring>,
    news: Notify,
}

impl Log {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes whole lines in, each ended by its newline and none longer than [`KEPT`] without it.
    pub fn push(&self, lines: &[u8]) {
        self.ring().push(lines);
        self.news.notify_waiters();
    }

    /// All that is kept.
    pub fn kept(&self) -> Vec<u8> {
        self.ring().from(0)
    }

    /// Where the next line will begin, in bytes since the log began.
    pub fn end(&self) -> u64 {
        let ring = self.ring();
        ring.bytes_before + ring.bytes.len() as u64
    }

    /// What is kept from such a place on.
    pub fn since(&self, place: u64) -> Vec<u8> {
        self.ring().from(place)
    }

    /// Says whether more may come: followers of an idle module end when they have read all.
    pub fn set_idle(&self, idle: bool) {
        self.ring().idle = idle;
        self.news.notify_waiters();
    }

    /// The module is no more: followers end when they have read all.
    pub fn close(&self) {
        self.ring().gone = true;
        self.news.notify_waiters();
    }

    /// A reader that begins with what is kept now.
    pub fn follow(self: Arc<Self>) -> Follow {
        let (byte, line) = {
            let ring = self.ring();
            (ring.bytes_before, ring.lines_before)
        };
        Follow {
            log: self,
            byte,
            line,
        }
    }
}

/// What a follower gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Whole lines.
    Lines(Vec<u8>),
    /// This many lines went by before they could be read.
    Missed(u64),
}

/// One reader's place in a log: a byte and a line count since the log began.
#[derive(Debug)]
pub struct Follow {
    log: Arc<Log>,
    byte: u64,
    line: u64,
}

impl Follow {
    /// What came since the last call; waits when that is nothing. `None` when no more will come.
    /// Nothing is lost when the returned future is dropped.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            let log = self.log.clone();
            let news = log.news.notified();
            tokio::pin!(news);
            // Registered before the look, so that nothing between the two is missed.
            news.as_mut().enable();
            if let Some(news) = self.look() {
                return news;
            }
            news.await;
        }
    }

    /// `Some(None)` at the end, `None` when there is nothing yet.
    fn look(&mut self) -> Option<Option<News>> {
        let ring = self.log.ring();
        if self.byte < ring.bytes_before {
            let missed = ring.lines_before - self.line;
            self.byte = ring.bytes_before;
            self.line = ring.lines_before;
            return Some(Some(News::Missed(missed)));
        }
        let end = ring.bytes_before + ring.bytes.len() as u64;
        if self.byte < end {
            let lines = ring.from(self.byte);
            self.byte = end;
            self.line = ring.lines_before + ring.lines;
            return Some(Some(News::Lines(lines)));
        }
        (ring.idle || ring.gone).then_some(None)
    }
}

/// Cuts any bytes into lines: `sink` gets runs of whole lines, each ended by a newline, none longer
/// than [`KEPT`] without it. What has no newline yet stays here.
#[derive(Debug, Default)]
pub struct Framer {
    partial: Vec<u8>,
}

impl Framer {
    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            let room = KEPT - self.partial.len();
            let head = &bytes[..bytes.len().min(room + 1)];
            match head.iter().position(|&b| b == b'\n') {
                Some(at) => {
                    self.partial.extend_from_slice(&bytes[..=at]);
                    bytes = &bytes[at + 1..];
                }
                None if bytes.len() > room => {
                    self.partial.extend_from_slice(&bytes[..room]);
                    self.partial.push(b'\n');
                    bytes = &bytes[room..];
                }
                None => {
                    self.partial.extend_from_slice(bytes);
                    return;
                }
            }
            sink(&self.partial);
            self.partial = Vec::new();
        }
        while !bytes.is_empty() {
            let whole = bytes
                .iter()
                .rposition(|&b| b == b'\n')
                .map_or(0, |at| at + 1);
            if whole > 0 && bytes[..whole].len() <= KEPT + 1 {
                sink(&bytes[..whole]);
                bytes = &bytes[whole..];
            } else if let Some(at) = bytes.iter().take(KEPT + 1).position(|&b| b == b'\n') {
                sink(&bytes[..=at]);
                bytes = &bytes[at + 1..];
            } else if bytes.len() > KEPT {
                let mut piece = bytes[..KEPT].to_vec();
                piece.push(b'\n');
                sink(&piece);
                bytes = &bytes[KEPT..];
            } else {
                self.partial = bytes.to_vec();
                return;
            }
        }
    }

    /// The stream has ended: what is left becomes a line.
    pub fn finish(&mut self, mut sink: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            sink(&self.partial);
            self.partial = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
