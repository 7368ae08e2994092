//! The first-party modules (contract, section 2): a table, nothing else.

/// A first-party module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Short name.
    pub short: &'static str,
    /// Its port unless a row says otherwise.
    pub port: u16,
    /// Start command where nothing else gives one.
    pub command: &'static [&'static str],
}

/// All of them, by port.
pub const KNOWN: &[Known] = &[
    Known {
        short: "vault",
        port: 1940,
        command: &["parachute-vault", "serve"],
    },
    Known {
        short: "channel",
        port: 1941,
        command: &["parachute-channel", "daemon"],
    },
    Known {
        short: "notes",
        port: 1942,
        command: &["parachute-notes", "serve"],
    },
    Known {
        short: "scribe",
        port: 1943,
        command: &["parachute-scribe", "serve"],
    },
    Known {
        short: "runner",
        port: 1945,
        command: &["parachute-runner", "serve"],
    },
    Known {
        short: "surface",
        port: 1946,
        command: &["parachute-surface", "serve"],
    },
];

/// Ports kept for the hub and its first-party modules.
pub const RESERVED: std::ops::RangeInclusive<u16> = 1939..=1949;

/// The first-party module of this short or service name.
pub fn known(name: &str) -> Option<&'static Known> {
    let short = name.strip_prefix("parachute-").unwrap_or(name);
    KNOWN.iter().find(|k| k.short == short)
}
