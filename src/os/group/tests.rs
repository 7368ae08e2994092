use super::*;
use crate::os::kid::{Kid, eventually, lives, runtime};
use rustix::process::geteuid;
use std::{
    path::Path,
    time::{Duration, Instant},
};

const LOOP: &str = "echo ready; while :; do sleep 1000; done";
const LONG: Duration = Duration::from_secs(60);

fn claim() -> Claim {
    Claim {
        owner: geteuid().as_raw(),
        ..Claim::default()
    }
}

fn proof(record: &Record) -> Proof {
    prove(record, &claim(), &Snapshot::take().unwrap())
}

fn alive_pids(proof: &Proof) -> Vec<u32> {
    match proof {
        Proof::Alive(group) => group.members.iter().map(|m| m.pid).collect(),
        other => panic!("not alive: {other:?}"),
    }
}

fn group(record: &Record) -> Group {
    match proof(record) {
        Proof::Alive(group) => group,
        other => panic!("not alive: {other:?}"),
    }
}

fn bare(pid: u32) -> Record {
    Record {
        pid,
        start: None,
        boot: None,
        spawn: None,
    }
}

#[test]
fn a_record_that_agrees_is_alive_with_all_its_session() {
    let mut kid = Kid::new("sleep 1000 & echo $!; env -i /bin/sleep 1000 & echo $!; wait");
    let (one, two) = (kid.number(), kid.number());
    let pids = alive_pids(&proof(&kid.record()));
    assert!(
        [kid.pid(), one, two].iter().all(|pid| pids.contains(pid)),
        "{pids:?}"
    );
    assert_eq!(pids.len(), 3);
}

#[test]
fn a_reused_pid_is_gone() {
    let mut stranger = Kid::new(LOOP);
    stranger.line();
    let mut record = stranger.record();
    record.spawn = Some("of-another".into());
    record.start = record.start.map(|start| start - 1);
    assert!(matches!(proof(&record), Proof::Gone));
    let mut record = stranger.record();
    record.spawn = Some("of-another".into());
    record.boot = Some("of-another".into());
    assert!(matches!(proof(&record), Proof::Gone));
    assert!(lives(stranger.pid()));
}

#[test]
fn members_outlive_their_leader() {
    let mut kid = Kid::new("sleep 1000 & echo $!; exit 0");
    let record = kid.record();
    let member = kid.number();
    eventually("the leader ended", || !lives(kid.pid()));
    assert_eq!(alive_pids(&proof(&record)), [member]);
    let _ = kid.child.wait();
    assert_eq!(alive_pids(&proof(&record)), [member], "reaped as well");
    let mut other = record.clone();
    other.spawn = Some("of-another".into());
    assert!(matches!(proof(&other), Proof::Gone));
    let ended = runtime().block_on(stop(group(&record), LONG)).unwrap();
    assert_eq!(ended, Ended::Terminated);
    assert!(!lives(member));
    assert!(matches!(proof(&record), Proof::Gone));
}

#[test]
fn zombies_are_not_alive() {
    let kid = Kid::new("exit 0");
    let record = kid.record();
    eventually("it is a zombie", || kid.process().zombie);
    assert!(matches!(proof(&record), Proof::Gone));
    assert!(matches!(proof(&bare(kid.pid())), Proof::Gone));
}

#[test]
fn another_owner_is_never_a_member() {
    let mut kid = Kid::new(LOOP);
    kid.line();
    let now = Snapshot::take().unwrap();
    let claim = Claim {
        owner: geteuid().as_raw() + 1,
        ..Claim::default()
    };
    for record in [kid.record(), bare(kid.pid())] {
        let proof = prove(&record, &claim, &now);
        assert!(
            matches!(&proof, Proof::Unprovable { pid, .. } if *pid == kid.pid()),
            "{proof:?}"
        );
    }
    assert!(members(kid.pid(), Some(&kid.spawn), claim.owner, &now).is_empty());
    let home = Some("/".into());
    assert!(!is_ours(&kid.process(), &Claim { home, ..claim }));
}

#[test]
fn a_bare_pid_is_ours_with_a_spawn_id_for_this_home_and_port() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let script = "sleep 1000 & echo $!; wait";
    let mut kid = Kid::with(script, &[("PARACHUTE_HOME", place), ("PORT", "1944")]);
    let member = kid.number();
    let now = Snapshot::take().unwrap();
    let proof = |home: Option<&Path>, port| {
        let claim = Claim {
            home: home.map(Into::into),
            port,
            ..claim()
        };
        prove(&bare(kid.pid()), &claim, &now)
    };
    let pids = alive_pids(&proof(Some(dir.path()), Some(1944)));
    assert_eq!(pids.len(), 2);
    assert!(pids.contains(&member));
    for (home, port) in [
        (Some(dir.path()), Some(1945)),
        (Some(Path::new("/tmp")), Some(1944)),
        (None, Some(1944)),
    ] {
        let proof = proof(home, port);
        assert!(
            matches!(proof, Proof::Unprovable { .. }),
            "{home:?} {port:?}: {proof:?}"
        );
    }
}

