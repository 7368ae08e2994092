use super::{Effect as Do, Event as E, Phase as P, *};

const PHASES: [P; 9] = [
    P::Stopped,
    P::Starting { respawn: false },
    P::Starting { respawn: true },
    P::Running { unbound: false },
    P::Running { unbound: true },
    P::Stopping { again: false },
    P::Stopping { again: true },
    P::Waiting,
    P::Crashed,
];
const EVENTS: [E; 10] = [
    E::Start,
    E::Stop,
    E::Restart,
    E::NotSpawned,
    E::Unlisted,
    E::Ready,
    E::Late,
    E::Exited,
    E::Due,
    E::Emptied,
];

/// Every pair that changes something or has an effect; all others leave the phase alone.
fn expected(phase: P, event: E) -> (P, Do) {
    let first = P::Starting { respawn: false };
    let again = P::Starting { respawn: true };
    let ready = P::Running { unbound: false };
    let unbound = P::Running { unbound: true };
    let rest = P::Stopping { again: false };
    let anew = P::Stopping { again: true };
    let table = [
        (P::Stopped, E::Start, first, Do::Spawn),
        (P::Stopped, E::Restart, first, Do::Spawn),
        (first, E::Stop, rest, Do::End),
        (first, E::Restart, anew, Do::End),
        (first, E::NotSpawned, P::Crashed, Do::Nothing),
        (first, E::Unlisted, P::Crashed, Do::Nothing),
        (first, E::Ready, ready, Do::Nothing),
        (first, E::Late, unbound, Do::Nothing),
        (first, E::Exited, P::Waiting, Do::Delay),
        (again, E::Stop, rest, Do::End),
        (again, E::Restart, anew, Do::End),
        (again, E::NotSpawned, P::Waiting, Do::Delay),
        (again, E::Unlisted, P::Crashed, Do::Nothing),
        (again, E::Ready, ready, Do::Nothing),
        (again, E::Late, unbound, Do::Nothing),
        (again, E::Exited, P::Waiting, Do::Delay),
        (ready, E::Stop, rest, Do::End),
        (ready, E::Restart, anew, Do::End),
        (ready, E::Exited, P::Waiting, Do::Delay),
        (unbound, E::Stop, rest, Do::End),
        (unbound, E::Restart, anew, Do::End),
        (unbound, E::Ready, ready, Do::Nothing),
        (unbound, E::Exited, P::Waiting, Do::Delay),
        (rest, E::Start, anew, Do::Nothing),
        (rest, E::Restart, anew, Do::Nothing),
        (rest, E::Emptied, P::Stopped, Do::Nothing),
        (anew, E::Stop, rest, Do::Nothing),
        (anew, E::Emptied, first, Do::Spawn),
        (P::Waiting, E::Start, first, Do::Spawn),
        (P::Waiting, E::Restart, first, Do::Spawn),
        (P::Waiting, E::Stop, rest, Do::End),
        (P::Waiting, E::Due, again, Do::Spawn),
        (P::Crashed, E::Start, first, Do::Spawn),
        (P::Crashed, E::Restart, first, Do::Spawn),
        (P::Crashed, E::Stop, rest, Do::End),
    ];
    table
        .iter()
        .find(|row| row.0 == phase && row.1 == event)
        .map_or((phase, Do::Nothing), |row| (row.2, row.3))
}

#[test]
fn every_phase_meets_every_event() {
    let now = Instant::now();
    for phase in PHASES {
        for event in EVENTS {
            let got = phase.on(event, &mut Crashes::default(), now);
            assert_eq!(got, expected(phase, event), "{phase:?} on {event:?}");
        }
    }
}

#[test]
fn the_third_crash_within_a_minute_is_the_last() {
    let start = Instant::now();
    let mut crashes = Crashes::default();
    let mut phase = P::Running { unbound: false };
    for (second, want) in [(0, P::Waiting), (20, P::Waiting), (59, P::Crashed)] {
        let now = start + Duration::from_secs(second);
        (phase, _) = phase.on(E::Exited, &mut crashes, now);
        assert_eq!(phase, want, "at {second} s");
        if phase == P::Waiting {
            (phase, _) = phase.on(E::Due, &mut crashes, now + DELAY);
        }
    }
    assert_eq!(crashes.respawns(start + Duration::from_secs(59)), 2);
}

#[test]
fn crashes_further_apart_never_exhaust_the_budget() {
    let start = Instant::now();
    let mut crashes = Crashes::default();
    let mut phase = P::Running { unbound: false };
    for n in 0..50 {
        let now = start + Duration::from_secs(n * 30);
        let effect;
        (phase, effect) = phase.on(E::Exited, &mut crashes, now);
        assert_eq!((phase, effect), (P::Waiting, Do::Delay));
        (phase, _) = phase.on(E::Due, &mut crashes, now + DELAY);
        assert!(crashes.respawns(now + DELAY) <= 2);
    }
}

#[test]
fn an_explicit_start_clears_the_budget() {
    let now = Instant::now();
    let mut crashes = Crashes::default();
    let mut phase = P::Starting { respawn: false };
    for _ in 0..BUDGET {
        (phase, _) = phase.on(E::Exited, &mut crashes, now);
        if phase == P::Waiting {
            (phase, _) = phase.on(E::Due, &mut crashes, now);
        }
    }
    assert_eq!(phase, P::Crashed);
    (phase, _) = phase.on(E::Start, &mut crashes, now);
    assert_eq!(crashes, Crashes::default());
    (phase, _) = phase.on(E::Exited, &mut crashes, now);
    assert_eq!(phase, P::Waiting);
}

#[test]
fn a_storm_of_anything_never_asks_for_two_children() {
    // Between two spawns there is always an end that was seen: an exit, an emptied group, or a
    // spawn that did not come about.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut crashes = Crashes::default();
    let (mut phase, mut alive) = (P::Stopped, false);
    let now = Instant::now();
    for step in 0..100_000_u32 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let event = EVENTS[(seed % 9) as usize];
        let possible = match event {
            E::Exited | E::Ready | E::Late | E::NotSpawned => {
                alive && !matches!(phase, P::Stopping { .. })
            }
            E::Emptied => matches!(phase, P::Stopping { .. }),
            _ => true,
        };
        if !possible {
            continue;
        }
        if matches!(event, E::Exited | E::Emptied) {
            alive = false;
        }
        if event == E::NotSpawned {
            if !matches!(phase, P::Starting { .. }) {
                continue;
            }
            alive = false;
        }
        let effect;
        (phase, effect) = phase.on(event, &mut crashes, now + DELAY * step);
        if effect == Do::Spawn {
            assert!(!alive, "a second child at step {step}");
            alive = true;
        }
    }
}
