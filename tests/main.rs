//! All tests of the program that ships, in one binary.
// Helpers of tests fail as tests do; clippy's own exception ends at functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod fakes;
#[cfg(target_os = "linux")]
mod systemd;
