//! The unit file: judged by systemd's own tools, and started from homes that nobody should have.

use super::{Box, USER};
use parachute::{
    home::Home,
    manager::{Unit, systemd::render},
};
use std::net::{IpAddr, Ipv4Addr};

const HOMES: [&str; 16] = [
    "/srv/plain",
    "/srv/a b  c",
    "/srv/ lead and trail ",
    "/srv/100%/%h/%%i",
    "/srv/$HOME/x",
    "/srv/${HOME}",
    "/srv/quo\"te",
    "/srv/it's",
    "/srv/back\\slash\\n",
    "/srv/ends in \\",
    "/srv/ünï/日本/🪂",
    "/srv/semi;colon #hash",
    "/srv/tab\there",
    "/srv/new\nline",
    "/srv/-@:+!x",
    "/srv/a=b&c|d*[e]",
];

/// Says what it was given and that it is ready.
const HUB: &str = "#!/bin/bash
printf '%s\\0' \"$PARACHUTE_HOME\" \"$PORT\" \"$PARACHUTE_BIND_HOST\" \"$PATH\" \"$*\" >/tmp/said.$UID
systemd-notify --ready
exec sleep infinity
";

fn unit(home: &str, user: Option<&str>) -> Unit {
    // Programs may not lie everywhere where homes may.
    let binary = match home.contains(['"', '\'', '\\', '\t', '\n']) {
        true => "/srv/parachute".into(),
        false => format!("{home}/parachute").into(),
    };
    Unit {
        binary,
        home: Home::new(home),
        port: 2939,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        path: format!("{home}/bin:/usr/bin:/bin"),
        user: user.map(str::to_owned),
    }
}

/// Installs, verifies and starts the units of one scope in turn.
fn each_home_works(b: &Box, user: Option<&str>) {
    let (dir, ctl, uid) = match user {
        Some(_) => ("/etc/systemd/system".to_owned(), &["systemctl"][..], 0),
        None => (
            format!("/home/{USER}/.config/systemd/user"),
            &["systemctl", "--user"][..],
            super::UID,
        ),
    };
    let run = |argv: &[&str]| match user {
        Some(_) => b.exec(argv),
        None => b.as_user(argv),
    };
    let file = format!("{dir}/parachute-hub.service");
    // The stand-in's word comes from a child of its own.
    b.write(
        &format!("{file}.d/test.conf"),
        "[Service]\nNotifyAccess=all\n",
    );
    for home in HOMES {
        let unit = unit(home, user);
        b.write(unit.binary.to_str().unwrap(), HUB);
        b.exec(&["chmod", "755", unit.binary.to_str().unwrap()])
            .ok();
        b.write(&file, &render(&unit).unwrap());
        let scope = if user.is_some() { "--system" } else { "--user" };
        let verify = run(&["systemd-analyze", scope, "verify", &file]).exits(0);
        assert_eq!((&*verify.out, &*verify.err), ("", ""), "{home:?}");
        run(&[ctl, &["daemon-reload"]].concat()).ok();
        let start = run(&[ctl, &["restart", "parachute-hub"]].concat());
        assert_eq!(start.code, 0, "{home:?}: {start:?}");
        let said = b.exec(&["cat", &format!("/tmp/said.{uid}")]).ok();
        let given: Vec<_> = said.split_terminator('\0').collect();
        let path = format!("{home}/bin:/usr/bin:/bin");
        assert_eq!(given, [home, "2939", "127.0.0.1", &path, "serve"]);
    }
}

#[test]
fn every_home_gives_a_system_unit_that_verifies_and_starts() {
    let Some(b) = Box::start() else { return };
    each_home_works(&b, Some("root"));
}

#[test]
fn every_home_gives_a_users_unit_that_verifies_and_starts() {
    let Some(b) = Box::start() else { return };
    b.user(true);
    b.sh(&format!(
        "install -d -o {USER} /home/{USER}/.config /home/{USER}/.config/systemd"
    ));
    each_home_works(&b, None);
}

#[test]
fn it_is_less_exposed_than_a_bare_unit() {
    let Some(b) = Box::start() else { return };
    b.user(false);
    let bare = "[Service]\nExecStart=/usr/local/bin/parachute serve\nUser=alex\n";
    b.write("/etc/systemd/system/bare.service", bare);
    let unit = Unit {
        binary: "/usr/local/bin/parachute".into(),
        ..unit("/home/alex/.parachute", Some(USER))
    };
    b.write(
        "/etc/systemd/system/parachute-hub.service",
        &render(&unit).unwrap(),
    );
    b.sh("systemctl daemon-reload");
    let exposure = |name: &str| -> f64 {
        let text = b
            .exec(&["systemd-analyze", "security", "--no-pager", name])
            .ok();
        let line = text
            .lines()
            .find(|line| line.contains("Overall exposure"))
            .unwrap();
        let number = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
        number.parse().unwrap()
    };
    let (bare, ours) = (exposure("bare.service"), exposure("parachute-hub.service"));
    println!("exposure: {ours}, of a bare unit {bare}");
    assert!(ours < bare - 1.0, "{ours} against {bare}");
}
