//! The version that a module's folder says it has. Reads two files, believes neither blindly.

use crate::modules::{manifest::read_file, surrogates};
use std::path::Path;

/// For a folder that says nothing.
pub(super) const UNKNOWN: &str = "0.0.0";

/// What we need of a `Cargo.toml`.
#[derive(serde::Deserialize)]
struct Cargo {
    package: Package,
}

#[derive(serde::Deserialize)]
struct Package {
    version: toml::Value,
}

/// From `package.json`, else `Cargo.toml`, else [`UNKNOWN`].
pub(super) fn of(dir: &Path) -> String {
    let text = |name: &str| {
        let bytes = read_file(&dir.join(name)).ok().flatten()?;
        String::from_utf8(bytes).ok()
    };
    let npm = || {
        let text = text("package.json")?;
        let text = surrogates::readable(text.trim_start_matches('\u{feff}'));
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        fits(value.get("version")?.as_str()?)
    };
    let cargo = || {
        let cargo: Cargo = toml::from_str(&text("Cargo.toml")?).ok()?;
        fits(cargo.package.version.as_str()?)
    };
    npm().or_else(cargo).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Short and printable, or it is no version.
fn fits(version: &str) -> Option<String> {
    let version = version.trim();
    let plain = version.chars().all(|c| c.is_ascii_graphic());
    (!version.is_empty() && version.len() <= 100 && plain).then(|| version.to_owned())
}
