//! Log files as they grow, across truncation and rotation, without losing a line between the old
//! file and the new one.

use super::{
    Line,
    cutter::{Cutter, LONGEST},
};
use crate::{
    error::Result,
    home::Home,
    manager::Tail,
    modules::logfile,
    os::{files, watch::Watch},
};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::PathBuf,
};

/// At most this much of a file is read at a time, in bytes.
const PIECE: u64 = 256 * 1024;

/// Several log files, followed together.
pub struct Files {
    logs: Vec<Log>,
    watch: Watch,
    /// What is shown first.
    first: Vec<Line>,
}

impl Files {
    /// Follows these files, the last lines of each first.
    pub fn new(home: &Home, logs: &[(String, PathBuf)], tail: &Tail) -> Result<Self> {
        let watch = Watch::new(
            logs.iter()
                .filter_map(|(_, path)| Some(home.at(path.parent()?))),
        );
        let mut first = Vec::new();
        let mut followed = Vec::new();
        for (who, path) in logs {
            let mut log = Log {
                home: home.clone(),
                path: path.clone(),
                open: None,
                cutter: Cutter::new(who.clone()),
            };
            // Opened before its end is read: what comes meanwhile is read after it, not lost.
            let end = log.reopen_at_line_end()?;
            let mut lines = logfile::tail_until(home, path, tail.lines, end)?;
            if let Some(since) = tail.since {
                logfile::newer(&mut lines, since.0);
            }
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

    /// What would be shown first, and is not then.
    pub(super) fn take_first(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.first)
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
    home: Home,
    path: PathBuf,
    open: Option<Open>,
    cutter: Cutter,
}

struct Open {
    file: File,
    inode: u64,
    at: u64,
    /// The last bytes before `at`: when they are others now, the file was cut short and has grown
    /// again between two looks.
    seen: Vec<u8>,
}

/// So many bytes are remembered.
const REMEMBERED: usize = 64;

impl Open {
    /// At its first byte.
    fn of(file: File) -> Option<Self> {
        let inode = file.metadata().ok()?.ino();
        Some(Self {
            file,
            inode,
            at: 0,
            seen: Vec::new(),
        })
    }

    /// Its next bytes; none at its end.
    fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = (&mut self.file).take(PIECE).read_to_end(&mut bytes);
        self.at += bytes.len() as u64;
        self.remember(&bytes);
        bytes
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
        let beyond = self.seen.len().saturating_sub(REMEMBERED);
        self.seen.drain(..beyond);
    }

    /// Goes back to its first byte when it was cut short; says whether it was.
    fn was_cut(&mut self) -> bool {
        let mut there = vec![0; self.seen.len()];
        let from = self.at.saturating_sub(there.len() as u64);
        let same = self.file.read_exact_at(&mut there, from).is_ok() && there == self.seen;
        if !same {
            self.at = 0;
            self.seen.clear();
            let _ = self.file.rewind();
        }
        !same
    }
}

impl Log {
    /// Opens the file as it is now, at its first byte.
    fn reopen(&mut self) -> Result<()> {
        self.open = files::open(&self.home, &self.path)?.and_then(Open::of);
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
        let seen = usize::try_from(open.at.saturating_sub(from)).unwrap_or_default();
        open.remember(last.get(..seen).unwrap_or_default());
        Ok(open.at)
    }

    /// The file that was begun after the one with this inode, which may have been rotated several
    /// times meanwhile. `None`: a rotation is under way, look again.
    fn successor(&self, inode: u64) -> Result<Option<Open>> {
        let at = |number: usize| -> Result<Option<Open>> {
            let path = match number {
                0 => self.path.clone(),
                number => logfile::rotated(&self.path, number),
            };
            Ok(files::open(&self.home, &path)?.and_then(Open::of))
        };
        let is = |file: &Option<Open>| file.as_ref().is_some_and(|f| f.inode == inode);
        for number in 1..=logfile::KEEP {
            if is(&at(number)?) {
                let next = at(number - 1)?;
                // Rotated once more between the two looks: then that is not the next one.
                return Ok(next.filter(|_| at(number).is_ok_and(|file| is(&file))));
            }
        }
        // Removed, or rotated away for good.
        at(0)
    }

    fn read(&mut self, to: &mut Vec<Line>) -> Result<()> {
        loop {
            if self.open.is_none() {
                self.reopen()?;
            }
            let Some(open) = &mut self.open else {
                return Ok(());
            };
            if open.was_cut() {
                self.cutter.flush(to);
            }
            let bytes = open.read();
            if !bytes.is_empty() {
                self.cutter.cut(&bytes, to);
                return Ok(());
            }
            // At its end: replaced by another file?
            let now = files::open(&self.home, &self.path)?.and_then(|f| f.metadata().ok());
            match now {
                Some(meta) if meta.ino() != open.inode => {
                    // Once more: it may have been written to between the last read and the rename.
                    let late = open.read();
                    self.cutter.cut(&late, to);
                    if late.is_empty() {
                        let inode = open.inode;
                        let Some(next) = self.successor(inode)? else {
                            return Ok(());
                        };
                        self.cutter.flush(to);
                        self.open = Some(next);
                    }
                }
                _ => return Ok(()),
            }
        }
    }
}
