//! All tests of the program that ships, in one binary.
#![allow(unreachable_pub)]
// Helpers of tests fail as tests do; clippy's own exception ends at functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// A skipped test says so, on the stream that the test runner shows.
#![allow(clippy::print_stderr)]

mod bad_registry;
mod client;
#[cfg(target_os = "linux")]
mod comfort;
#[cfg(target_os = "linux")]
mod contract;
mod fakes;
mod field_notes;
#[cfg(target_os = "linux")]
mod hub;
mod installing;
mod launchd;
mod layers;
mod logs;
#[cfg(target_os = "linux")]
mod managed;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
mod packages;
mod registering;
mod sandbox;
mod scripts;
mod starting;
mod status;
mod stopping;
#[cfg(target_os = "linux")]
mod streams;
mod sudo;
#[cfg(target_os = "linux")]
mod systemd;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(target_os = "linux")]
mod unseen;
mod usage;
