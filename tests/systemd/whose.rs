//! Whose box, whose hub, whose unit, on real systemds: a unit that is off is its home's still, a home
//! has many names, a neighbour's hub is nobody else's, and who may not look is told who may.

use super::{Box, Done, USER, scenario::Actor};
use serde_json::Value;

const HOME: &str = "/home/alex/.parachute";

impl Box {
    /// A second user, who has no part in the first one's box.
    fn bob(&self, args: &[&str]) -> Done {
        self.sh("id bob >/dev/null 2>&1 || useradd -m -u 4343 bob");
        let mut command = self.command("setpriv");
        command.args(["--reuid=4343", "--regid=4343", "--init-groups", "parachute"]);
        command
            .args(args)
            .env("HOME", "/home/bob")
            .env("USER", "bob");
        command.output().unwrap().into()
    }

    fn at(&self, home: &str, args: &[&str]) -> Done {
        self.act(Actor::User, &[&["--home", home], args].concat())
    }
}

#[track_caller]
fn document(done: &Done) -> Value {
    serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {done:?}"))
}

#[test]
fn a_unit_that_is_off_is_the_way_of_its_home() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::User);
    b.comes_up(Actor::User);
    b.as_user(&["systemctl", "--user", "disable", "--now", "parachute-hub"])
        .ok();
    for actor in [Actor::User, Actor::Sudo] {
        let status = b.status(actor);
        assert_eq!(status["home"], HOME, "{status}");
        assert_eq!(status["manager"], "systemd", "{status}");
        assert_eq!(status["hub"]["state"], "inactive", "{status}");
        assert_eq!(status["hub"]["unit"]["enabled"], false, "{status}");
    }
    b.act(Actor::User, &["start", "alpha"]).ok();
    b.comes_up(Actor::User);
    let record = format!("{HOME}/alpha/run/alpha.pid");
    assert_eq!(b.exec(&["test", "-e", &record]).code, 1, "a detached copy");
}

#[test]
fn a_home_is_the_same_by_every_name() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::User);
    b.comes_up(Actor::User);
    b.sh(&format!("mkdir -p /srv; ln -s {HOME} /srv/p"));
    for home in ["/srv/p", "/home/alex/../alex/.parachute"] {
        let done = b.at(home, &["status", "--json"]).exits(0);
        let status = document(&done);
        assert_eq!(status["manager"], "systemd", "{home}: {status}");
        assert_eq!(status["notes"], Value::Array(vec![]), "{home}: {status}");
        assert_eq!(done.err, "", "{home}");
        b.at(home, &["stop"]).ok();
        b.at(home, &["start", "alpha"]).ok();
        b.comes_up(Actor::User);
        b.all_well(Actor::User);
    }
    let refused = b.exec(&["parachute", "--home", "/srv/p", "init", "--run-as", USER]);
    let refused = refused.exits(1);
    assert!(
        refused.err.contains("already has a hub unit"),
        "{refused:?}"
    );
}

#[test]
fn a_neighbours_hub_is_not_the_machines() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.comes_up(Actor::Root);
    b.act(Actor::Root, &["stop"]).ok();
    b.bob(&["--home", "/home/bob/.parachute", "start", "hub"])
        .ok();
    let status = b.status(Actor::Root);
    assert_eq!(status["hub"]["state"], "inactive", "{status}");
    assert!(
        status["hub"]["notes"]
            .to_string()
            .contains("bob (uid 4343)"),
        "{status}"
    );
    b.act(Actor::Root, &["is-active", "hub"]).exits(1);
    for args in [&["start"][..], &["start", "hub"], &["start", "alpha"]] {
        let refused = b.act(Actor::Root, args).exits(5);
        assert!(refused.err.contains("another home's"), "{refused:?}");
    }
    let modules = b.act(Actor::Root, &["stop", "alpha"]).exits(5);
    assert!(modules.err.contains("another home's"), "{modules:?}");
    b.bob(&["--home", "/home/bob/.parachute", "stop", "hub"])
        .ok();
    b.act(Actor::Root, &["start"]).ok();
    b.comes_up(Actor::Root);
}

