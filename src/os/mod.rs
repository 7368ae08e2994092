//! The edge to the operating system: processes, ports, pidfiles, files beneath the home,
//! spawning, identity. `cfg` lives here and nowhere else. Knows nothing of modules or hubs.

mod container;
#[cfg(target_os = "macos")]
mod darwin;
pub mod files;
pub mod group;
pub mod identity;
pub mod pidfile;
pub mod place;
pub mod port;
pub mod process;
pub mod spawn;
pub mod subreaper;
pub mod watch;

pub use container::container;

/// Is this macOS.
pub const MACOS: bool = cfg!(target_os = "macos");

#[cfg(test)]
pub(crate) mod kid;
