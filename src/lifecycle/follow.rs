//! Following logs as they grow: files, across truncation and rotation, without losing a line
//! between the old one and the new; a hub's stream, across the hub's restarts; another program's
//! output. All of them together are one stream of lines.

use crate::{
    client::{Client, Heard, bare},
    error::{Code, Error, Result},
    home::Home,
    manager::Tail,
    modules::logfile,
    os::{files, watch::Watch},
};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{io::AsyncReadExt, sync::mpsc, task::JoinSet};

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

/// Several logs, followed together; dropping it ends all of them.
pub struct Stream {
    lines: mpsc::Receiver<Result<Vec<Line>>>,
    sender: mpsc::Sender<Result<Vec<Line>>>,
    followers: JoinSet<()>,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// One without a source yet.
    pub fn new() -> Self {
        // Bounded: a terminal that is slow holds the sources up, not the memory.
        let (sender, lines) = mpsc::channel(64);
        Self {
            lines,
            sender,
            followers: JoinSet::new(),
        }
    }

    /// The next lines, at least one; `None` when every source has ended.
    pub async fn next(&mut self) -> Option<Result<Vec<Line>>> {
        loop {
            tokio::select! {
                biased;
                lines = self.lines.recv() => return lines,
                ended = self.followers.join_next() => if ended.is_none() {
                    return self.lines.try_recv().ok();
                },
            }
        }
    }

    /// Adds log files.
    pub fn files(&mut self, mut files: Files) {
        let to = self.sender.clone();
        self.followers.spawn(async move {
            loop {
                let lines = files.next().await;
                let failed = lines.is_err();
                if to.send(lines).await.is_err() || failed {
                    return;
                }
            }
        });
    }

    /// Adds one file anywhere on this machine.
    pub fn file(&mut self, who: &str, path: &Path, tail: &Tail) -> Result<()> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let files = Files::new(
            &Home::new(folder),
            &[(who.to_owned(), PathBuf::from(name))],
            tail,
        )?;
        self.files(files);
        Ok(())
    }

    /// Adds what a program writes until it ends; it is ended with the stream.
    pub fn program(&mut self, who: &str, argv: &[String]) -> Result<()> {
        let Some((program, args)) = argv.split_first() else {
            return Ok(());
        };
        let mut child = tokio::process::Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                Error::new(
                    Code::Io,
                    format!("cannot run {program}: {}", crate::error::reason(&e)),
                )
            })?;
        let Some(mut out) = child.stdout.take() else {
            return Ok(());
        };
        let (who, to) = (who.to_owned(), self.sender.clone());
        self.followers.spawn(async move {
            let (mut cutter, mut bytes) = (Cutter::new(who), vec![0; 16 * 1024]);
            while let Ok(read @ 1..) = out.read(&mut bytes).await {
                let mut lines = Vec::new();
                cutter.cut(&bytes[..read], &mut lines);
                if !lines.is_empty() && to.send(Ok(lines)).await.is_err() {
                    break;
                }
            }
            drop(child);
        });
        Ok(())
    }

    /// Adds a module's lines as its hub streams them, across restarts of the hub.
    pub fn hub(&mut self, client: Client, short: String) {
        let to = self.sender.clone();
        self.followers.spawn(async move {
            if let Err(error) = follow_hub(&client, &short, &to).await {
                let _ = to.send(Err(error)).await;
            }
        });
    }
}

/// How long a hub that went away is waited for.
const RETURN: Duration = Duration::from_secs(24 * 3600);

async fn follow_hub(
    client: &Client,
    short: &str,
    to: &mpsc::Sender<Result<Vec<Line>>>,
) -> Result<()> {
    loop {
        let before = client
            .health()
            .await
            .ok()
            .and_then(|health| health.instance);
        let mut follow = client.follow(short).await?;
        while let Heard::Line(line) = follow.next().await {
            let line = Line {
                who: short.to_owned(),
                text: bare(short, &line).to_owned(),
            };
            if to.send(Ok(vec![line])).await.is_err() {
                return Ok(());
            }
        }
        // The same boot of the hub: then it was the module that went.
        match client.health().await {
            Ok(health) if health.instance == before && before.is_some() => return Ok(()),
            _ => client.wait_healthy(RETURN, before.as_deref()).await?,
        };
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

/// Cuts bytes into lines.
struct Cutter {
    who: String,
    /// A line that has no end yet.
    rest: Vec<u8>,
}

impl Cutter {
    fn new(who: String) -> Self {
        Self {
            who,
            rest: Vec::new(),
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
