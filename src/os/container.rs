//! Are we in a container? Only for words: nothing is decided by it but what a person is told.

use std::path::Path;

/// What says so: the marker of Podman, of Docker, or of the container interface that systemd
/// documents (`container=` in PID 1's environment, which only root can read).
pub fn container() -> Option<&'static str> {
    [
        ("/run/.containerenv", "podman"),
        ("/.dockerenv", "docker"),
        ("/run/systemd/container", "container"),
    ]
    .into_iter()
    .find(|(marker, _)| Path::new(marker).exists())
    .map(|(_, name)| name)
    .or_else(|| {
        let kubernetes = Path::new("/var/run/secrets/kubernetes.io").exists();
        kubernetes.then_some("kubernetes")
    })
    .or_else(|| super::process::env_var(1, "container").map(|_| "container"))
}
