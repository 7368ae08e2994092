//! Waiting until something changes in some folders: inotify(7) where there is one, else a short
//! sleep. A change may be reported that is none; none is missed for longer than the fallback.

use std::{path::PathBuf, time::Duration};

/// How long a change may go unnoticed at the most (a folder that cannot be watched, a network
/// file system, a platform without events).
const FALLBACK: Duration = Duration::from_secs(1);

#[cfg(target_os = "linux")]
mod events {
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use std::path::PathBuf;
    use tokio::net::unix::pipe::Receiver;

    /// An inotify descriptor reads like a pipe, and is polled as one.
    pub(super) struct Events(Option<Receiver>);

    impl Events {
        pub(super) fn new(folders: impl Iterator<Item = PathBuf>) -> Self {
            let make = || -> std::io::Result<Receiver> {
                let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
                let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
                for folder in folders {
                    inotify::add_watch(&fd, &folder, what)?;
                }
                Receiver::from_owned_fd_unchecked(fd)
            };
            Self(make().ok())
        }

        pub(super) fn there(&self) -> bool {
            self.0.is_some()
        }

        pub(super) async fn changed(&self) {
            let Some(pipe) = &self.0 else {
                return std::future::pending().await;
            };
            let mut buffer = [0; 4096];
            if pipe.readable().await.is_ok() {
                while pipe.try_read(&mut buffer).is_ok_and(|read| read > 0) {}
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod events {
    use std::path::PathBuf;

    pub(super) struct Events;

    impl Events {
        pub(super) fn new(_: impl Iterator<Item = PathBuf>) -> Self {
            Self
        }

        pub(super) fn there(&self) -> bool {
            false
        }

        pub(super) async fn changed(&self) {
            std::future::pending().await
        }
    }
}

/// Some folders that are watched.
pub struct Watch {
    events: events::Events,
}

impl Watch {
    /// Watches these folders; ones that cannot be watched are looked at now and then.
    pub fn new(folders: impl Iterator<Item = PathBuf>) -> Self {
        Self {
            events: events::Events::new(folders),
        }
    }

    /// Returns when something may have changed.
    pub async fn changed(&self) {
        let bound = if self.events.there() {
            FALLBACK
        } else {
            Duration::from_millis(100)
        };
        tokio::select! {
            () = self.events.changed() => {}
            () = tokio::time::sleep(bound) => {}
        }
    }
}
