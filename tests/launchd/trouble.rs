//! Bad property lists, a launchctl that misbehaves, and what is left to be said of them.

use super::mac::{Mac, PATIENCE, POLITE, block, pid, state, until};
use parachute::{
    error::Code,
    manager::{
        ServiceManager, UnitState,
        launchd::{Launchd, ctl::Ctl, domain::Place},
    },
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

#[test]
fn an_unknown_layout_is_unknown_with_its_text_never_inactive() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        for (out, said) in [
            ("{\"state\": \"running\"}\n", "{\"state\""),
            ("", "says nothing"),
            (
                "gui/501/computer.parachute.hub = {\n\tstatus = up\n}\n",
                "no state",
            ),
            (
                "gui/501/computer.parachute.hub = {\n\tstate = dormant\n}\n",
                "dormant",
            ),
            (
                "gui/501/some.other.label = {\n\tstate = not running\n\tlast exit code = 0\n}\n",
                "some.other.label",
            ),
        ] {
            let faults = json!([
                {"verb": "print", "times": 1, "exit": 0, "out": out},
                {"verb": "list", "times": 1, "exit": 0, "out": "PID\tStatus\tLabel\n"},
                {"verb": "print", "times": 1, "exit": 113, "err": "Could not find service\n"},
            ]);
            set(&mac, faults);
            match state(&launchd).await {
                UnitState::Unknown { said: words } => assert!(words.contains(said), "{words}"),
                other => panic!("{out}: {other:?}"),
            }
        }
    });
}

/// Faults beside the settings that are there.
fn set(mac: &Mac, faults: serde_json::Value) {
    let path = mac.state().join("settings.json");
    let mut settings: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    settings["faults"] = faults;
    fs::write(mac.state().join("new"), settings.to_string()).unwrap();
    fs::rename(mac.state().join("new"), path).unwrap();
}

#[test]
fn the_list_is_asked_where_print_says_nothing_that_we_know() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        set(
            &mac,
            json!([{"verb": "print", "times": 1, "exit": 0, "out": "a new layout\n"}]),
        );
        assert_eq!(pid(&launchd).await, hub);
    });
}

#[test]
fn odd_exits_are_unknown_and_the_verbs_still_work() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        let odd = || {
            let call = |verb| json!({"verb": verb, "times": 999, "exit": 255});
            set(&mac, json!([call("print"), call("list")]));
        };
        let clear = || set(&mac, json!([]));
        odd();
        assert!(matches!(state(&launchd).await, UnitState::Unknown { .. }));
        launchd.start().await.unwrap();
        launchd.restart().await.unwrap();
        clear();
        let other =
            |state: &UnitState| matches!(state, UnitState::Running { pid, .. } if *pid != hub);
        until(&launchd, "another run", other).await;
        set(
            &mac,
            json!([{"verb": "print", "times": 1, "exit": 255}, {"verb": "list", "times": 1, "exit": 255}]),
        );
        launchd.stop().await.unwrap();
        assert_eq!(state(&launchd).await, UnitState::Stopped);
        odd();
        launchd.start().await.unwrap();
        clear();
        until(&launchd, "up", |state| {
            matches!(state, UnitState::Running { .. })
        })
        .await;
    });
}

