use super::*;

#[test]
fn users_are_found_both_ways() {
    let root = user(0).unwrap();
    assert_eq!((root.uid, root.name.as_str()), (0, "root"));
    assert_eq!(user_named("root"), Some(root));
    assert_eq!(user(4_000_000_000), None);
    assert_eq!(user_named("no-such-user-here"), None);
}

#[test]
fn a_path_that_is_not_there_belongs_to_its_nearest_parent() {
    let dir = tempfile::tempdir().unwrap();
    let me = euid();
    assert_eq!(owner(dir.path()).unwrap(), me);
    assert_eq!(owner(&dir.path().join("a/b/c")).unwrap(), me);
    assert_eq!(owner(Path::new("/no/such")).unwrap(), 0);
    assert!(owner(Path::new("no-such-relative")).is_ok());
}

#[test]
fn the_environment_becomes_theirs() {
    let them = User {
        uid: 4_000_000_000,
        gid: 4_000_000_000,
        name: "them".into(),
        dir: "/home/them".into(),
    };
    let ours: Vec<(OsString, OsString)> = [
        ("HOME", "/root"),
        ("USER", "root"),
        ("PARACHUTE_HOME", "/srv/p"),
        ("XDG_RUNTIME_DIR", "/run/user/0"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus"),
        ("PATH", "/bin"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    let mut theirs = environment(&them, &ours);
    theirs.sort();
    let expected: Vec<(OsString, OsString)> = [
        ("HOME", "/home/them"),
        ("LOGNAME", "them"),
        ("PARACHUTE_HOME", "/srv/p"),
        ("PATH", "/bin"),
        ("USER", "them"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    assert_eq!(theirs, expected);
}

#[test]
fn an_owner_without_a_name_is_a_bare_number() {
    let dir = tempfile::tempdir().unwrap();
    let me = euid();
    assert_eq!(Some(owning(me, dir.path())), user(me));
    let home = dir.path().join("box");
    let bare = owning(4_000_000_000, &home);
    assert_eq!(
        (bare.uid, &*bare.name, &bare.dir),
        (4_000_000_000, "4000000000", &home)
    );
    assert_eq!(groups(&bare).unwrap(), [bare.gid]);
    assert_eq!(bare_group(7, Some(100)), 100);
    // Never root's group, and one of its own where there is nothing to ask.
    assert_eq!(bare_group(7, Some(0)), 7);
    assert_eq!(bare_group(7, None), 7);
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[test]
fn exit_codes_and_deaths_come_back() {
    assert_eq!(forwarding(sh("exit 7")).unwrap(), 7);
    assert_eq!(forwarding(sh("kill -9 $$")).unwrap(), 137);
}

/// Where the tests run as root.
#[test]
fn privileges_are_dropped_for_good() {
    let Some(nobody) = user_named("nobody").filter(|_| euid() == 0) else {
        return;
    };
    let groups = groups(&nobody).unwrap();
    let mut command = sh(
        "test $(id -u) = $1 && test $(id -ru) = $1 && test $(id -g) = $2 && ! id -G | grep -qw 0",
    );
    command.args(["sh", &nobody.uid.to_string(), &nobody.gid.to_string()]);
    spawn::become_user(&mut command, &nobody, &groups);
    assert_eq!(forwarding(command).unwrap(), 0);
}
