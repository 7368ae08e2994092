//! `launchctl print`, word by word.

use super::{
    super::{
        LABEL,
        print::{LastExit, Printed, parse},
        state::{of_printed, refused},
    },
    fixture,
};
use crate::manager::{Cause, UnitState};
use proptest::prelude::*;

fn printed(name: &str) -> Printed {
    parse(&fixture(name)).unwrap()
}

fn state(name: &str) -> UnitState {
    of_printed(&printed(name))
}

const RUNNING: UnitState = UnitState::Running {
    pid: 919,
    since: None,
};

#[test]
fn each_fixture_has_its_state() {
    let retrying = |cause, attempts| UnitState::Retrying { cause, attempts };
    let failed = |cause| UnitState::Failed { cause };
    let running = |pid| UnitState::Running { pid, since: None };
    let table = [
        ("running", RUNNING),
        ("running-user-domain", running(920)),
        ("running-after-crash", running(3438)),
        ("multi-line-arguments", running(4711)),
        ("old-layout", running(3087)),
        ("old-layout-stopped", UnitState::Stopped),
        ("not-running", UnitState::Stopped),
        ("never-run", UnitState::Stopped),
        ("crashed", failed(Cause::Exit(1))),
        ("killed", failed(Cause::Signal(9))),
        ("out-of-memory", retrying(Cause::OutOfMemory, 1)),
        ("crash-loop", retrying(Cause::Exit(1), 11)),
        ("abridged-loop", retrying(Cause::Exit(1), 2)),
        ("exit-0-loop", retrying(Cause::Exit(0), 310)),
        ("spawn-scheduled", UnitState::Starting),
        ("xpcproxy", UnitState::Starting),
        ("draining", UnitState::Stopping),
        ("abridged-draining", UnitState::Stopping),
        ("signed-wrong", retrying(Cause::CodeSigning, 152)),
        ("signed-wrong-78", retrying(Cause::CodeSigning, 4)),
        (
            "spawn-failed",
            retrying(Cause::Other("OS_REASON_EXEC".into()), 2),
        ),
        (
            "unknown-word",
            UnitState::Unknown {
                said: "state = hibernating".into(),
            },
        ),
    ];
    for (name, wanted) in table {
        assert_eq!(state(name), wanted, "{name}");
    }
}

#[test]
fn the_fields_of_a_running_job_are_those_of_the_outermost_level() {
    let job = printed("running");
    assert_eq!(job.domain.as_deref(), Some("gui/501"));
    assert_eq!(job.label, LABEL);
    assert!(job.complete);
    assert_eq!(
        (job.pid, job.runs, job.exit_timeout),
        (Some(919), Some(1), Some(30))
    );
    assert_eq!(job.last, Some(LastExit::Never));
    assert_eq!(job.arguments, ["/opt/parachute/bin/parachute", "serve"]);
    assert_eq!(job.environment["PARACHUTE_HOME"], "/Users/ada/.parachute");
    assert_eq!(job.environment["PATH"], "/usr/bin:/bin:/usr/sbin:/sbin");
    assert_eq!(
        job.stdout.as_deref(),
        Some("/Users/ada/.parachute/hub/logs/hub.log")
    );
    assert!(job.has("keepalive") && job.has("has LWCR") && !job.has("needs LWCR update"));
}

#[test]
fn the_older_layout_without_a_domain_is_read() {
    let job = printed("old-layout");
    assert_eq!((job.domain.as_deref(), job.label.as_str()), (None, LABEL));
    assert_eq!(job.environment["PORT"], "2039");
    assert!(job.has("keepalive") && !job.has("penalty box"));
}

#[test]
fn the_last_exit_belongs_to_the_run_before_while_a_pid_is_shown() {
    let job = printed("running-after-crash");
    assert_eq!(job.last, Some(LastExit::Code(1, None)));
    assert_eq!(
        of_printed(&job),
        UnitState::Running {
            pid: 3438,
            since: None
        }
    );
}

