//! All tests of the program that ships, in one binary.

#[cfg(target_os = "linux")]
mod systemd;
