//! Several at once: whatever the order, a row and the manifest of its command are those of one.

use super::{tests::*, *};
use std::{sync::Barrier, thread};

const ROUNDS: usize = 40;

/// Both at the same moment, as near as can be.
fn at_once<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    two: impl FnOnce() -> B + Send,
) -> (A, B) {
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            ready.wait();
            one()
        });
        ready.wait();
        let two = two();
        (one.join().unwrap(), two)
    })
}

fn command_of(home: &Home) -> Option<Vec<String>> {
    let manifest = manifest::read_own(home, "a").unwrap();
    manifest.and_then(|manifest| manifest.start_cmd)
}

#[test]
fn of_two_that_add_one_name_the_winner_keeps_its_command() {
    for round in 0..ROUNDS {
        let it = home();
        let (one, two) = at_once(
            || add_against(&it.home, &commanded("a", 3000, &["one"]), &quiet()),
            || add_against(&it.home, &commanded("a", 3001, &["two"]), &quiet()),
        );
        assert!(one.is_ok() != two.is_ok(), "{round}: {one:?} {two:?}");
        let (winner, loser) = if one.is_ok() {
            (("one", 3000), two)
        } else {
            (("two", 3001), one)
        };
        assert_eq!(loser.unwrap_err().code, Code::AlreadyRegistered);
        assert_eq!(file(&it.home)["services"][0]["port"], winner.1);
        assert_eq!(
            command_of(&it.home),
            Some(vec![winner.0.to_owned()]),
            "{round}"
        );
    }
}

#[test]
fn of_two_that_replace_a_row_the_last_has_row_and_command() {
    let it = home();
    add_against(&it.home, &commanded("a", 2999, &["zero"]), &quiet()).unwrap();
    let replaced = |port, word| Addition {
        replace: true,
        ..commanded("a", port, &[word])
    };
    for round in 0..ROUNDS {
        let (one, two) = at_once(
            || add_against(&it.home, &replaced(3000, "one"), &quiet()),
            || add_against(&it.home, &replaced(3001, "two"), &quiet()),
        );
        one.unwrap();
        two.unwrap();
        let port = &file(&it.home)["services"][0]["port"];
        let word = if *port == 3000 { "one" } else { "two" };
        assert_eq!(
            command_of(&it.home),
            Some(vec![word.to_owned()]),
            "{round}: {port}"
        );
    }
}

#[test]
fn a_row_that_outlives_a_removal_has_its_command() {
    for round in 0..ROUNDS {
        let it = home();
        add_against(&it.home, &commanded("a", 2999, &["zero"]), &quiet()).unwrap();
        let replaced = Addition {
            replace: true,
            ..commanded("a", 3000, &["one"])
        };
        let (removed, added) = at_once(
            || remove(&it.home, "a"),
            || add_against(&it.home, &replaced, &quiet()),
        );
        removed.unwrap();
        added.unwrap();
        let rows = file(&it.home)["services"].as_array().unwrap().len();
        assert_eq!(
            command_of(&it.home).is_some(),
            rows == 1,
            "{round}: {rows} rows"
        );
    }
}
