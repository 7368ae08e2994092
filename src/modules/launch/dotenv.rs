//! A module's `.env` (contract, sections 1 and 3), by its letter: no expansion, no escapes, no
//! comments after a value. Reads bytes, opens nothing.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

/// The variables in the file's order, and what was odd about it, for people. Never fails: a line
/// that cannot be a variable is passed over. `PORT` is passed over with a warning: the registry is
/// the only truth about ports. Warnings quote no values.
pub fn parse(bytes: &[u8]) -> (Vec<(OsString, OsString)>, Vec<String>) {
    let (mut pairs, mut odd) = (Vec::new(), Vec::new());
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let number = index + 1;
        let line = line.trim_ascii();
        let Some(at) = line.iter().position(|&b| b == b'=').filter(|&at| at > 0) else {
            continue;
        };
        let (name, value) = (
            line[..at].trim_ascii(),
            unquoted(line[at + 1..].trim_ascii()),
        );
        if name.starts_with(b"#") {
            continue;
        }
        if line.contains(&0) {
            odd.push(format!("line {number} has a NUL byte and is ignored"));
        } else if name == b"PORT" {
            odd.push(format!(
                "`PORT` in line {number} is ignored: the port is the one in services.json"
            ));
        } else if !is_name(name) {
            odd.push(if name.starts_with(b"export ") {
                format!("line {number} is ignored: leave `export` out")
            } else {
                format!("line {number} is ignored: what is left of `=` is no name of a variable")
            });
        } else {
            pairs.push((
                OsStr::from_bytes(name).to_owned(),
                OsStr::from_bytes(value).to_owned(),
            ));
        }
    }
    (pairs, odd)
}

/// Letters, digits, `_`, and the `.` and `-` that some programs use; no digit first.
fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|b| !b.is_ascii_digit())
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// One level of matching quotes taken off; anything else as it stands.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => value,
    }
}
