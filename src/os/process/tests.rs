use super::*;
use crate::os::kid::{Kid, eventually, lives, runtime};

#[test]
fn we_are_in_our_own_snapshot() {
    let me = std::process::id();
    let snapshot = Snapshot::take().unwrap();
    let found = snapshot.get(me).unwrap();
    assert_eq!(found.uid, rustix::process::geteuid().as_raw());
    assert_eq!(found.start, look(me).unwrap().unwrap().start);
    assert!(found.alive() && found.memory > 0);
    assert!(found.age() < Duration::from_secs(24 * 3600));
    assert!(snapshot.get(4_194_305).is_none());
    assert!(look(4_194_305).unwrap().is_none());
}

#[test]
fn what_a_process_was_started_with() {
    let mut kid = Kid::with(
        "echo ready; while :; do sleep 1000; done",
        &[("ODD", "a=b c")],
    );
    kid.line();
    let pid = kid.pid();
    assert_eq!(env_var(pid, "ODD").unwrap(), "a=b c");
    assert_eq!(env_var(pid, "OD"), None);
    assert_eq!(env_var(pid, "PARACHUTE_SPAWN_ID").unwrap(), *kid.spawn);
    let both = env_vars(pid, &["NONE", "ODD"]).unwrap();
    assert_eq!(both, [None, Some("a=b c".into())]);
}

#[test]
fn where_and_how_it_runs() {
    let mut kid = Kid::new("cd /; echo ready; while :; do sleep 1000; done");
    kid.line();
    assert_eq!(cwd(kid.pid()).unwrap(), std::path::Path::new("/"));
    assert_eq!(argv(kid.pid()).unwrap()[..2], ["sh", "-c"]);
    assert!(command_line(kid.pid()).starts_with("sh -c cd /; echo ready"));
    let p = kid.process();
    assert_eq!((p.session, p.group), (p.pid, p.pid));
    assert_eq!(p.parent, std::process::id());
    assert!(!p.terminal && p.alive());
}

#[test]
fn of_a_process_that_is_gone_nothing_is_known() {
    let pid = 4_194_305;
    assert_eq!(argv(pid), None);
    assert_eq!(cwd(pid), None);
    assert_eq!(env_var(pid, "PATH"), None);
    assert_eq!(command_line(pid), "");
}

#[test]
fn a_zombie_is_not_alive_and_takes_no_signal() {
    let kid = Kid::new("exit 0");
    eventually("it is a zombie", || kid.process().zombie);
    assert!(!kid.process().alive());
    assert_eq!(signal(&kid.process(), Signal::TERM).unwrap(), Sent::Gone);
}

#[test]
fn a_signal_reaches_the_process_with_that_start_only() {
    let mut kid = Kid::new("echo ready; while :; do sleep 1000; done");
    kid.line();
    let mut other = kid.process();
    other.start -= 1;
    assert_eq!(signal(&other, Signal::KILL).unwrap(), Sent::Gone);
    assert!(lives(kid.pid()));
    assert_eq!(signal(&kid.process(), Signal::KILL).unwrap(), Sent::Yes);
    eventually("it ended", || !lives(kid.pid()));
}

#[test]
fn the_same_without_pidfds() {
    let mut kid = Kid::new("echo ready; while :; do sleep 1000; done");
    kid.line();
    let mut other = kid.process();
    other.start -= 1;
    assert_eq!(signal_by_pid(&other, Signal::KILL).unwrap(), Sent::Gone);
    assert!(lives(kid.pid()));
    assert_eq!(
        signal_by_pid(&kid.process(), Signal::KILL).unwrap(),
        Sent::Yes
    );
    eventually("it ended", || !lives(kid.pid()));
}

#[test]
fn neither_init_nor_ourselves_are_ever_signalled() {
    let mut p = look(std::process::id()).unwrap().unwrap();
    assert!(signal(&p, Signal::KILL).is_err());
    p.pid = 1;
    assert!(signal(&p, Signal::KILL).is_err());
}

#[test]
fn the_end_of_a_process_is_an_event() {
    let kid = Kid::new("while :; do sleep 1000; done");
    runtime().block_on(async {
        let watch = Watch::new(&kid.process());
        assert!(watch.works());
        signal(&kid.process(), Signal::KILL).unwrap();
        tokio::time::timeout(Duration::from_secs(30), watch.ended())
            .await
            .unwrap();
    });
    assert!(!lives(kid.pid()));
}

#[test]
fn snapshots_are_shared_and_never_older_than_asked() {
    let begun = Instant::now();
    let one = Snapshot::since(begun).unwrap();
    let kid = Kid::new("while :; do sleep 1000; done");
    let two = Snapshot::since(Instant::now()).unwrap();
    assert!(
        one.get(kid.pid())
            .is_none_or(|p| p.start != kid.process().start)
    );
    assert!(two.get(kid.pid()).is_some());
}

#[test]
fn command_lines_for_people_are_one_short_line() {
    assert_eq!(visible("a\nb\u{1b}[31m", 200), "a\\nb\\u{1b}[31m");
    assert_eq!(visible("\u{202e}x", 200), "\\u{202e}x");
    let long = visible(&"é".repeat(500), 200);
    assert_eq!(long.chars().count(), 200);
    assert!(long.ends_with('…'));
}

#[test]
fn a_boot_has_a_name() {
    let boot = boot_id().unwrap();
    assert!(boot.len() >= 8 && boot == boot_id().unwrap());
}
