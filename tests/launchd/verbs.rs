//! Start, stop, restart, look, logs.

use super::mac::{BROKEN, Mac, POLITE, SLOW, alive, block, pid, state, until};
use parachute::{
    error::Code,
    manager::{Cause, Follow, Scope, ServiceManager, Tail, UnitState},
};
use serde_json::json;
use std::fs;

#[test]
fn start_enables_bootstraps_and_kickstarts_and_never_kills() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        assert_eq!(state(&launchd).await, UnitState::Stopped);
        launchd.start().await.unwrap();
        let first = pid(&launchd).await;
        assert_eq!(
            mac.deeds(),
            [
                "enable gui/501 0",
                "bootstrap gui/501 PLIST 0",
                "kickstart gui/501 37"
            ]
        );
        launchd.start().await.unwrap();
        assert_eq!(pid(&launchd).await, first, "a running hub is left alone");
        assert_eq!(mac.deeds().len(), 3);
    });
}

#[test]
fn a_look_says_what_the_unit_says() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let unit = launchd.look().await.unwrap();
        assert_eq!(
            (unit.scope, unit.port, unit.uid),
            (Scope::User, 2039, Some(501))
        );
        assert_eq!(unit.home, Some(mac.home()));
        assert_eq!(unit.path, Some(mac.place().plist()));
        assert_eq!(
            (unit.enabled, unit.restarts, unit.ours),
            (Some(true), Some(0), true)
        );
        assert!(unit.notes.is_empty(), "{:?}", unit.notes);
        let UnitState::Running {
            since: Some(since), ..
        } = unit.state
        else {
            panic!("{:?}", unit.state);
        };
        let ago = jiff::Timestamp::now().duration_since(since.0).as_secs();
        assert!((-2..60).contains(&ago), "{ago}");
    });
}

#[test]
fn stop_returns_when_the_job_has_drained() {
    let mac = Mac::new();
    mac.hub(SLOW);
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        launchd.stop().await.unwrap();
        assert!(!alive(hub));
        assert_eq!(state(&launchd).await, UnitState::Stopped);
        assert_eq!(mac.deeds().last().unwrap(), "bootout gui/501 0");
        mac.forget();
        launchd.stop().await.unwrap();
        assert!(mac.deeds().is_empty(), "nothing to stop is stopped");
    });
}

#[test]
fn a_draining_job_is_stopping_and_start_waits_for_its_end() {
    let mac = Mac::new();
    mac.hub(SLOW);
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let old = pid(&launchd).await;
        mac.launchctl(&["bootout", "gui/501/computer.parachute.hub"]);
        assert_eq!(state(&launchd).await, UnitState::Stopping);
        launchd.start().await.unwrap();
        assert!(!alive(old) && pid(&launchd).await != old);
    });
}

#[test]
fn after_a_bootout_start_bootstraps_again_through_5_and_37() {
    let mut mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        launchd.stop().await.unwrap();
        mac.forget();
        mac.fault(
            "bootstrap",
            2,
            5,
            "",
            "Bootstrap failed: 5: Input/output error\n",
        );
        launchd.start().await.unwrap();
        pid(&launchd).await;
        assert_eq!(
            mac.deeds(),
            [
                "enable gui/501 0",
                "bootstrap gui/501 PLIST 5",
                "bootstrap gui/501 PLIST 5",
                "bootstrap gui/501 PLIST 0",
                "kickstart gui/501 37"
            ]
        );

        launchd.stop().await.unwrap();
        mac.fault(
            "bootstrap",
            2,
            37,
            "",
            "Bootstrap failed: 37: Operation already in progress\n",
        );
        launchd.start().await.unwrap();
        pid(&launchd).await;
    });
}

#[test]
fn bootout_may_say_36_and_mean_it() {
    let mac = Mac::with(json!({"bootout_36": true}));
    mac.hub(SLOW);
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        launchd.stop().await.unwrap();
        assert!(!alive(hub));
    });
}

#[test]
fn over_ssh_there_is_no_gui_domain_and_user_is_used() {
    let mac = Mac::with(json!({"gui": false}));
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        pid(&launchd).await;
        let deeds = mac.deeds();
        assert!(
            deeds.contains(&"bootstrap user/501 PLIST 0".to_owned()),
            "{deeds:?}"
        );
        launchd.restart().await.unwrap();
        launchd.stop().await.unwrap();
        assert_eq!(state(&launchd).await, UnitState::Stopped);
    });
}

#[test]
fn a_hub_loaded_over_ssh_is_found_after_a_login_at_the_screen() {
    let mut mac = Mac::with(json!({"gui": false}));
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        mac.set(json!({"gui": true}));
        assert_eq!(pid(&launchd).await, hub);
        launchd.start().await.unwrap();
        assert_eq!(pid(&launchd).await, hub, "no second one");
        // As a login would, had the plist been there: now it is loaded twice.
        let plist = mac.place().plist();
        assert_eq!(
            mac.launchctl(&["bootstrap", "gui/501", plist.to_str().unwrap()])
                .0,
            0
        );
        assert!(launchd.look().await.unwrap().notes[0].contains("twice"));
        launchd.stop().await.unwrap();
        assert_eq!(state(&launchd).await, UnitState::Stopped, "out of both");
    });
}

#[test]
fn restart_kicks_the_running_job_over() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let old = pid(&launchd).await;
        mac.forget();
        launchd.restart().await.unwrap();
        assert!(!alive(old) && pid(&launchd).await != old);
        assert_eq!(mac.deeds(), ["kickstart -k gui/501 0"]);
        launchd.stop().await.unwrap();
        launchd.restart().await.unwrap();
        pid(&launchd).await;
    });
}

