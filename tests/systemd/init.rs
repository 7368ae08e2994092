//! `parachute init` and `uninstall-unit` on real systemds.

use super::{Box, Done, UID, USER};
use serde_json::Value;

const FILE: &str = "/etc/systemd/system/parachute-hub.service";

fn user_file() -> String {
    format!("/home/{USER}/.config/systemd/user/parachute-hub.service")
}

impl Box {
    /// Runs the program as root, through sudo by [`USER`].
    fn sudo(&self, args: &[&str]) -> Done {
        let mut command = self.command("parachute");
        command.env("SUDO_UID", UID.to_string());
        command.args(args).output().unwrap().into()
    }

    fn mine(&self, args: &[&str]) -> Done {
        self.as_user(&[&["parachute"], args].concat())
    }
}

#[test]
fn root_is_asked_whose_box_it_is_and_sudo_says_it() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    let asked = b.exec(&["parachute", "init", "--no-start"]).exits(2);
    assert!(asked.err.contains("--run-as USER"), "{asked:?}");
    b.exec(&["parachute", "init", "--no-start", "--run-as", "nosuchuser"])
        .exits(2);
    b.sudo(&["init", "--no-start"]).ok();
    let text = b.sh(&format!("cat {FILE}"));
    assert!(text.contains("\nUser=alex\n"), "{text}");
    assert!(
        text.contains("PARACHUTE_HOME=/home/alex/.parachute\""),
        "{text}"
    );
    assert!(text.contains("PARACHUTE_BIND_HOST=127.0.0.1"), "{text}");
    assert_eq!(b.sh("systemctl is-enabled parachute-hub"), "enabled\n");
    assert_eq!(
        b.sh("stat -c '%a %U' /etc/systemd/system/parachute-hub.service"),
        "644 root\n"
    );
}

#[test]
fn a_second_init_does_nothing_and_a_changed_one_shows_the_difference() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.sudo(&["init", "--no-start", "--port", "2939"]).ok();
    let stamp = || b.sh(&format!("stat -c %i.%y {FILE}"));
    let before = stamp();
    let again = b.sudo(&["init", "--no-start"]).ok();
    assert!(again.contains("nothing to do"), "{again}");
    // What the unit says counts as said, also when root comes without sudo.
    let again = b.exec(&["parachute", "init", "--no-start", "--json"]).ok();
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["steps"], Value::Array(vec![]));
    assert_eq!(again["url"], "http://127.0.0.1:2939");
    assert_eq!(stamp(), before);
    let would = b.sudo(&["init", "--dry-run", "--port", "3939"]).ok();
    assert!(
        would.contains("-Environment=PORT=2939") && would.contains("+Environment=PORT=3939"),
        "{would}"
    );
    assert_eq!(stamp(), before);
    let did = b.sudo(&["init", "--no-start", "--port", "3939"]).ok();
    assert!(did.contains("+Environment=PORT=3939"), "{did}");
    assert_eq!(
        b.sh("systemctl show -p NeedDaemonReload --value parachute-hub"),
        "no\n"
    );
    let printed = b.sudo(&["init", "--print", "--port", "3939"]).ok();
    assert_eq!(printed, b.sh(&format!("cat {FILE}")));
}

#[test]
fn a_unit_of_other_make_stays_unless_it_is_to_be_replaced() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    let other = "[Service]\nExecStart=/usr/bin/bun /opt/hub/parachute serve\n[Install]\nWantedBy=multi-user.target\n";
    b.write(FILE, other);
    b.sh("systemctl daemon-reload");
    let refused = b.sudo(&["init", "--no-start"]).exits(1);
    assert!(refused.err.contains("--replace"), "{refused:?}");
    assert_eq!(b.sh(&format!("cat {FILE}")), other);
    b.sudo(&["uninstall-unit"]).exits(1);
    b.sudo(&["init", "--no-start", "--replace"]).ok();
    assert!(
        b.sh(&format!("cat {FILE}"))
            .contains("ExecStart=\"/usr/local/bin/parachute\" serve")
    );
}

#[test]
fn a_packages_unit_that_says_the_same_is_used_and_another_is_put_behind() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    let unit = b.sudo(&["init", "--print"]).ok();
    let packaged = "/usr/lib/systemd/system/parachute-hub.service";
    b.write(packaged, &unit);
    b.sh("systemctl daemon-reload");
    b.sudo(&["init", "--no-start"]).ok();
    assert_eq!(b.exec(&["test", "-e", FILE]).code, 1);
    assert_eq!(b.sh("systemctl is-enabled parachute-hub"), "enabled\n");
    let told = b.sudo(&["init", "--no-start", "--port", "2000"]).exits(0);
    assert!(
        told.err
            .contains("/lib/systemd/system/parachute-hub.service stays"),
        "{told:?}"
    );
    assert_eq!(
        b.sh("systemctl show -p FragmentPath --value parachute-hub"),
        format!("{FILE}\n")
    );
    b.sudo(&["uninstall-unit"]).ok();
    let path = b.sh("systemctl show -p FragmentPath --value parachute-hub");
    assert!(packaged.ends_with(path.trim()), "{path}");
}

#[test]
fn a_masked_unit_is_not_unmasked_behind_anybodys_back() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.sh("systemctl mask parachute-hub.service");
    let refused = b.sudo(&["init", "--no-start"]).exits(1);
    assert!(refused.err.contains("systemctl unmask"), "{refused:?}");
}

