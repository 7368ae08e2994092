//! Every way in which `services.json` can be bad: a clear error for verbs that change it, a note
//! for those that read it, and nothing lost.

use crate::{
    needs_root,
    sandbox::{EXE, Ran, Sandbox, free_port},
};
use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, fs::symlink, process::CommandExt},
    },
    process::{Command, Stdio},
};

/// What a registry like this makes of each kind of verb; the file stays as it is.
#[track_caller]
fn broken(sandbox: &Sandbox, said: &str) {
    let before = fs::read(sandbox.at("services.json")).ok();
    let port = free_port().to_string();
    for args in [
        vec!["add", "x", "--port", &port, "--", "serve"],
        vec!["remove", "x"],
        vec!["start"],
        vec!["stop"],
        vec!["restart"],
        vec!["start", "x"],
        vec!["is-installed"],
        vec!["logs"],
    ] {
        let ran = sandbox.run(&args).expect(1);
        assert!(
            ran.err.starts_with("error: ") || ran.err.contains("\nerror: "),
            "{args:?}: {}",
            ran.err
        );
        assert!(
            ran.err.contains("services.json") && ran.err.contains(said),
            "{args:?}: {}",
            ran.err
        );
        assert_eq!(ran.out, "", "{args:?}");
        let mut args = args;
        args.insert(0, "--json");
        let document = sandbox.run(&args).expect(1).json();
        assert!(
            document["error"]["message"]
                .as_str()
                .unwrap()
                .contains(said),
            "{args:?}: {document}"
        );
        assert!(
            document["error"]["hint"].is_string(),
            "{args:?}: {document}"
        );
    }
    let ran = sandbox.say("status").expect(0);
    assert!(
        ran.out.starts_with("note: ") && ran.out.contains(said),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("nothing is installed"), "{}", ran.out);
    let status = sandbox.say("status --json").expect(0).json();
    assert!(
        status["notes"][0].as_str().unwrap().contains(said),
        "{status}"
    );
    assert_eq!(
        fs::read(sandbox.at("services.json")).ok(),
        before,
        "it was changed"
    );
    assert!(!sandbox.at("x").exists(), "a manifest was left behind");
}

