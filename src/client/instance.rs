//! Is it *this* hub that answers? The nonce in `/health` against the one that the hub of this home
//! left in its file when it booted.

use crate::{
    api::Health,
    home::{Home, rel},
    os::files,
};
use serde_json::Value;

/// Whether the hub that answers is the hub of this home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It is.
    Match,
    /// It is another one; says who listens, for people.
    Mismatch {
        /// Pid and command line, or the user.
        listener: String,
    },
    /// Cannot be told: the hub is older than 0.7.6, or left no file.
    Unknown,
}

/// The nonce that the hub of this home booted with last.
pub(super) fn recorded(home: &Home) -> Option<String> {
    let bytes = files::read(home, rel::HUB_INSTANCE, 64 << 10).ok()??;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let nonce = value.get("instance")?.as_str()?;
    (!nonce.is_empty()).then(|| nonce.to_owned())
}

/// `Some(true)`: the same boot; `None`: cannot be told.
pub(super) fn same(health: &Health, recorded: Option<&str>) -> Option<bool> {
    match (&health.instance, recorded) {
        (Some(said), Some(recorded)) => Some(said == recorded),
        // A file of a newer hub is no proof against an older one that was put in its place; a hub
        // that has nonces and shows none is not one.
        (None, Some(_)) if at_least(health.version.as_deref(), (0, 7, 6)) => Some(false),
        _ => None,
    }
}

/// Whether a version is at least this one; what follows the numbers does not count.
pub(super) fn at_least(version: Option<&str>, least: (u32, u32, u32)) -> bool {
    let mut numbers = version.unwrap_or_default().splitn(3, '.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse::<u32>().ok()
    });
    let mut next = || numbers.next().flatten();
    match (next(), next(), next()) {
        (Some(a), Some(b), Some(c)) => (a, b, c) >= least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(version: &str, instance: Option<&str>) -> Health {
        Health {
            status: "ok".into(),
            service: Some("parachute-hub".into()),
            version: Some(version.into()),
            instance: instance.map(str::to_owned),
        }
    }

    #[test]
    fn nonces_decide_where_there_are_two() {
        let new = health("0.7.15", Some("a"));
        assert_eq!(same(&new, Some("a")), Some(true));
        assert_eq!(same(&new, Some("b")), Some(false));
        assert_eq!(same(&new, None), None);
    }

    #[test]
    fn a_hub_without_nonces_cannot_be_told_unless_it_should_have_one() {
        assert_eq!(same(&health("0.7.5", None), Some("a")), None);
        assert_eq!(same(&health("0.7.6", None), Some("a")), Some(false));
        assert_eq!(same(&health("0.8.0", None), Some("a")), Some(false));
        assert_eq!(same(&health("rubbish", None), Some("a")), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least(Some("0.10.0"), (0, 7, 6)));
        assert!(at_least(Some("0.7.6-rc.1"), (0, 7, 6)));
        assert!(at_least(Some("1.0.0+build"), (0, 7, 6)));
        assert!(!at_least(Some("0.7"), (0, 7, 6)));
        assert!(!at_least(Some("v1.0.0"), (0, 7, 6)));
        assert!(!at_least(None, (0, 0, 0)));
    }
}
