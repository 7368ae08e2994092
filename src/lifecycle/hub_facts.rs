//! What is known of a box's hub before somebody touches what belongs to it: its port, whether it
//! runs, and whether it is of this program's make.

use super::{Lifecycle, Site};
use crate::client::{Identity, Look};

/// A box's hub, or the one that it would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFacts {
    /// Its port, running or not.
    pub port: u16,
    /// Nothing keeps its port while it does not run.
    pub guessed: bool,
    /// It answers.
    pub runs: bool,
    /// How a hub of other make is known, for people; `None` when nothing says that it is one.
    pub other: Option<String>,
}

impl Site {
    /// Looks at the hub; starts and asks for nothing.
    pub async fn hub_facts(&self) -> HubFacts {
        match &self.way {
            Lifecycle::Managed(way) => {
                let look = way.client().look().await.ok();
                facts(way.client().port(), look.as_ref(), way.other_unit())
            }
            Lifecycle::Detached(way) => HubFacts {
                guessed: true,
                ..facts(way.hub().port, None, None)
            },
        }
    }
}

/// A hub that answers says its version; a unit that runs another program counts whatever answers.
fn facts(port: u16, look: Option<&Look>, unit: Option<&str>) -> HubFacts {
    let look = look.filter(|look| !matches!(look.identity, Identity::Mismatch { .. }));
    let version = look.filter(|look| !look.ours()).map(|look| {
        let version = look.health.version.as_deref();
        version.map_or_else(|| "no version".to_owned(), |v| format!("version {v}"))
    });
    HubFacts {
        port,
        guessed: false,
        runs: look.is_some(),
        other: version.or_else(|| unit.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Health;
    use std::time::Duration;

    fn look(version: &str, identity: Identity) -> Look {
        Look {
            health: Health {
                status: "ok".into(),
                service: Some("parachute-hub".into()),
                version: Some(version.into()),
                instance: None,
            },
            latency: Duration::ZERO,
            identity,
        }
    }

    #[test]
    fn the_hub_that_answers_or_the_unit_makes_it_another() {
        let ours = look("0.8.0", Identity::Match);
        let old = look("0.7.15", Identity::Unknown);
        let strange = Identity::Mismatch {
            listener: "pid 1".into(),
        };
        let strange = look("0.7.15", strange);
        let unit = Some("/u/parachute-hub.service");
        for (look, unit, runs, other) in [
            (None, None, false, None),
            (Some(&ours), None, true, None),
            (Some(&old), None, true, Some("version 0.7.15")),
            (None, unit, false, unit),
            (Some(&ours), unit, true, unit),
            // What answers in its place is another home's.
            (Some(&strange), None, false, None),
        ] {
            let facts = facts(1939, look, unit);
            assert_eq!((facts.runs, facts.other.as_deref()), (runs, other));
        }
    }
}