fn row(name: &str, port: u16) -> String {
    format!(r#"{{"name":"{name}","port":{port},"paths":[],"health":"/health","version":"1"}}"#)
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let status = sandbox.status();
    status["modules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn truncated_json() {
    let sandbox = Sandbox::new();
    sandbox.registry(r#"{"services": [{"name": "x", "po"#);
    broken(&sandbox, "not valid JSON");
}

#[test]
fn empty_and_blank() {
    for text in ["", " \n", "\u{feff}"] {
        let sandbox = Sandbox::new();
        sandbox.registry(text);
        broken(&sandbox, "is empty");
    }
}

#[test]
fn wrong_types() {
    for (text, said) in [
        ("[]", "not a JSON object"),
        ("7", "not a JSON object"),
        ("{}", "no `services`"),
        (r#"{"services":{}}"#, "not an array"),
        (r#"{"services":null}"#, "not an array"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.registry(text);
        broken(&sandbox, said);
    }
}

#[test]
fn not_utf8() {
    let sandbox = Sandbox::new();
    sandbox.registry(b"{\"services\": [\xff\xfe]}");
    broken(&sandbox, "not UTF-8");
    sandbox.registry(
        "{\"services\":[]}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
    );
    sandbox.say("start").expect(1);
}

#[test]
fn a_directory_or_a_fifo_in_its_place() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.at("services.json")).unwrap();
    broken(&sandbox, "is a directory");
    fs::remove_dir(sandbox.at("services.json")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(sandbox.at("services.json"))
            .status()
            .unwrap()
            .success()
    );
    // Nobody ever writes into it: reading it would wait for ever.
    assert!(
        sandbox
            .say("start")
            .expect(1)
            .err
            .contains("not a regular file")
    );
    sandbox.say("status").expect(0);
}

#[test]
fn deep_nesting_is_no_crash() {
    let sandbox = Sandbox::new();
    sandbox.registry(format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)));
    broken(&sandbox, "not valid JSON");
}

#[test]
fn a_missing_file_is_an_empty_registry() {
    let sandbox = Sandbox::new();
    sandbox.say("status").expect(0);
    sandbox.say("start").expect(3);
    sandbox.say("stop").expect(0);
}

#[test]
fn bad_rows_are_left_out_by_readers_and_refused_by_writers() {
    let good = free_port();
    for (field, bad) in [
        (
            "name",
            r#"{"port":1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "name",
            r#"{"name":"","port":1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "name",
            r#"{"name":"a/b","port":1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "name",
            r#"{"name":"..","port":1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "name",
            r#"{"name":"hub","port":1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "name",
            r#"{"name":"a\u0000b","port":1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "port",
            r#"{"name":"b","port":0,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "port",
            r#"{"name":"b","port":65536,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "port",
            r#"{"name":"b","port":-1,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "port",
            r#"{"name":"b","port":1.5,"paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "port",
            r#"{"name":"b","port":"1","paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "port",
            r#"{"name":"b","paths":[],"health":"/","version":"1"}"#,
        ),
        (
            "paths",
            r#"{"name":"b","port":1,"paths":"/","health":"/","version":"1"}"#,
        ),
        (
            "paths",
            r#"{"name":"b","port":1,"paths":[1],"health":"/","version":"1"}"#,
        ),
        (
            "health",
            r#"{"name":"b","port":1,"paths":[],"health":"health","version":"1"}"#,
        ),
        (
            "health",
            r#"{"name":"b","port":1,"paths":[],"version":"1"}"#,
        ),
        (
            "version",
            r#"{"name":"b","port":1,"paths":[],"health":"/"}"#,
        ),
        (
            "installDir",
            r#"{"name":"b","port":1,"paths":[],"health":"/","version":"1","installDir":"relative"}"#,
        ),
        (
            "installDir",
            r#"{"name":"b","port":1,"paths":[],"health":"/","version":"1","installDir":""}"#,
        ),
        (
            "publicExposure",
            r#"{"name":"b","port":1,"paths":[],"health":"/","version":"1","publicExposure":"yes"}"#,
        ),
        (
            "stripPrefix",
            r#"{"name":"b","port":1,"paths":[],"health":"/","version":"1","stripPrefix":"yes"}"#,
        ),
        (
            "uis",
            r#"{"name":"b","port":1,"paths":[],"health":"/","version":"1","uis":[]}"#,
        ),
    ] {
        let sandbox = Sandbox::new();
        let text = format!(r#"{{"services":[{},{bad}]}}"#, row("good", good));
        sandbox.registry(&text);
        let status = sandbox.status();
        assert_eq!(names(&sandbox), ["good"], "{bad}");
        let note = status["notes"][0].as_str().unwrap();
        assert!(
            note.contains("row 2") && note.contains(&format!("`{field}`")),
            "{bad}: {note}"
        );
        let ran = sandbox
            .run(["add", "x", "--port", &free_port().to_string()])
            .expect(1);
        assert!(
            ran.err.contains("row 2") && ran.err.contains(&format!("`{field}`")),
            "{bad}: {}",
            ran.err
        );
        assert_eq!(sandbox.text("services.json"), text);
    }
}

/// A module that runs is not stopped for a removal that cannot be.
#[test]
fn nothing_is_stopped_for_a_removal_that_is_refused() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("good", &[]);
    sandbox.say("start good").expect(0);
    let bad = format!(r#"{{"name":"bad","port":{},"paths":[]}}"#, free_port());
    let text = sandbox
        .text("services.json")
        .replacen("[\n", &format!("[\n{bad},\n"), 1);
    sandbox.registry(&text);
    for name in ["good", "bad", "nobody"] {
        for dry in [&[][..], &["--dry-run"]] {
            let mut args = vec!["remove", name];
            args.extend(dry);
            let ran = sandbox.run(&args).expect(1);
            assert!(
                ran.err.contains("services.json")
                    && ran.err.contains("row 1")
                    && ran.err.contains("`health`"),
                "{args:?}: {}",
                ran.err
            );
            args.insert(0, "--json");
            let document = sandbox.run(&args).expect(1).json();
            assert_eq!(document["error"]["code"], "registry_broken", "{args:?}");
        }
    }
    assert!(crate::sandbox::listens(port), "it was stopped");
    assert_eq!(sandbox.text("services.json"), text);
}

/// JavaScript writes half a character where it cuts a text inside an emoji, and reads it back.
#[test]
fn half_a_character_in_a_row_or_a_manifest_takes_nobody_down() {
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    let cut = r#""displayName": "cut \ud83d","#;
    let text =
        sandbox
            .text("services.json")
            .replacen("\"port\"", &format!("{cut}\n      \"port\""), 1);
    sandbox.registry(&text);
    let manifest = sandbox.text("x/.parachute/module.json");
    let manifest = manifest.replacen('{', r#"{"tagline": "\uD83D","#, 1);
    sandbox.file("x/.parachute/module.json", manifest);
    assert_eq!(names(&sandbox), ["x"]);
    assert_eq!(sandbox.status()["notes"].as_array().unwrap().len(), 0);
    for line in ["start", "restart x"] {
        sandbox.say(line).expect(0);
        assert!(crate::sandbox::listens(port), "{line}");
    }
    let other = free_port().to_string();
    sandbox.run(["add", "y", "--port", &other]).expect(0);
    let after = sandbox.text("services.json");
    assert!(after.contains(cut), "{after}");
    sandbox.say("remove y").expect(0);
    assert_eq!(sandbox.text("services.json"), text);
    sandbox.say("stop").expect(0);
}

#[test]
fn verbs_for_the_good_rows_say_it_and_work() {
    let sandbox = Sandbox::new();
    sandbox.module("good", &[]);
    let text = sandbox.text("services.json").replacen("[\n", "[\n7,\n", 1);
    sandbox.registry(&text);
    for line in ["start", "restart good", "stop good"] {
        let ran = sandbox.say(line).expect(0);
        assert!(ran.err.contains("row 1"), "{line}: {}", ran.err);
    }
    assert_eq!(sandbox.text("services.json"), text);
}

#[test]
fn duplicate_ports_and_names() {
    let sandbox = Sandbox::new();
    let (one, two) = (free_port(), free_port());
    sandbox.registry(format!(
        r#"{{"services":[{},{},{},{}]}}"#,
        row("a", one),
        row("b", one),
        row("a", two),
        row("c", two)
    ));
    assert_eq!(names(&sandbox), ["a", "c"]);
    let notes = sandbox.status()["notes"].to_string();
    assert!(
        notes.contains("row 2") && notes.contains("row 3"),
        "{notes}"
    );
    let ran = sandbox
        .run(["add", "x", "--port", &free_port().to_string()])
        .expect(1);
    assert!(
        ran.err.contains("row 2") && ran.err.contains("`port`"),
        "{}",
        ran.err
    );
    // `vault` and `parachute-vault` are one name.
    sandbox.registry(format!(
        r#"{{"services":[{},{}]}}"#,
        row("parachute-vault", one),
        row("vault", two)
    ));
    assert_eq!(names(&sandbox), ["vault"]);
}

#[test]
fn ten_megabytes() {
    let sandbox = Sandbox::new();
    let padding = "x".repeat(10 << 20);
    let port = free_port();
    sandbox.registry(format!(
        r#"{{"theirs":"{padding}","services":[{}]}}"#,
        row("a", port)
    ));
    assert_eq!(names(&sandbox), ["a"]);
    sandbox
        .run([
            "add",
            "b",
            "--port",
            &free_port().to_string(),
            "--",
            EXE,
            "__module",
        ])
        .expect(0);
    assert_eq!(
        sandbox.registry_json()["theirs"].as_str().unwrap().len(),
        10 << 20
    );
    assert_eq!(names(&sandbox), ["a", "b"]);
}

#[test]
fn a_byte_order_mark_and_crlf_are_read() {
    let sandbox = Sandbox::new();
    let port = free_port();
    sandbox.registry(format!(
        "\u{feff}{{\r\n  \"services\": [\r\n{}\r\n]\r\n}}\r\n",
        row("a", port)
    ));
    assert_eq!(names(&sandbox), ["a"]);
    assert_eq!(sandbox.status()["notes"].as_array().unwrap().len(), 0);
    sandbox
        .run([
            "add",
            "b",
            "--port",
            &free_port().to_string(),
            "--",
            "serve",
        ])
        .expect(0);
    assert_eq!(names(&sandbox), ["a", "b"]);
    assert_eq!(sandbox.registry_json()["services"][0]["port"], port);
}

#[test]
fn a_link_to_elsewhere_is_followed_and_stays_a_link() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.home()).unwrap();
    let real = sandbox.user_dir().join("real.json");
    fs::write(
        &real,
        format!(r#"{{"services":[{}]}}"#, row("a", free_port())),
    )
    .unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, sandbox.at("services.json")).unwrap();
    sandbox
        .run([
            "add",
            "b",
            "--port",
            &free_port().to_string(),
            "--",
            "serve",
        ])
        .expect(0);
    assert_eq!(names(&sandbox), ["a", "b"]);
    assert!(sandbox.at("services.json").is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("\"b\""));
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn a_dangling_link_is_an_error_and_not_an_empty_registry() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.home()).unwrap();
    let nowhere = sandbox.user_dir().join("nowhere.json");
    symlink(&nowhere, sandbox.at("services.json")).unwrap();
    broken(&sandbox, "leads nowhere");
    assert!(!nowhere.exists());
    fs::remove_file(sandbox.at("services.json")).unwrap();
    symlink("services.json", sandbox.at("services.json")).unwrap();
    broken(&sandbox, "leads nowhere");
}

