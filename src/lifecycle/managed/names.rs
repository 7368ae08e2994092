//! Whom the names of a verb mean on a managed box: by the registry, and where that cannot be read
//! by the hub's own list. Changes nothing.

use super::Managed;
use crate::{
    api::ModuleList,
    client::state_of,
    error::{Error, Result},
    lifecycle::{Change, Targets, unknown},
    modules::registry::{Registry, Row, short_of},
};

/// A name as it was given, and the short name of the process that it means.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) asked: String,
    pub(super) short: Result<String>,
}

impl Managed {
    /// Whom these names mean, in the order given, none twice; `hub` means itself.
    pub(super) async fn named(&self, names: &[String]) -> Vec<Named> {
        match Registry::read(&self.home) {
            Ok(registry) => once(names, |name| by_registry(&registry, name)),
            Err(error) => {
                let list = self.listed().await;
                once(names, |name| {
                    by_list(list.as_ref(), name).ok_or_else(|| error.clone())
                })
            }
        }
    }

    /// The modules among targets that were named.
    pub(super) async fn modules_named(&self, targets: &Targets) -> Vec<Named> {
        match targets.without_hub() {
            Some(Targets::Named(names)) => self.named(&names).await,
            Some(Targets::Everything) | None => Vec::new(),
        }
    }

    /// The hub's word on its modules, where it is this home's own and gives it.
    pub(super) async fn listed(&self) -> Option<ModuleList> {
        self.own_health().await.ok()?;
        self.client.modules().await.ok()
    }
}

/// Failures, when no name given is one of this box: then the hub is not touched for them.
pub(super) fn strangers(named: &[Named]) -> Option<Vec<Change>> {
    let failed = |named: &Named| {
        let error = named.short.as_ref().err()?;
        Some(Change::failed(&named.asked, error.clone()))
    };
    match named.is_empty() {
        true => None,
        false => named.iter().map(failed).collect(),
    }
}

/// What becomes of the modules named when the hub does not come up for them. Its own failure says
/// why, so theirs share its code and do not repeat it.
pub(super) fn stranded(named: Vec<Named>, done: &str, hub: &Error) -> Vec<Change> {
    let change = |named: Named| match named.short {
        Ok(short) => Change::failed(
            short,
            Error::new(
                hub.code,
                format!("it was not {done}, for the hub is not up"),
            ),
        ),
        Err(error) => Change::failed(named.asked, error),
    };
    named.into_iter().map(change).collect()
}

/// Each name with what it means; of two that mean the same, the first.
fn once(names: &[String], means: impl Fn(&str) -> Result<String>) -> Vec<Named> {
    let mut out: Vec<Named> = Vec::new();
    for name in names {
        let short = match name.as_str() {
            "hub" => Ok(name.clone()),
            name => means(name),
        };
        let same = |other: &Named| match (&other.short, &short) {
            (Ok(one), Ok(another)) => one == another,
            _ => other.asked == *name,
        };
        if !out.iter().any(same) {
            out.push(Named {
                asked: name.clone(),
                short,
            });
        }
    }
    out
}

fn by_registry(registry: &Registry, name: &str) -> Result<String> {
    match registry.find(name) {
        Some(row) => Ok(registry.process_of(row).short().to_owned()),
        None => {
            let have: Vec<&str> = registry.rows.iter().map(Row::short).collect();
            Err(unknown(&have, name))
        }
    }
}

/// What the hub supervises is a module of this box, whatever its file says.
fn by_list(list: Option<&ModuleList>, name: &str) -> Option<String> {
    Some(state_of(list?, short_of(name))?.short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn two_names_of_one_process_are_one_target() {
        let rows = br#"{"services":[
            {"name":"parachute-vault","port":1940,"paths":[],"health":"/h","version":"1"},
            {"name":"parachute-vault-work","port":1940,"paths":[],"health":"/h","version":"1"},
            {"name":"web","port":8080,"paths":[],"health":"/h","version":"1"}]}"#;
        let registry = Registry::parse(rows, Path::new("services.json")).unwrap();
        let names = "vault nope hub parachute-vault web parachute-vault-work nope hub web";
        let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
        let named = once(&names, |name| by_registry(&registry, name));
        let asked: Vec<&str> = named.iter().map(|n| n.asked.as_str()).collect();
        assert_eq!(asked, ["vault", "nope", "hub", "web"]);
        assert!(named[1].short.is_err());
    }
}
