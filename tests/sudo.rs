//! Root on somebody else's home: everything is done as its owner, no link leads out of it, and
//! homes that cannot be worked in are told as such.

mod serving;

use crate::{
    needs_root,
    sandbox::{EXE, Guarded, Ran, Sandbox, alive, free_port, listens, until_true},
};
use serde_json::Value;
use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown, symlink},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// `nobody`, on every machine.
const NOBODY: u32 = 65534;

/// Gives a whole tree to somebody; links themselves, not what they point to.
fn give(path: &Path, uid: u32) {
    let status = Command::new("chown")
        .args(["-hR", &format!("{uid}:{uid}")])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

/// A copy of the program where anybody may run it.
fn program(sandbox: &Sandbox) -> String {
    let path = sandbox.user_dir().join("parachute");
    if fs::hard_link(EXE, &path).is_err() {
        fs::copy(EXE, &path).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// A box of `nobody` with a module in it.
fn theirs() -> (Sandbox, u16) {
    of(NOBODY)
}

/// A box of this uid with a module in it.
fn of(uid: u32) -> (Sandbox, u16) {
    let sandbox = Sandbox::new();
    let exe = program(&sandbox);
    fs::create_dir_all(sandbox.home()).unwrap();
    chown(sandbox.user_dir(), Some(uid), Some(uid)).unwrap();
    give(&sandbox.home(), uid);
    let port = sandbox.add("x", &[&exe, "__module"]);
    (sandbox, port)
}

/// Runs the program as `nobody`.
fn as_nobody(sandbox: &Sandbox, line: &str) -> Ran {
    let exe = fs::File::open(EXE).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", sandbox.user_dir())
        .env("PARACHUTE_MANAGER", "none");
    command
        .env("PATH", "/usr/bin:/bin")
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .stdin(Stdio::null());
    command.output().unwrap().into()
}

/// Everything beneath a folder.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            all.extend(tree(&entry.path()));
        }
    }
    all
}

#[test]
fn what_root_makes_in_a_home_is_its_owners() {
    needs_root!();
    let (sandbox, port) = theirs();
    sandbox.say("start x").expect(0);
    assert!(listens(port));
    let pid = sandbox.pid("x");
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), NOBODY);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        status
            .lines()
            .find(|l| l.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        line("Uid:"),
        format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}")
    );
    assert_eq!(
        line("Gid:"),
        format!("Gid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}")
    );
    assert!(
        !line("Groups:").split_whitespace().skip(1).any(|g| g == "0"),
        "{status}"
    );
    assert_eq!(line("CapEff:"), "CapEff:\t0000000000000000");
    assert_eq!(sandbox.row("x")["state"], "active");
    sandbox.say("restart x").expect(0);
    sandbox.say("logs x").expect(0);
    sandbox.say("stop x").expect(0);
    assert!(!listens(port));
    for path in tree(&sandbox.home()) {
        assert_eq!(
            fs::symlink_metadata(&path).unwrap().uid(),
            NOBODY,
            "{}",
            path.display()
        );
    }
    sandbox.say("remove x").expect(0);
}

#[test]
fn json_errors_and_exit_codes_pass_through() {
    needs_root!();
    let (sandbox, _) = theirs();
    sandbox.say("start nobody").expect(3);
    let document = sandbox.say("start nobody --json").expect(3).json();
    assert_eq!(document["changes"][0]["error"]["code"], "not_installed");
    sandbox.say("is-active x").expect(1);
    sandbox.say("wait x --timeout 0").expect(6);
    sandbox.say("status --json").expect(0).json();
}

#[test]
fn the_owner_gets_no_secret_of_roots() {
    needs_root!();
    let (sandbox, _) = theirs();
    let mut command = sandbox.command(["start", "x"]);
    command
        .env("SECRET", "hunter2")
        .env("LANG", "de_DE.UTF-8")
        .env("SUDO_COMMAND", "x");
    assert!(command.output().unwrap().status.success());
    let environ = fs::read(format!("/proc/{}/environ", sandbox.pid("x"))).unwrap();
    let environ = String::from_utf8_lossy(&environ).into_owned();
    assert!(
        !environ.contains("hunter2") && !environ.contains("SUDO_"),
        "{environ}"
    );
    assert!(
        environ.contains("LANG=de_DE.UTF-8") && environ.contains("PATH=/usr/local/sbin:"),
        "{environ}"
    );
    assert!(
        environ.contains(&format!("PARACHUTE_HOME={}", sandbox.home().display())),
        "{environ}"
    );
}

