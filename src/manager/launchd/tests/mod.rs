//! Parsers, rendering and the runner, against fixtures and against chance.

#![allow(clippy::print_stderr)] // a test that is skipped says so

mod answer;
mod ctl;
mod file;
mod list;
mod plist;
mod print;

/// A recorded answer of launchctl's, in its own words, with our label.
fn fixture(name: &str) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manager/launchd/fixtures");
    std::fs::read_to_string(format!("{dir}/{name}.txt")).unwrap()
}
