//! Whose process is it: what of an earlier life is stopped, and who is taken for one and must not be.

use crate::sandbox::{EXE, Guarded, Ran, Sandbox, alive, free_port, listens, until, until_true};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

/// A process in a session of its own, in no module's folder, with no mark of any box.
fn stranger(command: &[&str], port: u16) -> Guarded {
    stranger_in(Path::new("/"), command, port)
}

fn stranger_in(folder: &Path, command: &[&str], port: u16) -> Guarded {
    let mut stranger = Command::new("setsid");
    stranger
        .args(command)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let stranger = Guarded(stranger.spawn().unwrap());
    until_true("the stranger's port", || listens(port));
    stranger
}

/// What holds the port and stands in the module's folder is cleared out of the way of a start; for a
/// stop that is no proof.
#[test]
fn a_folder_is_a_clue_for_a_start_and_none_for_a_stop() {
    let sandbox = Sandbox::new();
    let folder = sandbox.user_dir().join("modules/web");
    fs::create_dir_all(&folder).unwrap();
    let port = free_port();
    add(&sandbox, "web", port, &["--dir", folder.to_str().unwrap()]).expect(0);
    let said = port.to_string();
    let server = ["python3", "-m", "http.server", &said, "--bind", "127.0.0.1"];
    let mut stranger = stranger_in(&folder, &server, port);
    for line in ["stop web", "stop"] {
        let ran = sandbox.say(line).expect(0);
        assert!(ran.err.contains("still held"), "{ran:?}");
        assert!(alive(stranger.0.id()));
    }
    sandbox.say("start web").expect(0);
    until("the stranger's end", || stranger.0.try_wait().unwrap());
    sandbox.say("stop web").expect(0);
}

/// A program of that name in a folder of the user's.
fn program(sandbox: &Sandbox, path: &str) -> String {
    let file = sandbox.user_dir().join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    symlink(EXE, &file).unwrap();
    file.to_str().unwrap().to_owned()
}

fn add(sandbox: &Sandbox, name: &str, port: u16, more: &[&str]) -> Ran {
    let port = port.to_string();
    let mut args = vec!["add", name, "--force", "--port", &port];
    args.extend(more);
    args.extend(["--", EXE, "__module"]);
    sandbox.run(args)
}

/// The code and message of the one module that a verb failed for.
fn failed(sandbox: &Sandbox, line: &str) -> (String, String) {
    let document = sandbox.say(&format!("{line} --json")).expect(1).json();
    let error = &document["changes"][0]["error"];
    let text = |field: &str| error[field].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

#[test]
fn a_module_that_runs_is_nobody_elses_orphan() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("a", &[]);
    sandbox.say("start a").expect(0);
    let pid = sandbox.pid("a");
    add(&sandbox, "a", free_port(), &["--replace"]).expect(0);
    add(&sandbox, "b", port, &[]).expect(0);
    let ran = sandbox.say("stop b").expect(0);
    assert!(
        ran.out.contains("already stopped") && ran.err.contains("module a"),
        "{ran:?}"
    );
    for line in ["start b", "restart b"] {
        let (code, message) = failed(&sandbox, line);
        assert_eq!(code, "port_squatter");
        assert!(
            message.contains("module a") && message.contains(&pid.to_string()),
            "{message}"
        );
    }
    let ran = sandbox.say("start b --dry-run").expect(1);
    assert!(ran.out.contains("module a"), "{ran:?}");
    assert!(alive(pid) && listens(port), "a was taken for b's");
    sandbox.say("stop a").expect(0);
    assert!(!alive(pid));
    sandbox.say("start b").expect(0);
}

#[test]
fn a_strangers_program_of_the_same_name_is_not_the_modules() {
    let sandbox = Sandbox::new();
    let (mine, other) = (
        program(&sandbox, "bin/server"),
        program(&sandbox, "other/server"),
    );
    let port = sandbox.add("s", &[&mine, "__module"]);
    let theirs = stranger(&[&other, "__module"], port);
    let ran = sandbox.say("stop s").expect(0);
    assert!(ran.err.contains("not ours to stop"), "{ran:?}");
    assert_eq!(failed(&sandbox, "start s").0, "port_squatter");
    assert!(alive(theirs.0.id()), "the stranger was signalled");
    drop(theirs);
    // The very same program without a record is what an earlier life left behind.
    let orphan = stranger(&[&mine, "__module"], port);
    let ran = sandbox.say("start s").expect(0);
    assert!(ran.err.contains("earlier life"), "{ran:?}");
    assert_ne!(sandbox.pid("s"), orphan.0.id());
}