#[test]
fn what_is_not_understood_is_unknown_and_kept() {
    for (text, said) in [
        ("gui/501/x = {\n}", "no state"),
        ("gui/501/x = {\n\tstate = not running\n}", "does not say"),
        ("gui/501/x = {\n\tstate = running\n}", "state = running"),
        (
            "gui/501/x = {\n\tstate = not running\n\tpid = 7\n}",
            "pid = 7",
        ),
        (
            "gui/501/x = {\n\tstate = not running\n\tlast exit code = 0\n",
            "breaks off",
        ),
        (
            "gui/501/x = {\n\tstate = läuft\n\tlast exit code = 0\n}",
            "state = läuft",
        ),
    ] {
        match of_printed(&parse(text).unwrap()) {
            UnitState::Unknown { said: words } => assert!(words.contains(said), "{words}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for text in [
        "",
        "\n\n",
        "{",
        "= {",
        "\tstate = running",
        "Bad request.",
        "x = {\0",
        " x = {\n}",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

#[test]
fn a_refused_binary_is_told_from_one_that_exits_with_78() {
    assert!(refused(&printed("signed-wrong")) && refused(&printed("signed-wrong-78")));
    let own =
        "gui/501/x = {\n\tstate = spawn scheduled\n\truns = 2\n\tlast exit code = 78: EX_CONFIG\n}";
    let job = parse(own).unwrap();
    assert!(!refused(&job));
    assert_eq!(
        of_printed(&job),
        UnitState::Retrying {
            cause: Cause::Exit(78),
            attempts: 1
        }
    );
}

/// A line inside a nested block: anything but the block's own end.
fn inner() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ \t]{0,4}(pid|state|runs|last exit code) = [0-9]{1,3}",
        "[ \t]{0,3}[}{]{1,3}",
        "[ \t}{=>a-z0-9\"]{0,20}",
        Just("}".to_owned()),
        Just("\t\t}".to_owned()),
        Just("\tstate = not running".to_owned()),
    ]
    .prop_filter("ends the block", |line| line != "\t}")
}

fn block() -> impl Strategy<Value = String> {
    ("[a-z][a-z ]{0,12}", prop::collection::vec(inner(), 0..8)).prop_map(|(name, lines)| {
        format!(
            "\tx{name} = {{\n{}\t}}\n",
            lines.iter().map(|l| format!("{l}\n")).collect::<String>()
        )
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,400}") {
        parse(&text).as_ref().map(of_printed);
    }

    #[test]
    fn no_text_of_its_own_words_makes_it_panic(words in prop::collection::vec(prop_oneof![
        Just("gui/501/x = {\n"), Just("\t"), Just("\n"), Just("}"), Just(" = "), Just("{"), Just("state"),
        Just("running"), Just("pid"), Just("99"), Just("last exit code"), Just("properties"), Just(" | "), Just("é"),
    ], 0..60)) {
        parse(&words.concat()).as_ref().map(of_printed);
    }

    #[test]
    fn nested_blocks_never_leak(before in prop::collection::vec(block(), 0..4), after in prop::collection::vec(block(), 0..4), pid in 2u32..99999) {
        let text = format!(
            "gui/501/{LABEL} = {{\n{}\tstate = running\n\n{}\tpid = {pid}\n\tlast exit code = (never exited)\n}}\n",
            before.concat(), after.concat(),
        );
        prop_assert_eq!(of_printed(&parse(&text).unwrap()), UnitState::Running { pid, since: None });
    }

    #[test]
    fn a_cut_answer_is_never_a_false_inactive(name in prop::sample::select(vec!["running", "crashed", "crash-loop", "draining", "signed-wrong", "old-layout", "not-running"]), at in 0usize..4000) {
        let text = fixture(name);
        let cut = at.min(text.len().saturating_sub(3));
        let state = text.get(..cut).and_then(parse).map(|job| of_printed(&job));
        prop_assert!(matches!(state, None | Some(UnitState::Unknown { .. })), "{state:?}");
    }

    #[test]
    fn the_first_of_two_same_keys_wins(first in 2u32..9999, second in 2u32..9999) {
        let text = format!("gui/501/x = {{\n\tstate = running\n\tpid = {first}\n\tpid = {second}\n}}\n");
        prop_assert_eq!(parse(&text).unwrap().pid, Some(first));
    }
}
