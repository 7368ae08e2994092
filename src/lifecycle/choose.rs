//! Which home and which way: pure decisions over facts (contract, sections 1 and 9). Looks at
//! nothing itself.

use crate::{home::Home, manager::Scope};

/// A home directory's box, as far as files tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The box's folder.
    pub home: Home,
    /// Its registry has rows.
    pub rows: bool,
}

/// A hub unit in one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFact {
    /// Which scope.
    pub scope: Scope,
    /// The home of its hub, where that can be told.
    pub home: Option<Home>,
    /// Enabled or active.
    pub live: bool,
    /// Nothing of its file counts, so its home is a guess.
    pub masked: bool,
    /// What it is called in a note: its file, or its name.
    pub called: String,
}

/// One scope's unit: not looked for yet, or what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Looked {
    /// Nobody has asked that scope's manager yet.
    #[default]
    NotYet,
    /// No unit there.
    Nothing,
    /// This one.
    Unit(UnitFact),
}

/// What the choice of a home is made from.
#[derive(Clone, Debug, Default)]
pub struct HomeFacts {
    /// `--home` or `PARACHUTE_HOME`.
    pub explicit: Option<Home>,
    /// Our own `~/.parachute`.
    pub own: Option<Candidate>,
    /// The one of the user behind sudo.
    pub invoker: Option<Candidate>,
    /// The unit of our own scope: root's is the system's, anyone else's their user manager's.
    pub near: Looked,
    /// The unit of the other scope; for root, of the user manager of the user behind sudo.
    pub far: Looked,
}

/// A home, and the scope of the unit that keeps its hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The home.
    pub home: Home,
    /// Its unit's scope; none when no unit is this home's.
    pub unit: Option<Scope>,
    /// What a person should know of the choice.
    pub notes: Vec<String>,
}

/// The next thing to do about the choice of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the manager of our own scope.
    LookNear,
    /// Ask the manager of the other scope.
    LookFar,
    /// Decided.
    Done(Chosen),
    /// There is no home directory and nothing was named.
    Homeless,
}

/// Decides on a home, or says which scope must be looked at first.
pub fn choose_home(facts: &HomeFacts) -> Step {
    if facts.near == Looked::NotYet {
        return Step::LookNear;
    }
    match &facts.explicit {
        Some(home) => explicit(home, facts),
        None => implied(facts),
    }
}

/// That home, and the unit, in either scope, whose home it is.
fn explicit(home: &Home, facts: &HomeFacts) -> Step {
    for looked in [&facts.near, &facts.far] {
        match looked {
            Looked::NotYet => return Step::LookFar,
            Looked::Unit(unit) if unit.home.as_ref() == Some(home) => {
                return done(home, Some(unit.scope), Vec::new());
            }
            Looked::Unit(_) | Looked::Nothing => {}
        }
    }
    let notes = [&facts.near, &facts.far]
        .into_iter()
        .filter_map(|looked| match looked {
            Looked::Unit(unit) if unit.live => Some(other_home(unit)),
            _ => None,
        })
        .collect();
    done(home, None, notes)
}

fn implied(facts: &HomeFacts) -> Step {
    if let Looked::Unit(unit) = &facts.near
        && unit.live
        && let Some(home) = unit
            .home
            .as_ref()
            .or(facts.own.as_ref().map(|own| &own.home))
    {
        return done(home, Some(unit.scope), Vec::new());
    }
    // A legacy box is not taken away by a package that brings a unit.
    let legacy = [&facts.own, &facts.invoker]
        .into_iter()
        .flatten()
        .find(|c| c.rows);
    if let Looked::NotYet = facts.far {
        return Step::LookFar;
    }
    let far = match &facts.far {
        Looked::Unit(unit) if unit.live => Some(unit),
        _ => None,
    };
    match (legacy, far) {
        (Some(box_), far) => {
            let other = far.filter(|unit| unit.home.as_ref() != Some(&box_.home));
            let scope = match (far, other) {
                (Some(unit), None) => Some(unit.scope),
                // A guess does not take a legacy box away.
                _ => units_of(&box_.home, facts)
                    .find(|unit| !unit.masked)
                    .map(|unit| unit.scope),
            };
            let notes = other.map(other_home).into_iter().collect();
            done(&box_.home, scope, notes)
        }
        (None, Some(unit)) => match unit.home.as_ref().or(facts.own.as_ref().map(|o| &o.home)) {
            Some(home) => done(home, Some(unit.scope), Vec::new()),
            None => Step::Homeless,
        },
        (None, None) => match &facts.own {
            // A unit that is neither enabled nor active is still this home's own.
            Some(own) => {
                let unit = units_of(&own.home, facts).next();
                done(&own.home, unit.map(|unit| unit.scope), Vec::new())
            }
            None => Step::Homeless,
        },
    }
}

/// The units whose home this is, on or off, those of our own scope first.
fn units_of<'f>(home: &'f Home, facts: &'f HomeFacts) -> impl Iterator<Item = &'f UnitFact> {
    [&facts.near, &facts.far]
        .into_iter()
        .filter_map(move |looked| match looked {
            Looked::Unit(unit) if unit.home.as_ref() == Some(home) => Some(unit),
            _ => None,
        })
}

fn done(home: &Home, unit: Option<Scope>, notes: Vec<String>) -> Step {
    Step::Done(Chosen {
        home: home.clone(),
        unit,
        notes,
    })
}

fn other_home(unit: &UnitFact) -> String {
    match &unit.home {
        Some(home) => format!(
            "there is also a hub unit, {}, whose home is {}: `parachute --home {} status`",
            unit.called,
            home.root().display(),
            home.root().display()
        ),
        None => format!("there is also a hub unit, {}", unit.called),
    }
}

/// What is seen of a hub where no unit is the home's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubSeen {
    /// None of this home runs.
    None,
    /// A detached one, proven by its pidfile.
    Recorded,
    /// One that answers as this home's, without a pidfile.
    Elsewhere,
}

/// Who carries out verbs, and what keeps the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A unit in this scope keeps the hub.
    Unit(Scope),
    /// The pidfile does.
    Pidfile,
    /// Somebody else does.
    External,
    /// There is no hub.
    Detached,
}

/// Decides who carries out verbs (contract, section 9).
pub fn choose_way(unit: Option<Scope>, hub: HubSeen) -> Way {
    match (unit, hub) {
        (Some(scope), _) => Way::Unit(scope),
        (None, HubSeen::Recorded) => Way::Pidfile,
        (None, HubSeen::Elsewhere) => Way::External,
        (None, HubSeen::None) => Way::Detached,
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