/// The unit could not get the port, and would only fail.
#[test]
fn a_unit_is_not_restarted_beside_a_hub_of_its_home_in_a_terminal() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::User);
    b.act(Actor::User, &["stop"]).ok();
    b.sh(&format!(
        "systemd-run --quiet --unit=terminal --uid={USER} --setenv=HOME=/home/{USER} \
         /usr/local/bin/parachute --home {HOME} serve"
    ));
    b.wait_for(&format!("test -e {HOME}/hub-instance.json"));
    for line in [&["restart", "hub"][..], &["restart"], &["stop"]] {
        let refused = b.act(Actor::User, line).exits(1);
        assert!(refused.err.contains("stop it there"), "{refused:?}");
    }
    let unit = b.as_user(&["systemctl", "--user", "is-active", "parachute-hub"]);
    assert_eq!(unit.out, "inactive\n");
    b.sh("systemctl stop terminal");
    b.act(Actor::User, &["restart"]).ok();
    b.comes_up(Actor::User);
}

#[test]
fn who_may_not_look_into_the_home_sees_its_hub_and_is_told_who_may() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::Root);
    b.comes_up(Actor::Root);
    for closed in ["/home/alex", HOME] {
        b.sh(&format!("chmod 755 /home/alex {HOME}; chmod 700 {closed}"));
        let status = document(&b.bob(&["status", "--json"]).exits(0));
        assert_eq!(status["home"], HOME, "{status}");
        assert_eq!(status["hub"]["state"], "active", "{status}");
        let notes = status["notes"].as_array().unwrap();
        assert_eq!(notes.len(), 1, "{status}");
        let note = notes[0].as_str().unwrap();
        assert!(note.contains("`sudo -u alex parachute …`"), "{status}");
        b.bob(&["is-active", "hub"]).exits(0);
        for line in [
            "stop alpha",
            "start alpha",
            "restart alpha beta",
            "restart hub alpha",
            "logs",
            "logs alpha",
            "stop alpha --dry-run",
            "status alpha",
            "is-active",
            "is-active alpha",
            "is-installed alpha",
            "health",
            "wait --timeout 0",
            "wait alpha --timeout 0",
        ] {
            let args: Vec<&str> = line.split(' ').collect();
            let refused = b.bob(&args).exits(4);
            let told = refused.err.contains("`sudo -u alex parachute …`");
            assert!(told, "{line}: {refused:?}");
        }
    }
    b.all_well(Actor::Root);
}

#[test]
fn another_homes_unit_is_a_note_of_the_status_and_no_word_to_scripts() {
    let Some(b) = Box::start() else { return };
    b.hub(Actor::User);
    b.comes_up(Actor::User);
    let other = "/home/alex/other";
    let done = b.at(other, &["status", "--json"]).exits(0);
    assert_eq!(done.err, "", "said twice");
    let notes = document(&done)["notes"].to_string();
    assert!(notes.contains("there is also a hub unit"), "{notes}");
    let done = b.at(other, &["status"]).exits(0);
    let told = format!("{}{}", done.out, done.err);
    assert_eq!(told.matches("there is also").count(), 1, "{done:?}");
    for line in ["is-active", "is-installed", "wait --for inactive", "health"] {
        let args: Vec<&str> = line.split(' ').collect();
        let done = b.at(other, &args);
        assert_eq!(done.err, "", "{line}");
    }
    let stop = b.at(other, &["stop"]).exits(0);
    assert!(stop.err.contains("there is also"), "{stop:?}");
}

#[test]
fn init_says_what_becomes_of_modules_that_run_without_a_hub() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    b.module("alpha", "3001", &[]);
    b.module("beta", "3002", &[]);
    b.as_user(&["parachute", "start", "alpha"]).ok();
    let said = "started again under it: alpha";
    let before = b.pids("3001");
    let would = b.as_user(&["parachute", "init", "--dry-run"]).ok();
    assert!(would.contains(said), "{would}");
    assert!(!would.contains("beta"), "{would}");
    let would = b.exec(&["parachute", "init", "--dry-run", "--run-as", USER]);
    assert!(would.out.contains(said), "{would:?}");
    let kept = b.as_user(&["parachute", "init", "--no-start"]).exits(0);
    assert!(!kept.err.contains(said), "{kept:?}");
    assert_eq!(b.pids("3001"), before);
    let did = b.as_user(&["parachute", "init", "--json"]).exits(0);
    assert!(
        document(&did)["notes"].to_string().contains(said),
        "{did:?}"
    );
    assert!(did.err.contains(said), "{did:?}");
    b.comes_up(Actor::User);
    b.all_well(Actor::User);
    let again = b.as_user(&["parachute", "init"]).exits(0);
    assert!(!again.err.contains(said), "{again:?}");
}
