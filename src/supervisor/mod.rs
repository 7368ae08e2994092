//! Keeps modules running: one task owns one child and does one thing at a time; others ask through
//! the [`Supervisor`] handle. Knows no HTTP and no unit.

pub mod log;
pub mod phase;
