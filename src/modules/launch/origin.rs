//! The hub's origin as its files have it (contract, section 3, step 4). Reads two files beneath
//! the home; a file that cannot be used is a warning.

use crate::{
    error::Result,
    home::{Home, rel},
    os::files,
};
use serde_json::Value;

/// More than either file has, in bytes.
const LIMIT: u64 = 256 * 1024;

/// `hub/origin`, else what `expose-state.json` says; trailing slashes stripped.
pub(super) fn read(home: &Home, warnings: &mut Vec<String>) -> Option<String> {
    let mut text = |file: &str| {
        let bytes: Result<_> = files::read(home, file, LIMIT);
        bytes.unwrap_or_else(|error| {
            warnings.push(format!("{error}; it is passed over"));
            None
        })
    };
    let given = text(rel::HUB_ORIGIN);
    let exposed = text(rel::EXPOSE_STATE);
    if let Some(bytes) = given {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().next().unwrap_or_default();
        match clean(line) {
            Some(origin) => return Some(origin),
            None if line.trim().is_empty() => {}
            None => warnings.push(format!(
                "{} holds no origin and is passed over; set it with `parachute start --hub-origin URL`",
                home.at(rel::HUB_ORIGIN).display()
            )),
        }
    }
    let bytes = exposed?;
    let found = exposed_origin(&bytes);
    if found.is_none() {
        warnings.push(format!(
            "{} does not say the hub's origin and is passed over",
            home.at(rel::EXPOSE_STATE).display()
        ));
    }
    found
}

/// `hubOrigin`, else `https://<canonicalFqdn>`.
fn exposed_origin(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let state: Value = serde_json::from_slice(bytes).ok()?;
    let text = |field: &str| state.get(field).and_then(Value::as_str);
    text("hubOrigin").and_then(clean).or_else(|| {
        let host = text("canonicalFqdn")?.trim().trim_end_matches(['.', '/']);
        (!host.is_empty() && !host.contains("://")).then(|| clean(&format!("https://{host}")))?
    })
}

/// Without white space around and slashes behind; `None` for what cannot be an origin.
fn clean(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let fits = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then(|| text.to_owned())
}