#[test]
fn a_bare_pid_of_another_script_of_the_same_name_is_left_alone() {
    let sandbox = Sandbox::new();
    let text = format!("#!/bin/sh\n{EXE} __module\n");
    let scripts = ["mine", "other"].map(|folder| {
        fs::create_dir(sandbox.user_dir().join(folder)).unwrap();
        sandbox.script(&format!("{folder}/serve"), &text)
    });
    sandbox.add("s", &[&scripts[0]]);
    let elsewhere = free_port();
    let other = stranger(&["sh", &scripts[1]], elsewhere);
    sandbox.file("s/run/s.pid", other.0.id().to_string());
    let ran = sandbox.say("stop s").expect(0);
    assert!(ran.err.contains("left alone"), "{ran:?}");
    assert!(alive(other.0.id()), "the stranger was signalled");
    // One of its own script is the module's, as the contract has it.
    let port = free_port();
    let own = stranger(&["sh", &scripts[0]], port);
    sandbox.file("s/run/s.pid", own.0.id().to_string());
    let ran = sandbox.say("stop s").expect(0);
    assert!(ran.out.contains("✓ s  stopped"), "{ran:?}");
    assert!(!listens(port));
    let mut kill = Command::new("kill");
    kill.args(["--", &format!("-{}", other.0.id())]);
    kill.status().unwrap();
}

#[test]
fn a_bare_pid_of_another_module_proves_nothing() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    sandbox.module("a", &[]);
    sandbox.add("b", &["/bin/sleep", "1000"]);
    other.add("b", &["/bin/sleep", "1000"]);
    sandbox.say("start a").expect(0);
    let pid = sandbox.pid("a");
    for of in [&sandbox, &other] {
        of.file("b/run/b.pid", pid.to_string());
        assert_eq!(of.row("b")["state"], "inactive");
        let ran = of.say("stop b").expect(0);
        assert!(ran.err.contains("left alone"), "{ran:?}");
        assert!(alive(pid), "a was taken for b");
    }
}

#[test]
fn what_left_the_group_with_the_port_goes_with_it() {
    let sandbox = Sandbox::new();
    let script = sandbox.script(
        "server",
        &format!("#!/bin/sh\nsetsid {EXE} __module &\nwait\n"),
    );
    let port = sandbox.add("x", &[&script]);
    assert_eq!(failed(&sandbox, "start x").0, "port_squatter");
    until_true("the port", || listens(port));
    let ran = sandbox.say("stop x").expect(0);
    assert!(
        ran.out.contains("✓ x  stopped") && !ran.err.contains("not ours"),
        "{ran:?}"
    );
    assert!(!listens(port));
}

#[test]
fn a_caller_that_the_module_has_started_is_not_stopped() {
    let sandbox = Sandbox::new();
    let place = |name: &str| sandbox.user_dir().join(name);
    let (go, done) = (place("go"), place("done"));
    let caller = sandbox.script(
        "caller",
        &format!(
            "#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.02; done\n{EXE} start x; echo $? > {1}.part; mv {1}.part {1}\nsleep 600\n",
            go.display(),
            done.display()
        ),
    );
    let script = sandbox.script(
        "server",
        &format!(
            "#!/bin/sh\n[ -e {} ] || setsid -f {caller}\nexec {EXE} __module\n",
            go.display()
        ),
    );
    sandbox.add("x", &[&script]);
    sandbox.say("start x").expect(0);
    let before = sandbox.pid("x");
    fs::remove_file(sandbox.at("x/run/x.pid")).unwrap();
    fs::write(&go, "").unwrap();
    until_true("the caller's word", || Path::new(&done).exists());
    assert_eq!(fs::read_to_string(&done).unwrap(), "0\n");
    assert!(!alive(before));
    assert_eq!(sandbox.row("x")["state"], "active");
}
