//! A module's own word that it is ready: `READY=1` on its `NOTIFY_SOCKET` (sd_notify(3)). One socket
//! a spawn, under a name nobody else is told, in a folder nobody else may enter.

use std::{
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tokio::{net::UnixDatagram, sync::watch, task::JoinHandle};

/// The longest path of a socket that every platform takes (unix(7): 108 with its end; macOS: 104).
const LONGEST: usize = 103;
/// The length of a socket's name with the slash before it.
const NAME: usize = 17;

/// One spawn's socket; gone when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    ready: watch::Receiver<bool>,
    reading: JoinHandle<()>,
}

impl Socket {
    /// Opens the socket of one spawn in a folder of [`folder`].
    pub(super) fn open(folder: &Path, spawn: &str) -> io::Result<Self> {
        let name: String = spawn
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(NAME - 1)
            .collect();
        let path = folder.join(name);
        let socket = UnixDatagram::bind(&path)?;
        let (sender, ready) = watch::channel(false);
        let reading = tokio::spawn(async move {
            // Read to the end of the module's life: what is not read would block it one day.
            let mut said = [0; 512];
            while let Ok(n) = socket.recv(&mut said).await {
                if says_ready(said.get(..n).unwrap_or_default()) {
                    sender.send_replace(true);
                }
            }
        });
        Ok(Self {
            path,
            ready,
            reading,
        })
    }

    /// What the module is told.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Turns true when the module has said so.
    pub(super) fn ready(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reading.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

fn says_ready(said: &[u8]) -> bool {
    said.split(|&b| b == b'\n').any(|line| line == b"READY=1")
}

/// Makes the folder for sockets, 0700: the first candidate whose path is short enough and that can be
/// made. What an earlier life left there is removed.
pub(super) fn folder(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|folder| {
        if folder.as_os_str().len() + NAME > LONGEST {
            return false;
        }
        let _ = std::fs::remove_dir_all(folder);
        let parents = folder.parent().map_or(Ok(()), std::fs::create_dir_all);
        parents
            .and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(folder))
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_its_own_is_ready() {
        assert!(says_ready(b"READY=1"));
        assert!(says_ready(b"STATUS=up\nREADY=1\n"));
        assert!(!says_ready(b"READY=0"));
        assert!(!says_ready(b"STATUS=READY=1"));
        assert!(!says_ready(b"READY=11"));
        assert!(!says_ready(b""));
    }
}