/// A manager whose launchctl is these shell lines.
fn with_launchctl(mac: &Mac, lines: &str) -> Launchd {
    let bin = mac.user_dir().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("launchctl"), format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(bin.join("launchctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let ctl = Ctl::new(
        format!("{}:/usr/bin:/bin", bin.display()).as_ref(),
        Vec::new(),
    );
    let mut launchd = Launchd::new(mac.place(), ctl, mac.binary(), 501);
    launchd.patience.look = Duration::from_millis(500);
    launchd.patience.call = Duration::from_millis(500);
    launchd
}

#[test]
fn a_launchctl_that_hangs_dies_or_chatters_leaves_the_home_known() {
    let mac = Mac::new();
    block(async {
        mac.installed().await;
        for lines in [
            "exec sleep 600",
            "kill -9 $$",
            "exec head -c 10000000 /dev/zero",
            "exit 255",
            ":",
        ] {
            let launchd = with_launchctl(&mac, lines);
            let unit = launchd.look().await.unwrap();
            assert!(
                matches!(unit.state, UnitState::Unknown { .. }),
                "{lines}: {unit:?}"
            );
            assert_eq!((unit.home, unit.port), (Some(mac.home()), 2039));
            assert!(launchd.find().await.unwrap().is_some());
        }
        let launchd = with_launchctl(&mac, "exec sleep 600");
        assert_eq!(
            launchd.start().await.unwrap_err().code,
            Code::ManagerUnreachable
        );
        assert_eq!(
            launchd.stop().await.unwrap_err().code,
            Code::ManagerUnreachable
        );
        assert_eq!(
            launchd.restart().await.unwrap_err().code,
            Code::ManagerUnreachable
        );
    });
}

#[test]
fn without_a_launchctl_and_without_a_plist_there_is_no_unit() {
    if Path::new("/bin/launchctl").exists() {
        return;
    }
    let mac = Mac::new();
    block(async {
        let none = || {
            Launchd::new(
                mac.place(),
                Ctl::new("".as_ref(), Vec::new()),
                mac.binary(),
                501,
            )
        };
        assert_eq!(
            none().look().await.unwrap_err().code,
            Code::ManagerUnreachable
        );
        assert!(none().find().await.unwrap().is_none());
        assert!(mac.launchd().find().await.unwrap().is_none());
        let missing = mac.launchd().start().await.unwrap_err();
        assert_eq!(missing.code, Code::NotInstalled);
        mac.launchd().stop().await.unwrap();
    });
}

#[test]
fn a_bad_plist_is_broken_and_says_why() {
    let mac = Mac::new();
    let plist = mac.place().plist();
    block(async {
        let launchd = mac.installed().await;
        let good = fs::read_to_string(&plist).unwrap();
        let bad: [(&[u8], &str); 6] = [
            (&good.as_bytes()[..good.len() / 2], "no property list"),
            (b"bplist00 and then garbage", "no property list"),
            (
                good.replace("<string>serve</string>", "<true/>")
                    .leak()
                    .as_bytes(),
                "not all strings",
            ),
            (
                good.replacen("computer.parachute.hub", "computer.parachute.bub", 1)
                    .leak()
                    .as_bytes(),
                "its Label is",
            ),
            (
                good.replace("ProgramArguments", "Arguments")
                    .leak()
                    .as_bytes(),
                "missing or empty",
            ),
            (b"", "empty"),
        ];
        for (bytes, why) in bad {
            fs::write(&plist, bytes).unwrap();
            match state(&launchd).await {
                UnitState::Broken { said } => assert!(said.contains(why), "{said}"),
                other => panic!("{why}: {other:?}"),
            }
            let error = launchd.start().await.unwrap_err();
            assert!(
                error.code == Code::UnitFailed && error.message.contains(why),
                "{error}"
            );
            assert!(error.hint.unwrap().contains("parachute init"));
        }
        fs::write(&plist, &good).unwrap();
        fs::set_permissions(&plist, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(
            matches!(state(&launchd).await, UnitState::Broken { said } if said.contains("0666"))
        );
        let error = launchd.start().await.unwrap_err();
        assert!(error.message.contains("0666"), "{error}");
    });
}

#[test]
fn a_running_hub_whose_plist_went_bad_runs_and_is_not_restarted_into_nothing() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        let plist = mac.place().plist();
        fs::rename(&plist, mac.user_dir().join("aside")).unwrap();
        let unit = launchd.look().await.unwrap();
        assert!(matches!(unit.state, UnitState::Running { .. }));
        assert_eq!(
            (unit.home, unit.port),
            (Some(mac.home()), 2039),
            "from the loaded job"
        );
        assert!(unit.notes[0].contains("is gone"), "{:?}", unit.notes);
        fs::write(&plist, "garbage").unwrap();
        assert!(launchd.look().await.unwrap().notes[0].contains("would refuse"));
        launchd.restart().await.unwrap();
        assert_ne!(pid(&launchd).await, hub);
        launchd.stop().await.unwrap();
        assert!(matches!(state(&launchd).await, UnitState::Broken { .. }));
    });
}

#[test]
fn a_plist_for_graphical_sessions_alone_is_explained_over_ssh() {
    let mac = Mac::with(json!({"gui": false}));
    block(async {
        let launchd = mac.installed().await;
        let plist = mac.place().plist();
        let text = fs::read_to_string(&plist).unwrap();
        fs::write(&plist, text.replace("<string>Background</string>", "")).unwrap();
        let error = launchd.start().await.unwrap_err();
        assert!(
            error.message.contains("LimitLoadToSessionType") || error.message.contains("gui/501"),
            "{error}"
        );
    });
}