#[test]
fn a_bare_pid_is_ours_by_its_command_else_left_alone() {
    let mut kid = Kid::with(
        "unset PARACHUTE_SPAWN_ID; echo go; exec env -i sleep 987654",
        &[],
    );
    kid.line();
    eventually("it runs", || {
        process::argv(kid.pid()).is_some_and(|argv| argv.len() == 2)
    });
    let record = bare(kid.pid());
    let unsaid = proof(&record);
    assert!(matches!(&unsaid, Proof::Unprovable { .. }), "{unsaid:?}");
    let mut claim = claim();
    claim.argv = Some(vec!["sleep".into(), "1".into()]);
    let now = Snapshot::take().unwrap();
    assert!(matches!(
        prove(&record, &claim, &now),
        Proof::Unprovable { .. }
    ));
    claim.argv = Some(vec!["sleep".into(), "987654".into()]);
    assert!(matches!(prove(&record, &claim, &now), Proof::Alive(_)));
    assert!(matches!(proof(&bare(4_194_305)), Proof::Gone));
}

#[test]
fn what_ignores_sigterm_is_killed() {
    let mut kid = Kid::new("trap '' TERM; echo ready; while :; do sleep 1000; done");
    kid.line();
    let record = kid.record();
    let ended = runtime().block_on(stop(group(&record), Duration::from_millis(100)));
    assert_eq!(ended.unwrap(), Ended::Killed);
    assert!(matches!(proof(&record), Proof::Gone));
}

#[test]
fn a_stop_ends_with_the_last_member_not_with_the_grace() {
    let mut kid = Kid::new(LOOP);
    kid.line();
    let begun = Instant::now();
    let ended = runtime()
        .block_on(stop(group(&kid.record()), LONG))
        .unwrap();
    assert_eq!(ended, Ended::Terminated);
    assert!(begun.elapsed() < LONG);
}

#[test]
fn a_stopped_process_is_woken_to_end() {
    let mut kid = Kid::new(LOOP);
    kid.line();
    process::signal(&kid.process(), rustix::process::Signal::STOP).unwrap();
    let ended = runtime()
        .block_on(stop(group(&kid.record()), LONG))
        .unwrap();
    assert_eq!(ended, Ended::Terminated);
}

#[test]
fn what_is_forked_during_a_stop_is_found() {
    let mut kid = Kid::new(
        "trap 'sleep 1000 & echo $!; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
    );
    kid.line();
    let record = kid.record();
    let ended = runtime().block_on(stop(group(&record), LONG)).unwrap();
    // The shell tells of its killed `sleep` too.
    let mut said = std::iter::repeat_with(|| kid.line()).take(9);
    let late: u32 = said.find_map(|line| line.parse().ok()).unwrap();
    assert_eq!(ended, Ended::Terminated);
    assert!(!lives(late));
    assert!(matches!(proof(&record), Proof::Gone));
}

#[test]
fn killing_is_at_once() {
    let mut kid = Kid::new("trap '' TERM; sleep 1000 & echo ready; wait; sleep 1000");
    kid.line();
    let record = kid.record();
    let ended = runtime().block_on(kill(group(&record))).unwrap();
    assert_eq!(ended, Ended::Killed);
    assert!(matches!(proof(&record), Proof::Gone));
}

#[test]
fn a_stranger_that_got_the_pid_meanwhile_is_not_signalled() {
    let mut stranger = Kid::new(LOOP);
    stranger.line();
    let mut stale = group(&stranger.record());
    for member in &mut stale.members {
        member.start -= 1;
    }
    stale.spawn = Some("of-another".into());
    let ended = runtime().block_on(stop(stale, LONG)).unwrap();
    assert_eq!(ended, Ended::Terminated, "nothing of it lives");
    assert!(lives(stranger.pid()));
}

#[test]
fn many_groups_end_side_by_side() {
    let mut kids: Vec<Kid> = (0..20).map(|_| Kid::new(LOOP)).collect();
    for kid in &mut kids {
        kid.line();
    }
    let groups: Vec<Group> = kids.iter().map(|kid| group(&kid.record())).collect();
    runtime().block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for group in groups {
            all.spawn(stop(group, LONG));
        }
        while let Some(ended) = all.join_next().await {
            assert_eq!(ended.unwrap().unwrap(), Ended::Terminated);
        }
    });
}

#[test]
fn what_has_left_the_session_is_found_by_the_spawn_id_alone() {
    let mut kid = Kid::new("setsid sh -c 'sleep 1000 & echo $$ $!; wait' & sleep 1000");
    let line = kid.line();
    let (left, child) = line.split_once(' ').unwrap();
    let mut expected: Vec<u32> = vec![left.parse().unwrap(), child.parse().unwrap()];
    let owner = geteuid().as_raw();
    let (record, now) = (kid.record(), Snapshot::take().unwrap());
    let mut other = record.clone();
    other.spawn = Some("of-another".into());
    assert!(strays(&[other], &[], owner, &now).is_empty());
    assert!(strays(std::slice::from_ref(&record), &[], owner + 1, &now).is_empty());
    let mut found = strays(&[record], &[], owner, &now);
    assert_eq!(found.len(), 1);
    let group = found.remove(0);
    let mut pids: Vec<u32> = group.members.iter().map(|m| m.pid).collect();
    pids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(pids, expected);
    runtime().block_on(kill(group)).unwrap();
    assert!(lives(kid.pid()) && !expected.iter().any(|pid| lives(*pid)));
}