/// Plants links in a home, runs everything, and sees that their targets are as they were.
fn with_links(owner: u32) {
    let sandbox = Sandbox::new();
    let exe = program(&sandbox);
    // Readable and writable for root alone, which is what a link is planted for.
    let secret = tempfile::Builder::new()
        .prefix("parachute-secret-")
        .tempdir()
        .unwrap();
    let victim = secret.path().join("victim");
    let folder = secret.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let text = "root:secret:0:0\n";
    let passwd = fs::read("/etc/passwd").unwrap();
    for (at, what) in [
        ("x/logs/x.log", victim.as_path()),
        ("x/logs/x.log", Path::new("/etc/passwd")),
        ("x/run/x.pid", victim.as_path()),
        ("x/run/x.pid", Path::new("/etc/passwd")),
        ("x/run/x.lock", victim.as_path()),
        ("x/run", folder.as_path()),
        ("x/logs", folder.as_path()),
        ("x", folder.as_path()),
        ("x/.env", victim.as_path()),
        ("services.json.lock", victim.as_path()),
        ("hub/origin", victim.as_path()),
        ("hub", folder.as_path()),
    ] {
        fs::write(&victim, text).unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        let _ = fs::remove_dir_all(sandbox.home());
        let port = free_port();
        let dir = sandbox.user_dir().display();
        sandbox.registry(format!(
            r#"{{"services":[{{"name":"x","port":{port},"paths":[],"health":"/health","version":"1","installDir":"{dir}"}}]}}"#
        ));
        let manifest = sandbox.user_dir().join(".parachute/module.json");
        fs::write(
            manifest,
            format!(r#"{{"name":"x","startCmd":["{exe}","__module"]}}"#),
        )
        .unwrap();
        let place = sandbox.at(at);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(what, &place).unwrap();
        chown(sandbox.user_dir(), Some(owner), Some(owner)).unwrap();
        give(&sandbox.home(), owner);
        for line in [
            "status",
            "start --hub-origin https://x.example.org",
            "status --json",
            "logs x",
            "restart",
            "stop",
            "remove x",
            "start",
            "stop",
        ] {
            let ran = sandbox.say(line);
            assert!(
                ran.code <= 4 && !ran.err.contains("panicked"),
                "{at}: {line}: {ran:?}"
            );
            assert!(
                !ran.out.contains("secret") && !ran.err.contains("secret:"),
                "{at}: {line}: {ran:?}"
            );
            assert!(
                !ran.out.contains("root:x:") && !ran.err.contains("root:x:"),
                "{at}: {line}: {ran:?}"
            );
        }
        if fs::symlink_metadata(&place).is_ok_and(|m| m.is_symlink()) && at.starts_with("x/logs") {
            let ran = sandbox.run([
                "add",
                "x",
                "--port",
                &port.to_string(),
                "--force",
                "--start",
                "--",
                &exe,
                "__module",
            ]);
            let ran = ran.expect(1);
            assert!(
                ran.err.contains("a link that leads out of the home"),
                "{at}: {}",
                ran.err
            );
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), text, "{at}");
        assert_eq!(fs::metadata(&victim).unwrap().uid(), 0, "{at}");
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o600, "{at}");
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            0,
            "{at}: something was made behind the link"
        );
        assert_eq!(fs::read("/etc/passwd").unwrap(), passwd, "{at}");
        assert!(!listens(port), "{at}: something was left running");
    }
}

#[test]
fn links_planted_in_somebodys_home_lead_root_nowhere() {
    needs_root!();
    with_links(NOBODY);
}

#[test]
fn links_in_roots_own_home_are_not_followed_either() {
    needs_root!();
    with_links(0);
}

