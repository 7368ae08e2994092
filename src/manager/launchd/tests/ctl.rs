//! launchctl missing, hanging, killed, chatty, silent.

use super::super::ctl::{Answer, Ctl, OUTPUT_LIMIT, within};
use crate::error::{Code, Result};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// A launchctl of these shell lines, alone on PATH.
fn stub(lines: &str) -> (tempfile::TempDir, Ctl) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("launchctl");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let ctl = Ctl::new(dir.path().as_os_str(), Vec::new());
    (dir, ctl)
}

async fn run(lines: &str) -> Result<Answer> {
    let (_dir, ctl) = stub(lines);
    // Another test's fork may hold the script open for writing for a moment (ETXTBSY).
    for _ in 0..50 {
        match ctl
            .run(&["print", "x"], within(Duration::from_secs(30)))
            .await
        {
            Err(error) if error.message.contains("busy") => tokio::task::yield_now().await,
            other => return other,
        }
    }
    panic!("the script stays busy")
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn streams_and_code_come_apart() {
    let answer = block(run("echo out; echo err >&2; exit 113")).unwrap();
    assert_eq!(
        answer,
        Answer {
            exit: Some(113),
            out: "out\n".into(),
            err: "err\n".into(),
            cut: false
        }
    );
    assert_eq!(answer.said(), "err");
}

#[test]
fn it_runs_in_the_c_locale_without_input() {
    let answer = block(run("echo $LANG $LC_ALL; cat")).unwrap();
    assert_eq!(answer.out, "C C\n");
}

#[test]
fn a_missing_one_is_said() {
    let ctl = Ctl::new("/nonexistent".as_ref(), Vec::new());
    let error = block(ctl.run(&["print"], within(Duration::from_secs(5)))).unwrap_err();
    // On a Mac it is where it always is.
    if !Path::new("/bin/launchctl").exists() {
        assert_eq!(error.code, Code::ManagerUnreachable);
        assert!(error.hint.is_some());
    }
}

#[test]
fn a_hanging_one_is_left_at_the_deadline() {
    let (_dir, ctl) = stub("exec sleep 600");
    let error =
        block(ctl.run(&["print", "gui/501/x"], within(Duration::from_millis(300)))).unwrap_err();
    assert_eq!(error.code, Code::ManagerUnreachable);
    assert!(
        error.message.contains("does not answer") || error.message.contains("busy"),
        "{error}"
    );
}

#[test]
fn a_killed_one_is_unreachable() {
    let error = block(run("kill -9 $$")).unwrap_err();
    assert_eq!(error.code, Code::ManagerUnreachable);
    assert!(error.message.contains("signal 9"), "{error}");
}

#[test]
fn ten_megabytes_are_cut() {
    let answer = block(run("exec head -c 10000000 /dev/zero")).unwrap();
    assert!(answer.cut && answer.out.len() == OUTPUT_LIMIT);
}

#[test]
fn silence_and_255_are_answers() {
    let answer = block(run("exit 255")).unwrap();
    assert_eq!((answer.exit, answer.out.as_str()), (Some(255), ""));
    assert_eq!(answer.said(), "nothing, exit 255");
}
