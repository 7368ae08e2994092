//! What a hub has made in its home, taken away with the package: only with no module registered
//! there, and never anything that somebody else put there.

use crate::{
    context::Context,
    error::{Error, Result},
    home::{Home, rel},
    os::{files, identity},
};
use std::{ffi::OsString, fs, io::ErrorKind};

/// The hub's own files, by their places in a home. Its folder comes apart.
const FILES: &[&str] = &[
    rel::TOKEN,
    rel::TOKEN_OLD,
    rel::HUB_INSTANCE,
    rel::REGISTRY_LOCK,
    "services.json",
];
/// The hub's own folder.
const FOLDER: &str = "hub";

/// Removes them, as the home's owner: a link planted there must not lead root elsewhere. Gives why
/// something stays.
pub(super) fn purge_as_owner(home: &Home, cx: &Context) -> Result<Option<String>> {
    let owner = identity::owner(home.root()).map_err(|e| Error::io("look at", home.root(), &e))?;
    let why = match owner {
        0 => purge(home)?,
        uid => {
            let user = identity::owning(uid, home.root());
            let mut args: Vec<OsString> = vec!["--home".into(), home.root().into()];
            args.extend(["hook", "post-remove", "--purge"].map(OsString::from));
            let env: Vec<_> = (cx.var("PATH").into_iter())
                .map(|path| ("PATH".into(), path.clone()))
                .collect();
            let status = identity::run_as(&user, &args, &env)
                .map_err(|e| Error::io("act as the owner of", home.root(), &e))?;
            // The child has said it.
            (status != 0).then(|| format!("{} stays", home.root().display()))
        }
    };
    // Empty, or it stays: this never removes what is in it.
    match fs::remove_dir(home.root()) {
        Err(e) if why.is_none() && e.kind() == ErrorKind::PermissionDenied => {
            Err(Error::io("remove", home.root(), &e))
        }
        _ => Ok(why),
    }
}

/// Removes them; the home itself stays, empty. Gives why something stays.
pub(super) fn purge(home: &Home) -> Result<Option<String>> {
    if !home.root().is_dir() {
        return Ok(None);
    }
    if let Some(bytes) = files::read(home, "services.json", 16 << 20)? {
        // A registry that cannot be read may have modules too.
        let empty = serde_json::from_slice::<serde_json::Value>(&bytes)
            .is_ok_and(|all| all["services"].as_array().is_some_and(Vec::is_empty));
        if !empty {
            return Ok(Some(stays(home, "modules are registered there")));
        }
    }
    for file in FILES {
        files::remove(home, file)?;
    }
    // Of the standard library: follows no link beneath the folder that it removes.
    match fs::remove_dir_all(home.at(FOLDER)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", &home.at(FOLDER), &e)),
        _ => match fs::read_dir(home.root()).map(|mut all| all.next().is_some()) {
            Ok(true) => Ok(Some(stays(home, "it has files that are not the hub's"))),
            _ => Ok(None),
        },
    }
}

fn stays(home: &Home, why: &str) -> String {
    let home = home.root().display();
    format!("{home} stays: {why}; `rm -r {home}` removes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("box"));
        fs::create_dir_all(home.at("hub/keys")).unwrap();
        fs::write(home.at(rel::TOKEN), "x").unwrap();
        (dir, home)
    }

    #[test]
    fn an_empty_box_goes_with_all_that_the_hub_made() {
        let (_dir, home) = home();
        fs::write(home.registry(), "{\"services\": []}\n").unwrap();
        assert_eq!(purge(&home).unwrap(), None);
        assert_eq!(fs::read_dir(home.root()).unwrap().count(), 0);
        assert_eq!(purge(&home).unwrap(), None);
    }

    #[test]
    fn a_box_with_modules_or_with_a_registry_nobody_can_read_stays() {
        for text in [r#"{"services":[{"name":"x"}]}"#, "{", "[]"] {
            let (_dir, home) = home();
            fs::write(home.registry(), text).unwrap();
            let why = purge(&home).unwrap().unwrap();
            assert!(why.contains("modules are registered"), "{why}");
            assert!(home.at(rel::TOKEN).exists());
        }
    }

    #[test]
    fn what_the_hub_did_not_make_stays() {
        let (_dir, home) = home();
        fs::write(home.at("notes.txt"), "mine").unwrap();
        assert!(purge(&home).unwrap().unwrap().contains("not the hub's"));
        assert!(home.at("notes.txt").exists());
        assert!(!home.at("hub").exists());
    }

    /// Once the program is gone, a script does the same.
    #[test]
    fn the_script_of_the_package_takes_away_the_same() {
        let script = include_str!("../../../packaging/deb/postrm");
        let named = script.split("rm -rf -- ").nth(1).unwrap();
        let named = named.split('\'').next().unwrap();
        let mut named: Vec<_> = named.split(' ').collect();
        let mut ours: Vec<_> = FILES.iter().copied().chain([FOLDER]).collect();
        named.sort_unstable();
        ours.sort_unstable();
        assert_eq!(named, ours);
    }

    #[test]
    fn a_link_in_the_hubs_place_is_removed_and_not_followed() {
        let (dir, home) = home();
        fs::remove_dir_all(home.at("hub")).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir_all(elsewhere.join("keys")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.at("hub")).unwrap();
        let _ = purge(&home);
        assert!(elsewhere.join("keys").exists());
    }
}