#[test]
fn a_users_unit_lingers_and_a_failed_init_leaves_lingering_as_it_was() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    let lingers = || {
        b.exec(&["test", "-e", &format!("/var/lib/systemd/linger/{USER}")])
            .code
            == 0
    };
    // Something else has the port: the hub cannot start.
    b.sh(
        "systemd-run -q --unit=squatter --setenv='PARACHUTE_TEST_ACT=squat 2939' \
         /usr/local/bin/it systemd::driver::act --exact",
    );
    b.wait_for("ss -Hltn 'sport = 2939' | grep -q .");
    let taken = b.mine(&["init", "--port", "2939"]).exits(1);
    assert!(taken.err.contains("port 2939 is taken"), "{taken:?}");
    assert!(!lingers());
    // A file where a folder has to be.
    b.sh(&format!(
        "install -d -o {USER} /home/{USER}/.config; touch /home/{USER}/.config/systemd"
    ));
    let failed = b.mine(&["init", "--no-start"]);
    assert_ne!(failed.code, 0, "{failed:?}");
    assert!(!lingers(), "{failed:?}");
    b.sh(&format!("rm /home/{USER}/.config/systemd"));

    let told = b.mine(&["init", "--no-start"]).ok();
    assert!(told.contains("switch lingering on for alex"), "{told}");
    assert!(lingers());
    assert_eq!(
        b.as_user(&["systemctl", "--user", "is-enabled", "parachute-hub"])
            .out,
        "enabled\n"
    );
    let again = b.mine(&["init", "--no-start"]).ok();
    assert!(again.contains("nothing to do"), "{again}");
    assert!(!b.sh(&format!("cat {}", user_file())).contains("\nUser="));

    let gone = b.mine(&["uninstall-unit"]).exits(0);
    assert!(gone.err.contains("lingering stays on"), "{gone:?}");
    assert_eq!(b.exec(&["test", "-e", &user_file()]).code, 1);
    let nothing = b.mine(&["uninstall-unit"]).ok();
    let want = format!("nothing to do: there is no unit at {}", user_file());
    assert!(nothing.contains(&want), "{nothing}");
}

#[test]
fn a_hub_that_does_not_come_up_fails_the_init_with_its_words_and_without_lingering() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    let home = format!("/home/{USER}/not-a-folder/box");
    b.sh(&format!(
        "echo x >/home/{USER}/not-a-folder; chown {USER} /home/{USER}/not-a-folder"
    ));
    let failed = b.mine(&["init", "--home", &home]);
    assert_ne!(failed.code, 0, "{failed:?}");
    assert!(
        failed.err.contains("parachute-hub.service did not start"),
        "{failed:?}"
    );
    assert_eq!(
        b.exec(&["test", "-e", &format!("/var/lib/systemd/linger/{USER}")])
            .code,
        1
    );
}

#[test]
fn a_build_folder_is_no_place_for_a_service() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.sh("mkdir -p /opt/x/target/debug; cp /usr/local/bin/parachute /opt/x/target/debug");
    let mut command = b.command("/opt/x/target/debug/parachute");
    let refused = Done::from(
        command
            .args(["init", "--run-as", USER, "--no-start"])
            .output()
            .unwrap(),
    );
    assert!(refused.exits(1).err.contains("--force"));
    let mut command = b.command("/opt/x/target/debug/parachute");
    Done::from(
        command
            .args(["init", "--run-as", USER, "--no-start", "--force"])
            .output()
            .unwrap(),
    )
    .exits(0);
}

#[test]
fn root_sees_a_users_unit() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    assert_eq!(
        b.drive(super::driver::As::Root, "for-user user"),
        Ok(Value::Null)
    );
    b.mine(&["init", "--no-start", "--port", "2939"]).ok();
    let look = b.drive(super::driver::As::Root, "for-user user").unwrap();
    assert_eq!(look["home"], format!("/home/{USER}/.parachute"));
    assert_eq!(look["port"], 2939);
    assert_eq!(look["ours"], true);
    assert_eq!(look["enabled"], true);
}

#[test]
fn one_home_gets_one_unit() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.mine(&["init", "--no-start"]).ok();
    let refused = b.sudo(&["init", "--no-start"]).exits(1);
    assert!(refused.err.contains(&user_file()), "{refused:?}");
    assert!(
        refused.err.contains("uninstall-unit` as alex"),
        "{refused:?}"
    );
    b.mine(&["uninstall-unit"]).ok();
    b.sudo(&["init", "--no-start"]).ok();
    let refused = b.mine(&["init", "--no-start"]).exits(1);
    assert!(
        refused.err.contains("sudo parachute uninstall-unit"),
        "{refused:?}"
    );
    // Another home is nobody's rival.
    b.mine(&["init", "--no-start", "--home", "/home/alex/other"])
        .ok();
}

#[test]
fn a_hub_that_runs_is_restarted_only_when_it_must_be() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.mine(&["init"]).ok();
    let pid = || {
        b.as_user(&[
            "systemctl",
            "--user",
            "show",
            "-p",
            "MainPID",
            "parachute-hub",
        ])
        .ok()
    };
    let before = pid();
    let again = b.mine(&["init"]).ok();
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!(pid(), before);
    let moved = b.mine(&["init", "--port", "2939"]).ok();
    assert!(moved.contains("hub restarted"), "{moved}");
    assert_ne!(pid(), before);
    let status = b.mine(&["status", "--json"]).ok();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["hub"]["port"], 2939);
    assert_eq!(status["hub"]["state"], "active");
    let stopped = b.mine(&["uninstall-unit"]).ok();
    assert!(stopped.contains("hub stopped"), "{stopped}");
}
