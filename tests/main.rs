//! All tests of the program that ships, in one binary.
#![allow(unreachable_pub)]
// Helpers of tests fail as tests do; clippy's own exception ends at functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_registry;
mod client;
mod fakes;
mod field_notes;
#[cfg(target_os = "linux")]
mod hub;
mod launchd;
mod layers;
mod logs;
#[cfg(target_os = "linux")]
mod packages;
mod registering;
mod sandbox;
mod scripts;
mod starting;
mod status;
mod stopping;
mod sudo;
#[cfg(target_os = "linux")]
mod systemd;
mod usage;
