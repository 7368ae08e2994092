//! Following log files as they grow, across truncation and rotation. Never loses a line between
//! the old file and the new one.

use crate::{
    error::Result,
    home::Home,
    os::{files, watch::Watch},
};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
};

/// A line that is longer is cut into pieces of this size, in bytes.
const LONGEST: usize = 64 * 1024;
/// At most this much of a file is read at a time, in bytes.
const PIECE: u64 = 256 * 1024;

/// One new line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub who: String,
    /// Without its newline.
    pub text: String,
}

/// Several log files, followed together.
pub struct Follow {
    logs: Vec<Log>,
    watch: Watch,
    /// What is shown first.
    first: Vec<Line>,
}

impl Follow {
    /// Follows these files, the last `back` lines of each first.
    pub fn new(home: &Home, logs: &[(String, PathBuf)], back: usize) -> Result<Self> {
        let watch = Watch::new(
            logs.iter()
                .filter_map(|(_, path)| Some(home.at(path.parent()?))),
        );
        let mut first = Vec::new();
        let mut followed = Vec::new();
        for (who, path) in logs {
            let mut log = Log {
                who: who.clone(),
                home: home.clone(),
                path: path.clone(),
                open: None,
                rest: Vec::new(),
            };
            // Opened before its end is read: what comes meanwhile is read after it, not lost.
            let end = log.reopen_at_line_end()?;
            let lines = crate::modules::logfile::tail_until(home, path, back, end)?;
            first.extend(lines.into_iter().map(|text| Line {
                who: who.clone(),
                text,
            }));
            followed.push(log);
        }
        Ok(Self {
            logs: followed,
            watch,
            first,
        })
    }

    /// The next lines, at least one; waits for as long as it takes.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        loop {
            let mut lines = std::mem::take(&mut self.first);
            for log in &mut self.logs {
                log.read(&mut lines)?;
            }
            if !lines.is_empty() {
                return Ok(lines);
            }
            self.watch.changed().await;
        }
    }
}

struct Log {
    who: String,
    home: Home,
    path: PathBuf,
    open: Option<Open>,
    /// A line that has no end yet.
    rest: Vec<u8>,
}

struct Open {
    file: File,
    inode: u64,
    at: u64,
}

impl Log {
    /// Opens the file as it is now, at its first byte.
    fn reopen(&mut self) -> Result<()> {
        if let Some(file) = files::open(&self.home, &self.path)?
            && let Ok(meta) = file.metadata()
        {
            self.open = Some(Open {
                file,
                inode: meta.ino(),
                at: 0,
            });
        }
        Ok(())
    }

    /// Opens the file behind its last whole line; gives where that is.
    fn reopen_at_line_end(&mut self) -> Result<u64> {
        self.reopen()?;
        let Some(open) = &mut self.open else {
            return Ok(0);
        };
        let end = open.file.metadata().map(|m| m.len()).unwrap_or_default();
        let from = end.saturating_sub(LONGEST as u64);
        let mut last = vec![0; (end - from) as usize];
        let whole = match open.file.read_exact_at(&mut last, from) {
            Ok(()) => last
                .iter()
                .rposition(|&b| b == b'\n')
                .map_or(0, |at| at as u64 + 1),
            Err(_) => 0,
        };
        // A last line longer than that is shown in the pieces it would be cut into anyway.
        let at = if whole == 0 && from > 0 {
            end
        } else {
            from + whole
        };
        open.at = open.file.seek(SeekFrom::Start(at)).unwrap_or_default();
        Ok(open.at)
    }

    fn read(&mut self, to: &mut Vec<Line>) -> Result<()> {
        loop {
            if self.open.is_none() {
                self.reopen()?;
            }
            let Some(open) = &mut self.open else {
                return Ok(());
            };
            let mut bytes = Vec::new();
            let read = (&mut open.file)
                .take(PIECE)
                .read_to_end(&mut bytes)
                .unwrap_or_default() as u64;
            open.at += read;
            if read > 0 {
                self.cut(&bytes, to);
                return Ok(());
            }
            // At its end: cut short, or replaced by another file?
            if open.file.metadata().is_ok_and(|m| m.len() < open.at) {
                open.at = 0;
                let _ = open.file.rewind();
                self.flush(to);
                continue;
            }
            let now = files::open(&self.home, &self.path)?.and_then(|f| f.metadata().ok());
            match now {
                Some(meta) if meta.ino() != open.inode => {
                    // Once more: it may have been written to between the last read and the rename.
                    let mut late = Vec::new();
                    let _ = (&mut open.file).take(PIECE).read_to_end(&mut late);
                    self.cut(&late, to);
                    if late.is_empty() {
                        self.flush(to);
                        self.open = None;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn cut(&mut self, bytes: &[u8], to: &mut Vec<Line>) {
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

    fn flush(&mut self, to: &mut Vec<Line>) {
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
