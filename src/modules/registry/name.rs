//! Names of modules: which may be given to a new one, and which of other programs' are safe as a
//! path segment. Touches no file.

use crate::{
    error::{Code, Error, Result},
    home::rel,
    modules::known::known,
};
use std::fmt;

/// The longest name of a file in bytes, on every file system that a home is on.
const LONGEST: usize = 255;

/// A name that a new module may have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// Checks a short or service name: `[a-z0-9][a-z0-9._-]{0,63}`, and none that the command line,
    /// the hub's routes or the home's own files need for themselves.
    pub fn new(text: &str) -> Result<Self> {
        let mut bytes = text.bytes();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = text.len() <= 64
            && bytes.next().is_some_and(plain)
            && bytes.all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
        let shown: String = text.chars().take(80).collect();
        if !fits {
            return Err(Error::new(
                Code::Usage,
                format!("{shown:?} cannot be the name of a module"),
            )
            .hint("use up to 64 of a-z, 0-9, `.`, `_` and `-`, with a letter or a digit first"));
        }
        if matches!(short_of(text), "hub" | "operations" | "events") {
            return Err(
                Error::new(Code::Usage, format!("{shown:?} is kept for the hub itself"))
                    .hint("choose another name"),
            );
        }
        if rel::OWN_FILES.contains(&text) {
            return Err(Error::new(
                Code::Usage,
                format!("{shown:?} is kept for a file of the home itself"),
            )
            .hint("choose another name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name on the command line and in paths.
    pub fn short(&self) -> &str {
        short_of(&self.0)
    }

    /// The name in a row: `parachute-<short>` for the first-party modules.
    pub fn service(&self) -> String {
        match known(&self.0) {
            Some(known) => format!("parachute-{}", known.short),
            None => self.0.clone(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// The short name that a short or service name means.
pub fn short_of(name: &str) -> &str {
    known(name).map_or(name, |known| known.short)
}

/// Rows that may share one port: they are views of one process.
pub fn is_vault(name: &str) -> bool {
    short_of(name) == "vault" || name.starts_with("parachute-vault-")
}

/// Why a name of another program's making cannot be a folder of ours.
pub(super) fn unsafe_segment(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if matches!(name, "." | "..") || name.contains('/') {
        Some("leads out of its folder")
    } else if name.chars().any(char::is_control) {
        Some("has control characters")
    } else if name.len() > LONGEST {
        Some("is longer than 255 bytes")
    } else if name == "hub" {
        Some("is kept for the hub itself")
    } else if rel::OWN_FILES.contains(&name) {
        Some("is kept for a file of the home itself")
    } else {
        None
    }
}
