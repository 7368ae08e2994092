//! The one who asks for a password: polkit's text agent, as systemctl(1) starts it. Only for a
//! person at a terminal; without polkit on the box there is none, and none is needed.

use std::{io::Read, os::fd::AsRawFd, process::Stdio, time::Duration};

/// How long it may take to register itself.
const READY: Duration = Duration::from_secs(3);

/// A running agent; it ends with this value.
pub(super) struct Agent(tokio::process::Child);

impl Agent {
    /// Starts one for this process and waits until it stands; `None` where there is none.
    pub(super) async fn open() -> Option<Self> {
        let (mut ready, writer) = std::io::pipe().ok()?;
        // It closes this descriptor once it has registered: the one that must outlive exec.
        rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).ok()?;
        // Not `--fallback`, for which polkit wants a login session: `su` and cron have none.
        let child = tokio::process::Command::new("pkttyagent")
            .arg("--notify-fd")
            .arg(writer.as_raw_fd().to_string())
            .arg("--process")
            .arg(std::process::id().to_string())
            .stdin(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        drop(writer);
        let standing = tokio::task::spawn_blocking(move || ready.read(&mut [0]));
        let _ = tokio::time::timeout(READY, standing).await;
        Some(Self(child))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.start_kill();
    }
}
