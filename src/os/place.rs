//! One folder may have many names: a link, a way through `..`, a mount. Compares places, not text;
//! opens nothing.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Do both paths name the same place. One that is not there yet is compared by the folders above
/// it; where nothing can be looked up, by its text.
pub fn same(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    a == b
        || match (id(a), id(b)) {
            (Some(a), Some(b)) => a == b,
            (None, None) => real(a).is_some_and(|a| real(b) == Some(a)),
            _ => false,
        }
}

/// The path without links and `..`, as far down as it is there; what follows is kept as written.
fn real(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut place = path;
    loop {
        if let Ok(real) = place.canonicalize() {
            return Some(
                missing
                    .iter()
                    .rev()
                    .fold(real, |path, name| path.join(name)),
            );
        }
        missing.push(place.file_name()?);
        place = place.parent()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_by_every_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("home/box")).unwrap();
        std::fs::create_dir(at("other")).unwrap();
        std::os::unix::fs::symlink(at("home"), at("link")).unwrap();
        for (a, b, want) in [
            ("home/box", "home/box", true),
            ("home/box", "link/box", true),
            ("home/box", "home/../home/box", true),
            ("home/box", "other", false),
            // Not made yet.
            ("home/new/box", "link/new/box", true),
            ("home/new", "other/new", false),
            ("home/box", "home/new", false),
        ] {
            assert_eq!(same(&at(a), &at(b)), want, "{a} {b}");
        }
        assert!(!same(Path::new("/"), &at("nowhere/..")));
    }
}
