//! Any text as an answer of launchctl's: no panic, no running without a pid, and nothing after the
//! record's own end counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parachute::manager::{
    UnitState,
    launchd::{disabled, list, print, state},
};

fuzz_target!(|text: &str| {
    disabled::parse(text, "computer.parachute.hub");
    if let Some(job) = list::parse(text) {
        state::of_listed(&job);
    }
    let Some(job) = print::parse(text) else {
        return;
    };
    match state::of_printed(&job) {
        UnitState::Running { pid, .. } => assert_eq!(Some(pid), job.pid),
        UnitState::Stopped => assert!(job.complete && job.pid.is_none() && job.state.is_some()),
        _ => {}
    }
    if job.complete {
        let more = format!("{text}\n\tstate = not running\n\tpid = 99\n}}\n");
        assert_eq!(print::parse(&more).as_ref(), Some(&job));
    }
});