#[test]
fn a_new_binary_is_loaded_anew_where_launchd_pins_it() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let UnitState::Running {
            pid: old,
            since: Some(since),
        } = state(&launchd).await
        else {
            panic!("not running");
        };
        // The file's time must be past the slack that is given to clocks.
        while jiff::Timestamp::now().duration_since(since.0).as_secs() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        mac.hub(&format!("{POLITE} # newer"));
        mac.forget();
        launchd.restart().await.unwrap();
        assert!(!alive(old) && pid(&launchd).await != old);
        assert_eq!(
            mac.deeds(),
            [
                "bootout gui/501 0",
                "enable gui/501 0",
                "bootstrap gui/501 PLIST 0",
                "kickstart gui/501 37"
            ]
        );
    });
}

#[test]
fn a_refused_binary_is_seen_and_loaded_anew() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        mac.hub(&format!("{POLITE} # newer"));
        let target = "gui/501/computer.parachute.hub";
        mac.launchctl(&["kickstart", "-k", target]);
        let refused = until(&launchd, "refused", |state| {
            matches!(state, UnitState::Retrying { .. })
        })
        .await;
        assert!(
            matches!(
                refused,
                UnitState::Retrying {
                    cause: Cause::CodeSigning,
                    ..
                }
            ),
            "{refused:?}"
        );
        launchd.start().await.unwrap();
        pid(&launchd).await;
    });
}

#[test]
fn a_changed_unit_is_loaded_anew_at_the_restart() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let mut unit = mac.unit();
        unit.port = 2040;
        let plan = launchd.plan_install(&unit).await.unwrap();
        launchd.apply(&plan).await.unwrap();
        mac.forget();
        launchd.restart().await.unwrap();
        assert_eq!(mac.deeds()[0], "bootout gui/501 0");
        assert!(
            mac.launchctl(&["print", "gui/501/computer.parachute.hub"])
                .1
                .contains("PORT => 2040")
        );
    });
}

#[test]
fn a_crash_loop_is_failing_with_cause_count_and_last_lines() {
    let mac = Mac::new();
    mac.hub(BROKEN);
    block(async {
        let launchd = mac.installed().await;
        let error = launchd.start().await.unwrap_err();
        assert_eq!(error.code, Code::UnitFailed);
        assert!(error.message.contains("exited with 3"), "{error}");
        assert_eq!(
            error.log.last().map(String::as_str),
            Some("the port is taken")
        );
        let loops = |state: &UnitState| matches!(state, UnitState::Retrying { cause: Cause::Exit(3), attempts } if *attempts >= 2);
        until(&launchd, "spawned three times", loops).await;
        mac.hub(POLITE);
        launchd.start().await.unwrap();
        pid(&launchd).await;
    });
}

#[test]
fn what_a_person_disabled_stays_so_and_is_said() {
    let mac = Mac::new();
    let target = "gui/501/computer.parachute.hub";
    block(async {
        let launchd = mac.installed().await;
        mac.launchctl(&["disable", target]);
        let unit = launchd.look().await.unwrap();
        assert_eq!((unit.state, unit.enabled), (UnitState::Masked, Some(false)));
        mac.forget();
        let error = launchd.start().await.unwrap_err();
        assert_eq!(error.code, Code::Refused);
        assert!(
            error
                .hint
                .unwrap()
                .contains(&format!("launchctl enable {target}"))
        );
        assert!(mac.deeds().is_empty());
        mac.launchctl(&["enable", target]);
        launchd.start().await.unwrap();
        mac.launchctl(&["disable", target]);
        assert!(launchd.look().await.unwrap().notes[0].contains("disabled"));
        launchd.restart().await.unwrap();
    });
}

#[test]
fn the_layout_of_older_systems_drives_as_well() {
    for macos in [10.15, 12.0, 26.0] {
        let mac = Mac::with(json!({"macos": macos}));
        block(async {
            let launchd = mac.installed().await;
            launchd.start().await.unwrap();
            let old = pid(&launchd).await;
            launchd.restart().await.unwrap();
            assert_ne!(pid(&launchd).await, old);
            launchd.stop().await.unwrap();
            assert_eq!(state(&launchd).await, UnitState::Stopped);
        });
    }
}

#[test]
fn logs_come_from_the_file_of_the_unit() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        let log = mac.home().at("hub/logs/hub.log");
        fs::write(&log, "one\ntwo\nthree\n").unwrap();
        let tail = Tail {
            lines: 2,
            since: None,
        };
        assert_eq!(launchd.logs(&tail).await.unwrap(), ["two", "three"]);
        assert_eq!(launchd.follow(&tail), Follow::File(log.clone()));
        fs::write(
            &log,
            "2026-01-01T00:00:00Z old\nits second line\n2026-06-01T00:00:00Z new\n",
        )
        .unwrap();
        let since = Some(parachute::api::Time(
            "2026-03-01T00:00:00Z".parse().unwrap(),
        ));
        assert_eq!(
            launchd.logs(&Tail { lines: 9, since }).await.unwrap(),
            ["2026-06-01T00:00:00Z new"]
        );
        fs::remove_file(&log).unwrap();
        assert!(launchd.logs(&tail).await.unwrap().is_empty());
    });
}

#[test]
fn without_a_log_file_the_systems_log_is_asked() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        let text = fs::read_to_string(mac.place().plist()).unwrap();
        let log = mac.home().at("hub/logs/hub.log");
        fs::write(
            mac.place().plist(),
            text.replace(log.to_str().unwrap(), "/dev/null"),
        )
        .unwrap();
        let Follow::Program(words) = launchd.follow(&Tail::default()) else {
            panic!("a file");
        };
        assert_eq!(words[..2], ["log", "stream"]);
        assert!(words.last().unwrap().contains("computer.parachute.hub"));
    });
}
