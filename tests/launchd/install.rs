//! The unit put there and taken away.

use super::mac::{Mac, block, pid, state};
use parachute::manager::{
    ServiceManager, UnitState,
    launchd::{Plan, Step},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

fn kinds(plan: &Plan) -> Vec<&'static str> {
    let kind = |step: &Step| match step {
        Step::Folder(_) => "folder",
        Step::Log(_) => "log",
        Step::Write { .. } => "write",
        Step::Stop => "stop",
        Step::Remove { .. } => "remove",
    };
    plan.steps.iter().map(kind).collect()
}

#[test]
fn installing_writes_enables_and_never_starts() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.launchd();
        assert_eq!(state(&launchd).await, UnitState::NotInstalled);
        let plan = launchd.plan_install(&mac.unit()).await.unwrap();
        assert_eq!(kinds(&plan), ["folder", "log", "write"]);
        launchd.apply(&plan).await.unwrap();
        let plist = mac.place().plist();
        assert_eq!(
            plist.metadata().unwrap().permissions().mode() & 0o7777,
            0o644
        );
        assert_eq!(
            fs::read_dir(mac.place().folder()).unwrap().count(),
            1,
            "no temp file is left"
        );
        assert!(
            mac.home().at("hub/logs/hub.log").is_file(),
            "launchd makes no folders"
        );
        let unit = launchd.look().await.unwrap();
        assert_eq!((unit.state, unit.enabled), (UnitState::Stopped, Some(true)));
        assert!(mac.deeds().is_empty());
        assert!(
            launchd.plan_install(&mac.unit()).await.unwrap().is_empty(),
            "a second time changes nothing"
        );
    });
}

#[test]
fn what_a_person_added_stays() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        let plist = mac.place().plist();
        let text = fs::read_to_string(&plist).unwrap();
        fs::write(
            &plist,
            text.replacen("<dict>", "<dict><key>Nice</key><integer>5</integer>", 1),
        )
        .unwrap();
        let mut unit = mac.unit();
        unit.port = 2041;
        let plan = launchd.plan_install(&unit).await.unwrap();
        let [
            Step::Write {
                before: Some(before),
                after,
                ..
            },
        ] = &plan.steps[..]
        else {
            panic!("{plan:?}");
        };
        assert!(before.contains("2039") && after.contains("2041"));
        assert!(before.contains("Nice") && after.contains("Nice"));
        launchd.apply(&plan).await.unwrap();
        assert_eq!(launchd.look().await.unwrap().port, 2041);
    });
}

#[test]
fn a_loose_mode_is_mended() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        let plist = mac.place().plist();
        fs::set_permissions(&plist, fs::Permissions::from_mode(0o666)).unwrap();
        let plan = launchd.plan_install(&mac.unit()).await.unwrap();
        assert_eq!(kinds(&plan), ["write"]);
        launchd.apply(&plan).await.unwrap();
        assert_eq!(state(&launchd).await, UnitState::Stopped);
    });
}

#[test]
fn a_link_gives_way_and_its_target_stays() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        let (plist, target) = (mac.place().plist(), mac.user_dir().join("dotfiles.plist"));
        fs::rename(&plist, &target).unwrap();
        symlink(&target, &plist).unwrap();
        let text = fs::read(&target).unwrap();
        let mut unit = mac.unit();
        unit.port = 2042;
        let plan = launchd.plan_install(&unit).await.unwrap();
        assert!(plan.notes[0].contains("is a link to"), "{plan:?}");
        launchd.apply(&plan).await.unwrap();
        assert!(plist.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(&target).unwrap(), text);
    });
}

#[test]
fn a_hub_of_other_make_is_told_and_nothing_of_it_is_mixed_in() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.launchd();
        fs::create_dir_all(mac.place().folder()).unwrap();
        let other = "<plist version=\"1.0\"><dict><key>Label</key><string>computer.parachute.hub</string>\
            <key>ProgramArguments</key><array><string>/opt/bun</string><string>/opt/hub.ts</string></array>\
            <key>EnvironmentVariables</key><dict><key>PARACHUTE_HUB_ORIGIN</key><string>https://a.example</string>\
            <key>PORT</key><string>1950</string></dict><key>Nice</key><integer>1</integer></dict></plist>";
        fs::write(mac.place().plist(), other).unwrap();
        let unit = launchd.look().await.unwrap();
        assert_eq!((unit.ours, unit.port), (false, 1950));
        let plan = launchd.plan_install(&mac.unit()).await.unwrap();
        assert!(plan.replaces_other);
        let Some(Step::Write { after, .. }) = plan.steps.last() else {
            panic!("{plan:?}");
        };
        assert!(!after.contains("Nice") && !after.contains("a.example"));
    });
}

#[test]
fn garbage_is_replaced_and_said() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.launchd();
        fs::create_dir_all(mac.place().folder()).unwrap();
        fs::write(mac.place().plist(), [0, 159, 146, 150]).unwrap();
        let plan = launchd.plan_install(&mac.unit()).await.unwrap();
        assert!(plan.notes[0].contains("cannot be kept"), "{plan:?}");
        launchd.apply(&plan).await.unwrap();
        assert_eq!(state(&launchd).await, UnitState::Stopped);
    });
}

#[test]
fn removing_stops_waits_and_removes_the_file() {
    let mac = Mac::new();
    block(async {
        let launchd = mac.installed().await;
        launchd.start().await.unwrap();
        let hub = pid(&launchd).await;
        let plan = launchd.plan_remove().await.unwrap();
        assert_eq!(kinds(&plan), ["stop", "remove"]);
        launchd.apply(&plan).await.unwrap();
        assert!(!super::mac::alive(hub) && !mac.place().plist().exists());
        assert_eq!(state(&launchd).await, UnitState::NotInstalled);
        assert!(launchd.plan_remove().await.unwrap().is_empty());
    });
}

#[test]
fn a_relative_path_is_refused() {
    let mac = Mac::new();
    block(async {
        let mut unit = mac.unit();
        unit.binary = "parachute".into();
        assert!(mac.launchd().plan_install(&unit).await.is_err());
    });
}
