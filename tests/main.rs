//! All tests of the program that ships, in one binary.

mod client;
mod fakes;
mod launchd;
#[cfg(target_os = "linux")]
mod systemd;
