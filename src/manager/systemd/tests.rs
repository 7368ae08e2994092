use super::{facts::Facts, object};
use crate::manager::{Cause, UnitState};

fn facts(load: &str, active: &str, sub: &str, result: &str) -> Facts {
    Facts {
        load: load.into(),
        active: active.into(),
        sub: sub.into(),
        result: result.into(),
        ..Facts::default()
    }
}

#[test]
fn a_units_path_is_escaped() {
    assert_eq!(
        object("parachute-hub.service"),
        "/org/freedesktop/systemd1/unit/parachute_2dhub_2eservice"
    );
    assert_eq!(object("1a"), "/org/freedesktop/systemd1/unit/_31a");
}

#[test]
fn what_systemd_says_is_one_state() {
    let failed = |cause| UnitState::Failed { cause };
    for (said, state) in [
        (
            facts("not-found", "inactive", "dead", "success"),
            UnitState::NotInstalled,
        ),
        (
            facts("masked", "inactive", "dead", "success"),
            UnitState::Masked,
        ),
        (
            facts("bad-setting", "inactive", "dead", "success"),
            UnitState::Broken {
                said: "bad-setting".into(),
            },
        ),
        (
            facts("loaded", "inactive", "dead", "success"),
            UnitState::Stopped,
        ),
        (
            facts("loaded", "activating", "start", "success"),
            UnitState::Starting,
        ),
        (
            facts("loaded", "deactivating", "stop-sigterm", "success"),
            UnitState::Stopping,
        ),
        (
            facts("loaded", "failed", "failed", "start-limit-hit"),
            failed(Cause::StartLimit),
        ),
        (
            facts("loaded", "failed", "failed", "watchdog"),
            failed(Cause::Watchdog),
        ),
        (
            facts("loaded", "failed", "failed", "timeout"),
            failed(Cause::Timeout),
        ),
        (
            facts("loaded", "failed", "failed", "oom-kill"),
            failed(Cause::OutOfMemory),
        ),
        (
            facts("loaded", "failed", "failed", "exec-condition"),
            failed(Cause::Other("exec-condition".into())),
        ),
        (
            facts("loaded", "maintenance", "x", "success"),
            UnitState::Unknown {
                said: "maintenance (x), loaded".into(),
            },
        ),
    ] {
        assert_eq!(said.state(), state, "{said:?}");
    }
}

#[test]
fn a_process_that_runs_is_running_whatever_its_file_says() {
    for load in ["loaded", "masked", "not-found", "bad-setting"] {
        let mut said = facts(load, "active", "running", "success");
        said.pid = 7;
        let state = UnitState::Running {
            pid: 7,
            since: None,
        };
        assert_eq!(said.state(), state);
    }
}

#[test]
fn an_end_is_told_by_its_code_or_signal() {
    let mut said = facts("loaded", "failed", "failed", "exit-code");
    (said.main_code, said.main_status) = (1, 3);
    assert_eq!(said.cause(), Cause::Exit(3));
    said.result = "core-dump".into();
    (said.main_code, said.main_status) = (3, 11);
    assert_eq!(said.cause(), Cause::Signal(11));
}

#[test]
fn the_next_attempt_after_a_failure_is_still_a_retry() {
    let mut said = facts("loaded", "activating", "start", "success");
    said.restarts = 2;
    assert!(matches!(
        said.state(),
        UnitState::Retrying { attempts: 2, .. }
    ));
    let mut said = facts("loaded", "activating", "auto-restart", "signal");
    (said.main_status, said.restarts) = (9, 1);
    let cause = Cause::Signal(9);
    assert_eq!(said.state(), UnitState::Retrying { cause, attempts: 1 });
}
