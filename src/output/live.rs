//! A text that is shown again and again: on a terminal in place, on the alternate screen, which is
//! left again however it ends; elsewhere one block after the other. Decides nothing of when.

use super::wrap::wrap;
use std::{
    ffi::OsStr,
    io::{self, IsTerminal, Write},
};

/// ECMA-48 and xterm's control sequences.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// See the head of this file.
pub struct Live {
    terminal: bool,
    begun: bool,
}

impl Live {
    /// Takes the alternate screen where stdout is a terminal, one of this kind (`TERM`), that has
    /// one.
    pub fn begin(kind: Option<&OsStr>) -> Self {
        let dumb = kind.is_none_or(|kind| kind == "dumb");
        Self {
            terminal: io::stdout().is_terminal() && !dumb,
            begun: false,
        }
    }

    /// Is it drawn in place.
    pub fn terminal(&self) -> bool {
        self.terminal
    }

    /// Shows this text in place of the one before it; in one write, so that nothing flickers.
    pub fn draw(&mut self, text: &[u8]) -> io::Result<()> {
        let mut painted =
            anstream::AutoStream::new(Vec::new(), anstream::AutoStream::choice(&io::stdout()));
        painted.write_all(text)?;
        let text = painted.into_inner();
        let mut frame = Vec::with_capacity(text.len() + 256);
        if !self.terminal {
            if self.begun {
                frame.push(b'\n');
            }
            frame.extend(text);
        } else {
            if !self.begun {
                frame.extend(ENTER);
            }
            frame.extend(b"\x1b[H");
            let (rows, columns) = size();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<String> = text.lines().flat_map(|line| wrap(line, columns)).collect();
            let fit = if lines.len() >= rows {
                rows - 2
            } else {
                lines.len()
            };
            for line in &lines[..fit] {
                // Behind a row that is full, the cursor stands on its last character.
                frame.extend(b"\x1b[K");
                frame.extend(line.bytes());
                frame.extend(b"\x1b[0m\r\n");
            }
            if fit < lines.len() {
                frame.extend(format!("\x1b[K… {} more lines", lines.len() - fit).bytes());
            }
            frame.extend(b"\x1b[J");
        }
        self.begun = true;
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }
}

/// Rows and columns of the screen; a terminal that does not know them says 0.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let (rows, columns) = size.map_or((0, 0), |s| (s.ws_row.into(), s.ws_col.into()));
    (
        if rows < 3 { 24 } else { rows },
        if columns == 0 { 80 } else { columns },
    )
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.terminal && self.begun {
            let mut out = io::stdout().lock();
            let _ = out.write_all(LEAVE);
            let _ = out.flush();
        }
    }
}