#[test]
fn unreadable_for_who_is_not_root() {
    needs_root!();
    let sandbox = Sandbox::new();
    sandbox.registry(r#"{"services":[]}"#);
    fs::set_permissions(
        sandbox.at("services.json"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    for path in [
        sandbox.user_dir().to_owned(),
        sandbox.home(),
        sandbox.at("services.json"),
    ] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
    let exe = fs::File::open(EXE).unwrap();
    let run = |args: &[&str]| -> Ran {
        let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
        command
            .args(args)
            .env_clear()
            .env("HOME", sandbox.user_dir())
            .env("PARACHUTE_MANAGER", "none");
        command
            .env("PATH", "/usr/bin:/bin")
            .uid(65534)
            .gid(65534)
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into()
    };
    let port = free_port().to_string();
    for args in [
        vec!["start"],
        vec!["stop"],
        vec!["add", "x", "--port", &port, "--", "serve"],
        vec!["remove", "x"],
    ] {
        let ran = run(&args).expect(4);
        assert!(
            ran.err.contains("services.json") && ran.err.contains("permission denied"),
            "{args:?}: {}",
            ran.err
        );
    }
    let ran = run(&["status"]).expect(0);
    assert!(ran.out.contains("permission denied"), "{}", ran.out);
    assert_eq!(
        fs::read(sandbox.at("services.json")).unwrap(),
        br#"{"services":[]}"#
    );
}

/// Runs a script with the home on a small file system of its own, in a private mount namespace.
fn mounted(sandbox: &Sandbox, options: &str, script: &str) -> Ran {
    fs::create_dir_all(sandbox.home()).unwrap();
    let home = sandbox.home();
    let whole = format!(
        "mount -t tmpfs -o {options} none {0} && cd /\n{script}",
        home.display()
    );
    let mut command = Command::new("unshare");
    command
        .args(["-m", "--propagation", "private", "sh", "-c", &whole])
        .env_clear()
        .stdin(Stdio::null());
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", sandbox.user_dir());
    command
        .env("PARACHUTE_MANAGER", "none")
        .env("H", &home)
        .env("P", EXE)
        .output()
        .unwrap()
        .into()
}

#[test]
fn on_a_read_only_file_system() {
    needs_root!();
    let sandbox = Sandbox::new();
    let port = free_port();
    // One whose log is not open for writing there: the kernel makes nothing read-only under a writer.
    let module = sandbox.script(
        "module",
        &format!("#!/bin/sh\nexec >/dev/null 2>&1\nexec {EXE} __module\n"),
    );
    let ran = mounted(
        &sandbox,
        "size=4m",
        &format!(
            "$P add x --port {port} --start -- {module} >/dev/null 2>&1 || echo not added\n\
             $P add never --port {} -- serve >/dev/null 2>&1 || echo not added\n\
             $P add ended --port {} --start -- {module} >/dev/null 2>&1 || echo not added\n\
             $P stop ended >/dev/null 2>&1 || echo not stopped\n\
             sum=$(md5sum < $H/services.json)\n\
             mount -o remount,ro $H\n\
             $P add y --port {} -- serve 2>$H.err; echo add $?; cat $H.err\n\
             $P remove x 2>$H.err; echo remove $?; cat $H.err\n\
             $P status > $H.out; echo status $?; grep -c active $H.out\n\
             $P stop 2>$H.err; echo stop $?; cat $H.err\n\
             $P stop 2>$H.err; echo stopped $?; cat $H.err\n\
             $P start 2>$H.err; echo start $?; cat $H.err\n\
             test \"$sum\" = \"$(md5sum < $H/services.json)\" && echo untouched\n",
            free_port(),
            free_port(),
            free_port()
        ),
    );
    let ran = ran.expect(0);
    assert!(
        !ran.out.contains("not added") && !ran.out.contains("not stopped"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("add 1\nerror: cannot") && ran.out.contains("read-only file system"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("remove 1\n"), "{}", ran.out);
    assert!(ran.out.contains("stop 0\n"), "{}", ran.out);
    for short in ["never", "ended"] {
        let warned = format!("{short} is stopped, but that could not be recorded");
        assert!(!ran.out.contains(&warned), "{}", ran.out);
    }
    assert!(ran.out.contains("stopped 0\n"), "{}", ran.out);
    assert!(ran.out.contains("start 1\n"), "{}", ran.out);
    assert!(ran.out.ends_with("untouched\n"), "{}", ran.out);
    assert!(
        !crate::sandbox::listens(port),
        "what cannot be written down can be stopped all the same"
    );
}

/// The registry's own folder cannot be written, the rest of the home can.
#[test]
fn a_command_goes_with_its_row_or_not_at_all() {
    needs_root!();
    let sandbox = Sandbox::new();
    let ran = mounted(
        &sandbox,
        "size=4m",
        &format!(
            "$P add x --port {0} -- old >/dev/null 2>&1 || echo not added\n\
             mkdir $H/elsewhere; mv $H/services.json $H/elsewhere\n\
             ln -s elsewhere/services.json $H/services.json\n\
             mount --bind $H/elsewhere $H/elsewhere\n\
             mount -o remount,bind,ro $H/elsewhere\n\
             $P add x --port {0} --replace -- new 2>&1; echo replace $?\n\
             grep -c '\"old\"' $H/x/.parachute/module.json\n\
             $P add y --port {1} -- serve 2>&1; echo add $?\n\
             test -e $H/y && echo half\ntrue\n",
            free_port(),
            free_port()
        ),
    );
    let ran = ran.expect(0);
    assert!(!ran.out.contains("not added"), "{ran:?}");
    assert!(ran.out.contains("replace 1\n1\n"), "{}", ran.out);
    assert!(ran.out.contains("add 1\n"), "{}", ran.out);
    assert!(!ran.out.contains("half"), "{}", ran.out);
}

#[test]
fn on_a_full_disk() {
    needs_root!();
    let sandbox = Sandbox::new();
    let port = free_port();
    let ran = mounted(
        &sandbox,
        "size=256k",
        &format!(
            "$P add x --port {port} -- $P __module >/dev/null || echo not added\n\
             $P start >/dev/null 2>&1 || echo not started\n\
             sum=$(md5sum < $H/services.json)\n\
             dd if=/dev/zero of=$H/ballast bs=1k 2>/dev/null\n\
             $P add y --port {} -- serve 2>$H.err; echo add $?; cat $H.err\n\
             test -e $H/y && echo half\n\
             $P status >/dev/null; echo status $?\n\
             $P restart 2>$H.err >/dev/null; echo restart $?; cat $H.err\n\
             $P stop 2>$H.err >/dev/null; echo stop $?; cat $H.err\n\
             test \"$sum\" = \"$(md5sum < $H/services.json)\" && echo untouched\n\
             ls $H/.*tmp* $H/*/*/.*tmp* 2>/dev/null && echo litter\ntrue\n",
            free_port()
        ),
    );
    let ran = ran.expect(0);
    assert!(
        !ran.out.contains("not added") && !ran.out.contains("not started"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("add 1\n") && ran.out.to_lowercase().contains("no space left")
            || ran.out.contains("disk is full"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains("half") && !ran.out.contains("litter"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("status 0\n"), "{}", ran.out);
    assert!(ran.out.contains("stop 0\n"), "{}", ran.out);
    assert!(ran.out.contains("untouched\n"), "{}", ran.out);
    assert!(
        !crate::sandbox::listens(port),
        "a module without a record was left running: {}",
        ran.out
    );
}
