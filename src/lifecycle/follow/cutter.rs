//! Bytes into lines of bounded length.

use super::Line;

/// A line that is longer is cut into pieces of this size, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;
/// Cuts bytes into lines.
pub(super) struct Cutter {
    who: String,
    /// A line that has no end yet.
    rest: Vec<u8>,
}

impl Cutter {
    pub(super) fn new(who: String) -> Self {
        Self {
            who,
            rest: Vec::new(),
        }
    }

    pub(super) fn cut(&mut self, bytes: &[u8], to: &mut Vec<Line>) {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(at) = self.rest[from..].iter().position(|&b| b == b'\n') {
            let line = &self.rest[from..from + at];
            to.push(line_of(&self.who, line));
            from += at + 1;
        }
        self.rest.drain(..from);
        while self.rest.len() >= LONGEST {
            let piece: Vec<u8> = self.rest.drain(..LONGEST).collect();
            to.push(line_of(&self.who, &piece));
        }
    }

    pub(super) fn flush(&mut self, to: &mut Vec<Line>) {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            to.push(line_of(&self.who, &rest));
        }
    }
}

fn line_of(who: &str, bytes: &[u8]) -> Line {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Line {
        who: who.to_owned(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}