#[test]
fn the_machines_hub_is_not_a_users_to_drive() {
    let mac = Mac::new();
    block(async {
        let place = Place::system(&mac.user_dir());
        let launchd = mac.launchd_at(place.clone());
        let mut unit = mac.unit();
        unit.user = Some("nobody".into());
        let plan = launchd.plan_install(&unit).await.unwrap();
        launchd.apply(&plan).await.unwrap();
        let text = fs::read_to_string(place.plist()).unwrap();
        assert!(text.contains("<key>UserName</key>") && !text.contains("LimitLoadToSessionType"));
        assert!(
            text.contains("/Library/Logs/parachute-hub.log") && !text.contains("hub/logs"),
            "root opens no file in a home"
        );
        let error = launchd.start().await.unwrap_err();
        assert_eq!(error.code, Code::NoPermission);
        assert!(error.hint.unwrap().contains("sudo parachute start"));
    });
}

#[test]
fn root_is_told_the_real_reason() {
    let mut mac = Mac::with(json!({"uid": 0}));
    block(async {
        let place = Place::system(&mac.user_dir());
        let launchd = mac.launchd_at(place.clone());
        let plan = launchd.plan_install(&mac.unit()).await.unwrap();
        launchd.apply(&plan).await.unwrap();
        launchd.start().await.unwrap();
        launchd.stop().await.unwrap();
        for (code, words, wanted) in [
            (119, "Service is disabled", Code::Refused),
            (122, "Path had bad ownership/permissions", Code::UnitFailed),
            (
                161,
                "Service cannot be launched because of BTM policy",
                Code::UnitFailed,
            ),
            (159, "Sandbox restriction", Code::NoPermission),
        ] {
            mac.fault(
                "bootstrap",
                1,
                code,
                "",
                &format!("Bootstrap failed: {code}: {words}\n"),
            );
            let error = launchd.start().await.unwrap_err();
            assert_eq!(error.code, wanted, "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
    });
}

#[test]
fn a_5_that_stays_is_bounded_and_explained() {
    let mut mac = Mac::new();
    block(async {
        let mut launchd = mac.installed().await;
        launchd.patience.settle = Duration::from_secs(2);
        mac.fault("bootstrap", 9999, 5, "", "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.\n");
        let error = launchd.start().await.unwrap_err();
        assert_eq!(error.code, Code::UnitFailed);
        let hint = error.hint.unwrap();
        assert!(
            hint.contains("sudo launchctl bootstrap gui/501") && hint.contains("134"),
            "{hint}"
        );
    });
}

#[test]
fn a_hub_that_ignores_sigterm_is_killed_by_launchd_and_waited_for() {
    let mac = Mac::with(json!({"exit_timeout": 1}));
    mac.hub(&format!(
        "trap '' TERM; {}",
        POLITE
            .trim_start_matches("trap 'exit 0' TERM; ")
            .replace("& wait", "")
    ));
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        launchd.stop().await.unwrap();
        assert!(!super::mac::alive(hub));
    });
}

#[test]
fn a_stale_job_of_a_module_is_named_with_the_command_that_ends_it() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        assert!(launchd.stale_units(&["vault", "hub"]).await.is_empty());
        let stale = mac.place().folder().join("computer.parachute.vault.plist");
        let plist = "<plist version=\"1.0\"><dict><key>Label</key><string>computer.parachute.vault</string>\
            <key>ProgramArguments</key><array><string>/bin/sleep</string><string>600</string></array>\
            <key>KeepAlive</key><true/></dict></plist>";
        fs::write(&stale, plist).unwrap();
        assert_eq!(
            mac.launchctl(&["bootstrap", "gui/501", stale.to_str().unwrap()])
                .0,
            0
        );
        let found = launchd.stale_units(&["vault", "scribe", "hub"]).await;
        let [unit] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (unit.short.as_str(), unit.running, unit.enabled),
            ("vault", true, true)
        );
        for call in unit.command.split("; ") {
            let words: Vec<&str> = call.split(' ').skip(1).collect();
            assert_eq!(mac.launchctl(&words).0, 0, "{call}");
        }
        let gone = Instant::now() + PATIENCE;
        while !launchd.stale_units(&["vault"]).await.is_empty() {
            assert!(Instant::now() < gone, "never ended");
        }
    });
}
