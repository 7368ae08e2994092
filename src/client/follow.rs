//! A followed log: lines as the hub sends them, until the module or the hub goes. Holds at most
//! one line of bounded length.

use super::http::{Opened, Trouble};
use std::collections::VecDeque;

/// Longer lines are cut into pieces of this many bytes (the hub's own bound and its prefix).
const LINE_LIMIT: usize = 64 << 10;

/// What a followed log brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line, with the hub's prefix, without its newline; what is not UTF-8 is replaced.
    Line(String),
    /// The hub ended the log: the module is gone, or the hub is going down in order.
    End,
    /// The connection broke: the hub is gone.
    Broken,
}

/// A log that is being followed; dropping it closes the connection.
#[derive(Debug)]
pub struct Follow {
    from: Option<Opened>,
    lines: VecDeque<String>,
    rest: Vec<u8>,
    end: Heard,
}

impl Follow {
    pub(super) fn new(from: Opened) -> Self {
        Self {
            from: Some(from),
            lines: VecDeque::new(),
            rest: Vec::new(),
            end: Heard::End,
        }
    }

    /// One that has these lines and no more.
    pub(super) fn finished(lines: Vec<String>) -> Self {
        Self {
            from: None,
            lines: lines.into(),
            rest: Vec::new(),
            end: Heard::End,
        }
    }

    /// The next line; after the last one, how it ended, for ever. Waits as long as nothing comes
    /// and both live: the caller ends it by dropping it. Loses nothing when it is cancelled.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Heard::Line(line);
            }
            let Some(from) = &mut self.from else {
                return self.end.clone();
            };
            match from.piece().await {
                Some(Ok(piece)) => self.take(&piece),
                last => {
                    self.from = None;
                    if matches!(last, Some(Err(Trouble::Odd(_) | Trouble::Closed))) {
                        self.end = Heard::Broken;
                    }
                    if !self.rest.is_empty() {
                        let rest = std::mem::take(&mut self.rest);
                        self.lines.push_back(text(&rest));
                    }
                }
            }
        }
    }

    /// Cuts a piece of the stream into lines; what has no newline yet waits in `rest`.
    fn take(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|b| *b == b'\n') {
            for part in part.chunks(LINE_LIMIT) {
                if self.rest.len() + part.len() > LINE_LIMIT + 1 {
                    let full = std::mem::take(&mut self.rest);
                    self.lines.push_back(text(&full));
                }
                self.rest.extend_from_slice(part);
            }
            if self.rest.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.rest);
                self.lines.push_back(text(&line));
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches(['\n', '\r'])
        .to_owned()
}

/// A line without the `[short] ` that the hub puts in front of it.
pub fn bare<'a>(short: &str, line: &'a str) -> &'a str {
    marked(short, line).unwrap_or(line)
}

/// What follows the hub's `[short] `; `None` for a line that does not begin with it.
pub fn marked<'a>(short: &str, line: &'a str) -> Option<&'a str> {
    line.strip_prefix('[')?
        .strip_prefix(short)?
        .strip_prefix("] ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut follow = Follow::finished(Vec::new());
        for piece in pieces {
            follow.take(piece);
            assert!(follow.rest.len() <= LINE_LIMIT + 1);
        }
        follow.lines.into()
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_stream_was_cut(
            text in "([a-z\\r]{0,9}\n){0,9}",
            at in 0_usize..99,
        ) {
            let at = at.min(text.len());
            let (a, b) = text.as_bytes().split_at(at);
            let whole: Vec<&str> = text.split_terminator('\n').map(|l| l.trim_end_matches('\r')).collect();
            prop_assert_eq!(lines(&[a, b]), whole);
        }
    }

    #[test]
    fn a_line_of_any_length_takes_bounded_memory() {
        let long = vec![b'x'; LINE_LIMIT * 2 + 7];
        let got = lines(&[&long, &long, b"\nshort\n"]);
        assert!(got.iter().all(|line| line.len() <= LINE_LIMIT + 1));
        let (last, pieces) = got.split_last().unwrap();
        assert_eq!(last, "short");
        assert_eq!(pieces.concat().len(), long.len() * 2);
    }

    #[test]
    fn the_prefix_is_taken_off_where_it_is_one() {
        assert_eq!(bare("vault", "[vault] [x] y"), "[x] y");
        assert_eq!(bare("vault", "[vaults] y"), "[vaults] y");
        assert_eq!(bare("vault", "y"), "y");
    }
}
