//! Following logs as they grow: files, a hub's stream across the hub's restarts, another program's
//! output. All of them together are one stream of lines.

mod cutter;
mod files;
mod hub;
mod marked;

pub use files::Files;
pub use marked::Marked;

use crate::{
    client::Client,
    error::{Code, Error, Result},
    home::Home,
    manager::Tail,
};
use cutter::Cutter;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{io::AsyncReadExt, sync::mpsc, task::JoinSet};

/// One new line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub who: String,
    /// Without its newline.
    pub text: String,
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

    /// Adds a module's lines among those of its hub's log file.
    pub fn marked(&mut self, mut marked: Marked) {
        let to = self.sender.clone();
        self.followers.spawn(async move {
            loop {
                let lines = marked.next().await;
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
            if let Err(error) = hub::follow(&client, &short, &to).await {
                let _ = to.send(Err(error)).await;
            }
        });
    }
}
