//! `launchctl list <label>` and `launchctl print-disabled`.

use super::{
    super::{LABEL, disabled, list::parse, print::LastExit, state::of_listed},
    fixture,
};
use crate::manager::{Cause, UnitState};
use proptest::prelude::*;

#[test]
fn each_fixture_has_its_state() {
    for (name, wanted) in [
        (
            "list-running",
            UnitState::Running {
                pid: 855,
                since: None,
            },
        ),
        ("list-stopped", UnitState::Stopped),
        (
            "list-killed",
            UnitState::Failed {
                cause: Cause::Signal(9),
            },
        ),
        (
            "list-ex-config",
            UnitState::Retrying {
                cause: Cause::Exit(78),
                attempts: 0,
            },
        ),
    ] {
        let job = parse(&fixture(name)).unwrap();
        assert_eq!(of_listed(&job), wanted, "{name}");
        assert_eq!(job.label.as_deref(), Some(LABEL));
    }
}

#[test]
fn the_status_is_a_wait_status() {
    let job = parse(&fixture("list-ex-config")).unwrap();
    assert_eq!(job.status, Some(19968));
    assert_eq!(job.last(), Some(LastExit::Code(78, None)));
}

#[test]
fn what_is_no_list_is_none() {
    for text in [
        "",
        "{",
        "{\n",
        "{\n\t\"PID\" = 7;\n",
        "PID\tStatus\tLabel\n-\t0\tx\n",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
    assert_eq!(
        of_listed(&parse("{\n};").unwrap()),
        UnitState::Unknown {
            said: "`launchctl list` shows neither a pid nor how it ended".into()
        }
    );
}

#[test]
fn an_override_is_read_in_both_vocabularies() {
    let new = fixture("print-disabled");
    assert_eq!(disabled::parse(&new, LABEL), Some(true));
    assert_eq!(
        disabled::parse(&new, "computer.parachute.hub.old"),
        Some(false)
    );
    assert_eq!(disabled::parse(&new, "computer.parachute"), None);
    assert_eq!(
        disabled::parse(&fixture("print-disabled-12"), LABEL),
        Some(false)
    );
    assert_eq!(
        disabled::parse(&fixture("print-disabled-12"), "com.example.printer"),
        Some(true)
    );
}

proptest! {
    #[test]
    fn no_text_makes_them_panic(text in "(?s).{0,300}", own in "[\\{\\}\t\n\"();= a-zA-Z0-9]{0,300}") {
        for text in [text, format!("{{\n{own}")] {
            parse(&text).as_ref().map(of_listed);
            disabled::parse(&text, LABEL);
        }
    }
}