#[test]
fn a_registry_that_links_to_what_its_owner_may_not_read_stays_unread() {
    needs_root!();
    let (sandbox, _) = theirs();
    let secret = tempfile::Builder::new()
        .prefix("parachute-secret-")
        .tempdir()
        .unwrap();
    let victim = secret.path().join("victim");
    let text =
        r#"{"services":[{"name":"topsecret","port":1,"paths":[],"health":"/","version":"1"}]}"#;
    fs::write(&victim, text).unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(sandbox.at("services.json")).unwrap();
    symlink(&victim, sandbox.at("services.json")).unwrap();
    for line in ["status", "start", "add y --port 20000 --force", "stop"] {
        let ran = sandbox.say(line);
        assert!(
            !ran.out.contains("topsecret") && !ran.err.contains("topsecret"),
            "{line}: {ran:?}"
        );
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), text);
}

#[test]
fn a_process_of_another_user_is_no_orphan_whatever_it_carries() {
    needs_root!();
    let (sandbox, port) = theirs();
    // uid 1 says in its environment everything that an orphan of this module would say.
    let exe = sandbox.user_dir().join("parachute");
    fs::set_permissions(sandbox.user_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut imitator = Command::new(exe);
    imitator
        .arg("__module")
        .env_clear()
        .uid(1)
        .gid(1)
        .current_dir("/")
        .env("PORT", port.to_string());
    imitator
        .env("PARACHUTE_HOME", sandbox.home())
        .env("PARACHUTE_SPAWN_ID", "11111111-1111-4111-8111-111111111111");
    let imitator = Guarded(
        imitator
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until_true("its port", || listens(port));
    for line in ["start x", "restart x", "stop x"] {
        sandbox.say(line);
        assert!(
            alive(imitator.0.id()),
            "{line}: another user's process was signalled"
        );
    }
    let document = sandbox.say("start x --json").expect(1).json();
    assert_eq!(document["changes"][0]["error"]["code"], "port_squatter");
    // Root's own process neither, though root may do anything.
    let (own, port) = theirs();
    let mut imitator = Command::new(EXE);
    imitator
        .arg("__module")
        .env_clear()
        .env("PORT", port.to_string())
        .env("PARACHUTE_HOME", own.home());
    imitator
        .env("PARACHUTE_SPAWN_ID", "11111111-1111-4111-8111-111111111111")
        .stdout(Stdio::null());
    let imitator = Guarded(imitator.spawn().unwrap());
    until_true("its port", || listens(port));
    own.file("x/run/x.pid", imitator.0.id().to_string());
    for line in ["stop x", "start x"] {
        own.say(line);
        assert!(
            alive(imitator.0.id()),
            "{line}: root's process was signalled"
        );
    }
}

#[test]
fn a_home_that_is_not_ours_is_not_changed() {
    needs_root!();
    let sandbox = Sandbox::new();
    let port = sandbox.module("x", &[]);
    sandbox.say("start").expect(0);
    fs::set_permissions(sandbox.user_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let pid = sandbox.pid("x");
    let before = sandbox.text("services.json");
    for line in [
        "stop x",
        "start x",
        "restart x",
        "add y --port 20000 --force",
        "remove x",
    ] {
        let ran = as_nobody(&sandbox, line).expect(4);
        assert!(
            ran.err.contains("permission denied") && ran.err.contains("hint: "),
            "{line}: {}",
            ran.err
        );
    }
    assert!(alive(pid) && listens(port));
    assert_eq!(sandbox.text("services.json"), before);
    as_nobody(&sandbox, "status").expect(0);
    // Not even to be looked into.
    fs::set_permissions(sandbox.home(), fs::Permissions::from_mode(0o700)).unwrap();
    let ran = as_nobody(&sandbox, "start x").expect(4);
    assert!(ran.err.contains("permission denied"), "{}", ran.err);
    let ran = as_nobody(&sandbox, "status").expect(0);
    assert!(ran.out.contains("permission denied"), "{}", ran.out);
}

#[test]
fn a_home_that_is_a_file_or_beneath_one_is_told() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.home(), "not a folder").unwrap();
    let beneath = sandbox.home().join("deeper");
    for home in [sandbox.home(), beneath] {
        for line in [
            "start",
            "stop",
            "add x --port 20000 --force -- serve",
            "remove x",
            "restart",
            "logs",
        ] {
            let mut args = vec!["--json", "--home", home.to_str().unwrap()];
            args.extend(line.split_whitespace());
            let ran = sandbox.run(args).expect(1);
            let document = ran.json();
            assert_eq!(
                document["error"]["code"], "home_unusable",
                "{line}: {document}"
            );
            assert!(document["error"]["hint"].is_string(), "{line}: {document}");
        }
        let status = sandbox
            .run(["--json", "--home", home.to_str().unwrap(), "status"])
            .expect(0)
            .json();
        assert!(
            status["notes"][0]
                .as_str()
                .unwrap()
                .contains("is not a directory"),
            "{status}"
        );
    }
    assert_eq!(fs::read_to_string(sandbox.home()).unwrap(), "not a folder");
}

#[test]
fn a_missing_home_is_an_empty_box_and_is_made_when_needed() {
    let sandbox = Sandbox::new();
    let home = sandbox.user_dir().join("not/yet/there");
    let run = |line: &str| {
        let mut args = vec!["--home", home.to_str().unwrap()];
        args.extend(line.split_whitespace());
        sandbox.run(args)
    };
    run("status").expect(0);
    run("start").expect(3);
    run("stop").expect(0);
    run("remove x").expect(3);
    assert!(!sandbox.user_dir().join("not").exists());
    run("add x --port 20000 --force -- serve").expect(0);
    assert!(home.join("services.json").exists());
}

#[test]
fn homes_are_named_by_flag_then_environment_then_folder() {
    let sandbox = Sandbox::new();
    let home_of = |args: &[&str], env: Option<&str>| -> String {
        let mut command = sandbox.command(args.iter().copied().chain(["status", "--json"]));
        if let Some(env) = env {
            command.env("PARACHUTE_HOME", env);
        }
        let ran: Ran = command.output().unwrap().into();
        ran.expect(0).json()["home"].as_str().unwrap().to_owned()
    };
    let own = sandbox.home().to_str().unwrap().to_owned();
    assert_eq!(home_of(&[], None), own);
    assert_eq!(home_of(&[], Some("")), own);
    assert_eq!(home_of(&[], Some("/nowhere/a")), "/nowhere/a");
    assert_eq!(
        home_of(&["--home", "/nowhere/b"], Some("/nowhere/a")),
        "/nowhere/b"
    );
    // A relative one is of where we are.
    assert_eq!(
        home_of(&["--home", "c"], None),
        sandbox.user_dir().join("c").to_str().unwrap()
    );
}

/// A user of a test's own, in a private view of the machine, who calls sudo.
struct Caller {
    sandbox: Sandbox,
    /// Their folder.
    theirs: PathBuf,
    /// Root's folder.
    root: PathBuf,
    exe: String,
}

impl Caller {
    const UID: u32 = 64_321;

    fn new() -> Self {
        let sandbox = Sandbox::new();
        let exe = program(&sandbox);
        let theirs = sandbox.user_dir().join("box");
        let root = sandbox.user_dir().join("root");
        fs::create_dir_all(&theirs).unwrap();
        fs::create_dir_all(&root).unwrap();
        fs::set_permissions(sandbox.user_dir(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
        passwd.push_str(&format!(
            "boxowner:x:{uid}:{uid}::{}:/bin/sh\n",
            theirs.display(),
            uid = Self::UID,
        ));
        fs::write(sandbox.user_dir().join("passwd"), passwd).unwrap();
        give(&theirs, Self::UID);
        Self {
            sandbox,
            theirs,
            root,
            exe,
        }
    }

    /// Runs a script as root, through sudo by that user.
    fn run(&self, script: &str) -> Ran {
        let passwd = self.sandbox.user_dir().join("passwd");
        let script = format!(
            "mount --bind {} /etc/passwd || exit 90\n{script}",
            passwd.display()
        );
        let mut command = Command::new("unshare");
        command
            .args(["-m", "--propagation", "private", "sh", "-c", &script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
            .env("HOME", &self.root)
            .env("SUDO_UID", Self::UID.to_string())
            .env("PARACHUTE_MANAGER", "none")
            .stdin(Stdio::null());
        command.current_dir("/").output().unwrap().into()
    }
}

#[test]
fn sudo_finds_the_box_of_who_called_it() {
    needs_root!();
    let caller = Caller::new();
    let (theirs, exe, port) = (&caller.theirs, &caller.exe, free_port());
    let ran = caller.run(&format!(
        "{exe} --home {theirs}/.parachute add x --port {port} -- {exe} __module >/dev/null || exit 91\n\
         {exe} start --json || exit 92\n\
         {exe} status --json || exit 93\n\
         {exe} stop >/dev/null || exit 94\n",
        theirs = theirs.display(),
    ));
    let ran = ran.expect(0);
    let mut documents = serde_json::Deserializer::from_str(&ran.out).into_iter::<Value>();
    assert_eq!(
        documents.next().unwrap().unwrap()["changes"][0]["did"],
        "started"
    );
    let status = documents.next().unwrap().unwrap();
    assert_eq!(status["home"], theirs.join(".parachute").to_str().unwrap());
    assert_eq!(status["modules"][0]["state"], "active");
    for path in tree(theirs) {
        assert_eq!(
            fs::symlink_metadata(&path).unwrap().uid(),
            Caller::UID,
            "{}",
            path.display()
        );
    }
    assert!(!caller.root.join(".parachute").exists());
}

/// A box whose registry says nothing that can be used is a box still: no other takes its place.
#[test]
fn sudo_finds_the_box_of_who_called_it_by_a_broken_registry_too() {
    needs_root!();
    for (text, exit) in [("{", 1), (r#"{"services":[{"name":7}]}"#, 0)] {
        let caller = Caller::new();
        let home = caller.theirs.join(".parachute");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("services.json"), text).unwrap();
        give(&home, Caller::UID);
        let exe = &caller.exe;
        let status = caller.run(&format!("{exe} status --json"));
        let status = status.expect(0).json();
        assert_eq!(status["home"], home.to_str().unwrap(), "{text}");
        assert!(
            status["notes"].to_string().contains("services.json"),
            "{text}: {status}"
        );
        let stop = caller.run(&format!("{exe} stop")).expect(exit);
        assert!(stop.err.contains("services.json"), "{text}: {stop:?}");
        let add = caller.run(&format!("{exe} add x --port 20000 --force -- serve"));
        assert_ne!(add.code, 0, "{text}: {add:?}");
        assert!(!caller.root.join(".parachute").exists(), "{text}: {add:?}");
        let now = fs::read_to_string(home.join("services.json")).unwrap();
        assert_eq!(now, text);
    }
}

/// A bind mount in a container, say.
#[test]
fn a_home_of_a_uid_without_a_name_is_handled_as_that_uid() {
    needs_root!();
    let uid = 63_999;
    let (sandbox, port) = of(uid);
    sandbox.say("start x").expect(0);
    assert!(listens(port));
    let pid = sandbox.pid("x");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["Uid", "Gid"] {
        let wanted = format!("{line}:\t{uid}\t{uid}\t{uid}\t{uid}\n");
        assert!(status.contains(&wanted), "{status}");
    }
    let groups = status.lines().find(|l| l.starts_with("Groups:")).unwrap();
    assert_eq!(groups.trim_end(), format!("Groups:\t{uid}"));
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let home = format!("HOME={}", sandbox.user_dir().display());
    assert!(environ.split(|&b| b == 0).any(|v| v == home.as_bytes()));
    assert_eq!(sandbox.row("x")["state"], "active");
    sandbox.say("restart x").expect(0);
    sandbox.say("stop").expect(0);
    for path in tree(&sandbox.home()) {
        let meta = fs::symlink_metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (uid, uid), "{}", path.display());
    }
    sandbox.say("remove x").expect(0);
}
