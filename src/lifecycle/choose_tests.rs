use super::*;

fn home(path: &str) -> Home {
    Home::new(path)
}

fn candidate(path: &str, rows: bool) -> Option<Candidate> {
    Some(Candidate {
        home: home(path),
        rows,
    })
}

fn unit(scope: Scope, path: &str, live: bool) -> Looked {
    let called = "/etc/parachute-hub.service".to_owned();
    Looked::Unit(UnitFact {
        scope,
        home: Some(home(path)),
        live,
        masked: false,
        called,
    })
}

fn masked(scope: Scope, path: &str) -> Looked {
    match unit(scope, path, false) {
        Looked::Unit(unit) => Looked::Unit(UnitFact {
            masked: true,
            ..unit
        }),
        other => other,
    }
}

/// Facts → home, unit's scope, number of notes; or the step that comes first.
#[test]
fn the_table_of_homes() {
    use Looked::{NotYet, Nothing};
    use Scope::{System, User};
    struct Case {
        what: &'static str,
        explicit: Option<&'static str>,
        own: Option<Candidate>,
        invoker: Option<Candidate>,
        near: Looked,
        far: Looked,
        want: Result<(&'static str, Option<Scope>, usize), Step>,
    }
    let own = || candidate("/u/.parachute", false);
    let own_rows = || candidate("/u/.parachute", true);
    let case = |what, near, far, want| Case {
        what,
        explicit: None,
        own: own(),
        invoker: None,
        near,
        far,
        want,
    };
    let cases = [
        case(
            "our own scope is asked first",
            NotYet,
            NotYet,
            Err(Step::LookNear),
        ),
        case(
            "a live unit of our scope needs no second look",
            unit(User, "/h", true),
            NotYet,
            Ok(("/h", Some(User), 0)),
        ),
        case(
            "without one the other scope is asked",
            Nothing,
            NotYet,
            Err(Step::LookFar),
        ),
        case(
            "nothing at all",
            Nothing,
            Nothing,
            Ok(("/u/.parachute", None, 0)),
        ),
        case(
            "the other scope's live unit",
            Nothing,
            unit(System, "/srv/p", true),
            Ok(("/srv/p", Some(System), 0)),
        ),
        case(
            "a unit that is off does not count elsewhere",
            Nothing,
            unit(System, "/srv/p", false),
            Ok(("/u/.parachute", None, 0)),
        ),
        case(
            "a unit that is off is still its own home's",
            unit(User, "/u/.parachute", false),
            Nothing,
            Ok(("/u/.parachute", Some(User), 0)),
        ),
        Case {
            own: own_rows(),
            ..case(
                "a legacy box beside a packaged unit",
                Nothing,
                unit(System, "/var/lib/parachute", true),
                Ok(("/u/.parachute", None, 1)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "rows of our own do not beat a live unit of our scope",
                unit(User, "/h", true),
                NotYet,
                Ok(("/h", Some(User), 0)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "the other scope's unit keeps our own home",
                Nothing,
                unit(System, "/u/.parachute", true),
                Ok(("/u/.parachute", Some(System), 0)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "rows beside the home's own unit that is off",
                unit(User, "/u/.parachute", false),
                Nothing,
                Ok(("/u/.parachute", Some(User), 0)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "the same in the other scope",
                Nothing,
                unit(System, "/u/.parachute", false),
                Ok(("/u/.parachute", Some(System), 0)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "the home's own unit that is off beside another home's that is on",
                unit(User, "/u/.parachute", false),
                unit(System, "/srv/p", true),
                Ok(("/u/.parachute", Some(User), 1)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "another home's unit that is off is nobody's business",
                unit(User, "/h", false),
                unit(System, "/srv/p", false),
                Ok(("/u/.parachute", None, 0)),
            )
        },
        Case {
            own: own_rows(),
            ..case(
                "a masked unit does not take a legacy box away",
                masked(User, "/u/.parachute"),
                Nothing,
                Ok(("/u/.parachute", None, 0)),
            )
        },
        Case {
            invoker: candidate("/home/op/.parachute", true),
            ..case(
                "under sudo, the invoking user's rows beside their unit that is off",
                Nothing,
                unit(User, "/home/op/.parachute", false),
                Ok(("/home/op/.parachute", Some(User), 0)),
            )
        },
        Case {
            invoker: candidate("/home/op/.parachute", true),
            ..case(
                "under sudo, the invoking user's legacy box",
                Nothing,
                Nothing,
                Ok(("/home/op/.parachute", None, 0)),
            )
        },
        Case {
            invoker: candidate("/home/op/.parachute", false),
            ..case(
                "under sudo, the invoking user's unit",
                Nothing,
                unit(User, "/home/op/.parachute", true),
                Ok(("/home/op/.parachute", Some(User), 0)),
            )
        },
        Case {
            explicit: Some("/x"),
            ..case(
                "explicit: asks both scopes",
                unit(User, "/h", true),
                NotYet,
                Err(Step::LookFar),
            )
        },
        Case {
            explicit: Some("/x"),
            ..case(
                "explicit: another home's unit is only mentioned",
                unit(User, "/h", true),
                Nothing,
                Ok(("/x", None, 1)),
            )
        },
        Case {
            explicit: Some("/x"),
            ..case(
                "explicit: the unit of that home, live or not",
                Nothing,
                unit(System, "/x", false),
                Ok(("/x", Some(System), 0)),
            )
        },
        Case {
            own: None,
            ..case("nobody's home", Nothing, Nothing, Err(Step::Homeless))
        },
    ];
    for case in cases {
        let facts = HomeFacts {
            explicit: case.explicit.map(home),
            own: case.own,
            invoker: case.invoker,
            near: case.near,
            far: case.far,
        };
        match (choose_home(&facts), case.want) {
            (Step::Done(chosen), Ok((path, unit, notes))) => {
                assert_eq!(
                    (chosen.home, chosen.unit),
                    (home(path), unit),
                    "{}",
                    case.what
                );
                assert_eq!(
                    chosen.notes.len(),
                    notes,
                    "{}: {:?}",
                    case.what,
                    chosen.notes
                );
            }
            (step, Err(want)) => assert_eq!(step, want, "{}", case.what),
            (step, Ok(want)) => panic!("{}: {step:?}, not {want:?}", case.what),
        }
    }
}

#[test]
fn the_table_of_ways() {
    use Scope::{System, User};
    for seen in [HubSeen::None, HubSeen::Recorded, HubSeen::Elsewhere] {
        assert_eq!(choose_way(Some(System), seen), Way::Unit(System));
        assert_eq!(choose_way(Some(User), seen), Way::Unit(User));
    }
    assert_eq!(choose_way(None, HubSeen::Recorded), Way::Pidfile);
    assert_eq!(choose_way(None, HubSeen::Elsewhere), Way::External);
    assert_eq!(choose_way(None, HubSeen::None), Way::Detached);
}
