//! Carries a module's output from its pipe to where it is kept: the ring, the hub's own stream, the
//! module's log file. Memory is bounded, and only the module itself ever waits for it.

use super::{
    console::Console,
    log::{Framer, Log},
};
use crate::{home::Home, modules::logfile};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::net::unix::pipe;

/// How much is read at once, in bytes: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How often a log file is looked for under its name.
const RECHECK: Duration = Duration::from_secs(2);

/// One buffer for all pumps of a runtime: no module costs memory while it says nothing.
#[derive(Clone)]
pub(super) struct Buffer(Arc<Mutex<Box<[u8]>>>);

impl Default for Buffer {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vec![0; CHUNK].into_boxed_slice())))
    }
}

/// Where one module's lines go.
pub(super) struct Sink {
    /// The ring.
    pub(super) log: Arc<Log>,
    console: Console,
    prefix: String,
    file: Mutex<LogFile>,
}

impl Sink {
    /// The sink of a module; its file is opened at its first line.
    pub(super) fn new(home: &Home, short: &str, log: Arc<Log>, console: Console) -> Self {
        Self {
            log,
            console,
            prefix: format!("[{short}] "),
            file: Mutex::new(LogFile {
                home: home.clone(),
                path: crate::home::rel::log(short),
                open: None,
                lost: 0,
            }),
        }
    }

    fn take(&self, lines: &[u8]) {
        self.log.push(lines);
        self.console.lines(&self.prefix, lines);
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(lines);
    }

    /// Lets the log file go until the next line.
    pub(super) fn rest(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.open = None;
    }
}

/// Reads until the last writer is gone.
pub(super) async fn run(pipe: pipe::Receiver, sink: Arc<Sink>, buffer: Buffer) {
    let mut framer = Framer::default();
    while pipe.readable().await.is_ok() {
        let read = {
            let mut buffer = buffer.0.lock().unwrap_or_else(PoisonError::into_inner);
            let read = pipe.try_read(&mut buffer);
            if let Ok(n) = read {
                framer.push(buffer.get(..n).unwrap_or_default(), |run| sink.take(run));
            }
            read
        };
        match read {
            Ok(0) => break,
            // Others have their turn, however much there is to read here.
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    framer.finish(|run| sink.take(run));
}

struct LogFile {
    home: Home,
    path: PathBuf,
    open: Option<Open>,
    lost: u64,
}

struct Open {
    file: fs::File,
    size: u64,
    looked: Instant,
}

impl LogFile {
    /// Appends whole lines; what cannot be written is counted and said once it can.
    fn append(&mut self, lines: &[u8]) {
        match self.write(lines) {
            Ok(()) if self.lost > 0 => {
                tracing::warn!(file = %self.home.at(&self.path).display(), lines = self.lost,
                    "the log file takes lines again; some are missing in it");
                self.lost = 0;
            }
            Ok(()) => {}
            Err(why) => {
                if self.lost == 0 {
                    tracing::error!(file = %self.home.at(&self.path).display(), why,
                        "cannot write the log file; its lines are dropped");
                }
                self.open = None;
                self.lost += lines.iter().filter(|&&b| b == b'\n').count() as u64;
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), String> {
        self.recheck();
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                logfile::rotate_if_due(&self.home, &self.path).map_err(|e| e.to_string())?;
                let file = logfile::open(&self.home, &self.path).map_err(|e| e.to_string())?;
                let size = file.metadata().map_or(0, |meta| meta.len());
                none.insert(Open {
                    file,
                    size,
                    looked: Instant::now(),
                })
            }
        };
        open.file.write_all(lines).map_err(|e| e.to_string())?;
        open.size += lines.len() as u64;
        if open.size >= logfile::ROTATE_AT {
            // The next line opens the new file, and rotates again should this not have worked.
            self.open = None;
            logfile::rotate_if_due(&self.home, &self.path).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Lets the open file go when somebody has moved or removed it.
    fn recheck(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.looked.elapsed() < RECHECK {
            return;
        }
        open.looked = Instant::now();
        let there = fs::symlink_metadata(self.home.at(&self.path));
        let same = match (there, open.file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            _ => false,
        };
        if !same {
            self.open = None;
        }
    }
}
