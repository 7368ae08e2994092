//! A module's own word that it is ready: `READY=1` on its `NOTIFY_SOCKET` (sd_notify(3)). One socket
//! a spawn, under a name nobody else is told, in a folder nobody else may enter.

use crate::os::identity;
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt},
    },
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
    fn open(folder: &Path, spawn: &str) -> io::Result<Self> {
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

/// The folder of all sockets of one hub, 0700.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// It is beneath this home, and goes when that is wiped.
    home: Option<PathBuf>,
}

impl Folder {
    /// Makes it: in the home, else, where the path would be too long for a socket, in the first of
    /// `others` that will do, under a name that the next life of this hub finds again. What an earlier
    /// life left there is removed.
    pub(super) fn begin(home: &Path, others: impl IntoIterator<Item = PathBuf>) -> Option<Self> {
        let own = Self {
            path: home.join("hub/run/notify"),
            home: Some(home.to_owned()),
        };
        let name = name(home, identity::euid());
        // Anybody may have made that name where all may write: then one that cannot be foretold.
        let spare = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        let others: Vec<PathBuf> = others.into_iter().collect();
        let spare = others.last().map(|place| place.join(spare));
        let elsewhere = others.iter().map(|place| place.join(&name)).chain(spare);
        std::iter::once(own)
            .chain(elsewhere.map(|path| Self { path, home: None }))
            .find(|folder| folder.path.as_os_str().len() + NAME <= LONGEST && folder.make().is_ok())
    }

    /// Opens the socket of one spawn. A folder that somebody has taken away is made again.
    pub(super) fn open(&self, spawn: &str) -> io::Result<Socket> {
        match Socket::open(&self.path, spawn) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make()?;
                Socket::open(&self.path, spawn)
            }
            other => other,
        }
    }

    fn make(&self) -> io::Result<()> {
        clear(&self.path)?;
        match (&self.home, self.path.parent()) {
            // What is above the home is not ours to make.
            (Some(home), Some(parent)) if home.is_dir() => std::fs::create_dir_all(parent)?,
            _ => {}
        }
        std::fs::DirBuilder::new().mode(0o700).create(&self.path)
    }

    /// Takes it away for good.
    pub(super) fn end(&self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes what is there, when it is a folder of ours. A link is not followed, and stays.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() && there.uid() == identity::euid() => {
            std::fs::remove_dir_all(path)
        }
        Ok(_) => Err(ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The same in every life of a home's hub, another for every home and user.
fn name(home: &Path, uid: u32) -> String {
    let mut name = format!("parachute-{uid}-");
    for byte in Sha256::digest(home.as_os_str().as_bytes()).iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
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

    const SPAWN: &str = "11111111-1111-4111-8111-111111111111";

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn a_folder_that_was_taken_away_is_made_again_but_no_home_is() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("box");
        std::fs::create_dir(&home).unwrap();
        let folder = Folder::begin(&home, []).unwrap();
        assert_eq!(folder.path, home.join("hub/run/notify"));
        std::fs::remove_dir_all(home.join("hub")).unwrap();
        let socket = folder.open(SPAWN).unwrap();
        assert!(socket.path().exists());
        assert_eq!(mode(&folder.path), 0o700);
        std::fs::remove_dir_all(&home).unwrap();
        assert_eq!(folder.open(SPAWN).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!home.exists());
    }

    #[tokio::test]
    async fn a_long_home_has_one_place_elsewhere_in_all_its_lives() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("x".repeat(LONGEST));
        let place = || [dir.path().join("tmp")];
        std::fs::create_dir(&place()[0]).unwrap();
        let first = Folder::begin(&home, place()).unwrap();
        assert_eq!(mode(&first.path), 0o700);
        std::fs::write(first.path.join("left"), "behind").unwrap();
        let second = Folder::begin(&home, place()).unwrap();
        assert_eq!(first.path, second.path);
        assert_eq!(std::fs::read_dir(&second.path).unwrap().count(), 0);
        let other = Folder::begin(&home.join("y"), place()).unwrap();
        assert_ne!(other.path, second.path);
        assert_ne!(name(&home, 1), name(&home, 2));
        second.end();
        assert!(!second.path.exists());
    }

    #[test]
    fn a_link_where_the_folder_should_be_is_neither_followed_nor_taken() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("x".repeat(LONGEST));
        let place = dir.path().join("tmp");
        let victim = dir.path().join("victim");
        std::fs::create_dir(&place).unwrap();
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("precious"), "x").unwrap();
        let foretold = place.join(name(&home, identity::euid()));
        std::os::unix::fs::symlink(&victim, &foretold).unwrap();
        let folder = Folder::begin(&home, [place]).unwrap();
        assert_ne!(folder.path, foretold);
        assert!(
            !std::fs::symlink_metadata(&folder.path)
                .unwrap()
                .is_symlink()
        );
        assert!(victim.join("precious").exists());
        assert!(foretold.is_symlink());
    }
}
