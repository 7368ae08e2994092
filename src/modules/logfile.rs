//! A module's log file: opened for appending, rotated by size (10 MiB, 5 kept: `<short>.log.1` is
//! the newest), its last lines read from the end. The supervisor rotates while it writes, the
//! detached way at the next start. Paths are relative to the home.

use crate::{
    error::{Error, Result},
    home::Home,
    os::files,
};
use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Rotation happens at this size, in bytes.
pub const ROTATE_AT: u64 = 10 * 1024 * 1024;
/// How many old files are kept.
pub const KEEP: usize = 5;
/// A longer line counts as several, each of this many bytes, reckoned from its end.
pub const LONGEST_LINE: usize = 64 * 1024;

/// The `number`th rotated file of a log.
pub fn rotated(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Shifts `path` to `path.1` and so on when it has reached [`ROTATE_AT`]; the sixth goes. Says whether it did.
pub fn rotate_if_due(home: &Home, path: &Path) -> Result<bool> {
    let Some(file) = files::open(home, path)? else {
        return Ok(false);
    };
    let size = file
        .metadata()
        .map_err(|error| Error::io("look at", &home.at(path), &error))?
        .len();
    if size < ROTATE_AT {
        return Ok(false);
    }
    for number in (1..KEEP).rev() {
        let from = rotated(path, number);
        if files::open(home, &from)?.is_some() {
            files::rename(home, &from, rotated(path, number + 1))?;
        }
    }
    files::rename(home, path, rotated(path, 1))?;
    Ok(true)
}

/// The last `count` lines, oldest first, over rotated files too, without their newlines; bytes that
/// are no UTF-8 are replaced. Reads from the end, never the whole file. No file: none.
pub fn tail(home: &Home, path: &Path, count: usize) -> Result<Vec<String>> {
    tail_until(home, path, count, u64::MAX)
}

/// As [`tail`], of what stood in the newest file's first `end` bytes and in the rotated ones.
pub fn tail_until(home: &Home, path: &Path, count: usize, end: u64) -> Result<Vec<String>> {
    let mut end = end;
    let mut lines = VecDeque::new();
    let all = std::iter::once(path.to_owned()).chain((1..=KEEP).map(|n| rotated(path, n)));
    for path in all {
        if lines.len() >= count {
            break;
        }
        if let Some(file) = files::open(home, &path)? {
            tail_of(&file, end, count, &mut lines)
                .map_err(|error| Error::io("read", &home.at(&path), &error))?;
        }
        end = u64::MAX;
    }
    Ok(lines.into())
}

/// Puts the last lines of one file in front of `lines` until there are `count`.
fn tail_of(file: &File, end: u64, count: usize, lines: &mut VecDeque<String>) -> io::Result<()> {
    let mut end = file.metadata()?.len().min(end);
    // What has been read of the line that is being read, its bytes in the file's order.
    let mut line: Vec<u8> = Vec::new();
    let mut chunk = [0; LONGEST_LINE];
    let mut last = true;
    while end > 0 && lines.len() < count {
        let size = chunk.len().min(usize::try_from(end).unwrap_or(usize::MAX));
        let from = end - size as u64;
        let mut rest = &mut chunk[..size];
        match file.read_exact_at(rest, from) {
            // Truncated while it was read.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        if last {
            // The newline at the very end ends the last line and begins none.
            rest = match rest.split_last_mut() {
                Some((b'\n', before)) => before,
                _ => &mut chunk[..size],
            };
            last = false;
        }
        let mut pieces = rest.rsplit(|&b| b == b'\n');
        let first = pieces.next().unwrap_or_default();
        let mut begun = first.to_vec();
        begun.append(&mut line);
        line = begun;
        for piece in pieces {
            finish(std::mem::replace(&mut line, piece.to_vec()), count, lines);
        }
        if line.len() > LONGEST_LINE {
            let kept = line.split_off(line.len() - LONGEST_LINE);
            finish(kept, count, lines);
        }
        end = from;
    }
    if !last && end == 0 {
        finish(line, count, lines);
    }
    Ok(())
}

/// A whole line, in pieces where it is too long.
fn finish(line: Vec<u8>, count: usize, lines: &mut VecDeque<String>) {
    let mut rest = line.as_slice();
    loop {
        if lines.len() >= count {
            return;
        }
        let (before, piece) = rest.split_at(rest.len().saturating_sub(LONGEST_LINE));
        lines.push_front(String::from_utf8_lossy(piece).into_owned());
        if before.is_empty() {
            return;
        }
        rest = before;
    }
}

/// Takes away what is older than `since`, going by the ISO 8601 time that a line begins with (in
/// brackets or not); a line without one belongs to the line before it. False when no line has a
/// time, and nothing was taken away.
pub fn newer(lines: &mut Vec<String>, since: jiff::Timestamp) -> bool {
    let (mut timed, mut old) = (lines.is_empty(), false);
    lines.retain(|line| {
        if let Some(time) = time_of(line) {
            timed = true;
            old = time < since;
        }
        !old
    });
    timed
}

fn time_of(line: &str) -> Option<jiff::Timestamp> {
    let word = line.split_whitespace().next()?;
    word.trim_matches(['[', ']', ',', ':']).parse().ok()
}

/// Opens the log for appending (0640), its folder made as needed.
pub fn open(home: &Home, path: &Path) -> Result<File> {
    files::append(home, path, 0o640)
}

#[cfg(test)]
#[path = "logfile_tests.rs"]
mod tests;
