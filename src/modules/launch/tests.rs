use super::{path::extended, *};
use crate::{
    api::StartErrorType,
    modules::{launch::preflight::preflight, registry::Registry},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

struct Box_ {
    _dir: tempfile::TempDir,
    home: Home,
}

impl Box_ {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().canonicalize().unwrap().join("home"));
        fs::create_dir(home.root()).unwrap();
        Self { _dir: dir, home }
    }

    fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn row_of(value: Value) -> Row {
    let text = json!({ "services": [value] }).to_string();
    let mut registry = Registry::parse(text.as_bytes(), Path::new("f")).unwrap();
    assert_eq!(registry.warnings, Vec::<String>::new());
    registry.rows.remove(0)
}

fn row(name: &str, dir: Option<&Path>) -> Row {
    row_of(
        json!({"name": name, "port": 3000, "paths": [], "health": "/", "version": "1",
        "installDir": dir.map(|d| d.to_str().unwrap())}),
    )
}

fn spawner(env: &[(&str, &str)]) -> Spawner {
    Spawner {
        env: env.iter().map(|(n, v)| (n.into(), v.into())).collect(),
        ..Spawner::default()
    }
}

fn launch(it: &Box_, row: &Row, spawner: &Spawner) -> Launch {
    plan(&gather(&it.home, row, spawner).unwrap(), spawner, "the-id").unwrap()
}

fn var<'a>(launch: &'a Launch, name: &str) -> Option<&'a str> {
    launch.env.get(OsStr::new(name)).and_then(|v| v.to_str())
}

#[test]
fn the_registrys_port_wins_over_a_leftover_in_dotenv() {
    let it = Box_::new();
    it.write("vault/.env", "PORT=1944\nKEY=value\n");
    let row = row("parachute-vault", None);
    let spawner = spawner(&[("PORT", "1939")]);
    let inputs = gather(&it.home, &row, &spawner).unwrap();
    assert_eq!(inputs.warnings.len(), 1);
    assert!(inputs.warnings[0].contains("PORT"), "{:?}", inputs.warnings);
    let launch = plan(&inputs, &spawner, "id").unwrap();
    assert_eq!(var(&launch, "PORT"), Some("3000"));
    assert_eq!(var(&launch, "KEY"), Some("value"));
}

#[test]
fn what_is_the_spawners_own_is_not_handed_on() {
    let it = Box_::new();
    let own = [
        "PARACHUTE_BIND_HOST",
        "PARACHUTE_HUB_ORIGIN",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
        "MAINPID",
    ];
    let mut env: Vec<_> = own.iter().map(|name| (*name, "x")).collect();
    env.extend([
        ("KEPT", "1"),
        ("LISTENER", "2"),
        ("PARACHUTE_SPAWN_ID", "old"),
    ]);
    let launch = launch(&it, &row("parachute-vault", None), &spawner(&env));
    for name in own {
        assert_eq!(var(&launch, name), None, "{name}");
    }
    assert_eq!(var(&launch, "KEPT"), Some("1"));
    assert_eq!(var(&launch, "LISTENER"), Some("2"));
    assert_eq!(var(&launch, "PARACHUTE_SPAWN_ID"), Some("the-id"));
    assert_eq!(var(&launch, "PARACHUTE_HOME"), it.home.root().to_str());
}

#[test]
fn a_restart_reads_the_files_anew() {
    let it = Box_::new();
    let (row, spawner) = (row("parachute-vault", None), spawner(&[]));
    it.write("vault/.env", "A=1\n");
    it.write("hub/origin", "https://old");
    assert_eq!(var(&launch(&it, &row, &spawner), "A"), Some("1"));
    it.write("vault/.env", "A=2\n");
    it.write("hub/origin", "https://new");
    it.write("vault/.parachute/module.json", r#"{"startCmd": ["new"]}"#);
    let again = launch(&it, &row, &spawner);
    assert_eq!(var(&again, "A"), Some("2"));
    assert_eq!(var(&again, "PARACHUTE_HUB_ORIGIN"), Some("https://new"));
    assert_eq!(again.argv, ["new"]);
}

#[test]
fn later_layers_win() {
    let it = Box_::new();
    it.write(
        "vault/.env",
        "A=dotenv\nA=again\nPARACHUTE_HOME=/x\nPARACHUTE_SPAWN_ID=x\nPARACHUTE_HUB_ORIGIN=http://x\nNOTIFY_SOCKET=x\nPATH=/only\n",
    );
    it.write("hub/origin", "https://box.example//\nmore");
    let mut spawner = spawner(&[("A", "spawner"), ("B", "spawner")]);
    spawner.notify_socket = Some("/run/n".into());
    spawner.hub_port = Some(1939);
    let launch = launch(&it, &row("parachute-vault", None), &spawner);
    assert_eq!(var(&launch, "A"), Some("again"));
    assert_eq!(var(&launch, "B"), Some("spawner"));
    assert_eq!(var(&launch, "PARACHUTE_HOME"), it.home.root().to_str());
    assert_eq!(var(&launch, "PARACHUTE_SPAWN_ID"), Some("the-id"));
    assert_eq!(
        var(&launch, "PARACHUTE_HUB_ORIGIN"),
        Some("https://box.example")
    );
    assert_eq!(var(&launch, "NOTIFY_SOCKET"), Some("/run/n"));
    assert_eq!(var(&launch, "PATH"), Some("/only"));
}

#[test]
fn the_origin_is_the_same_whoever_starts_it() {
    /// `hub/origin`, `expose-state.json`, the hub's port; the origin, how many warnings.
    type Case = (
        Option<&'static str>,
        Option<&'static str>,
        Option<u16>,
        Option<&'static str>,
        usize,
    );
    let cases: &[Case] = &[
        (None, None, None, None, 0),
        (None, None, Some(1939), Some("http://127.0.0.1:1939"), 0),
        (
            Some("https://a/"),
            Some(r#"{"hubOrigin":"https://b"}"#),
            Some(1),
            Some("https://a"),
            0,
        ),
        (
            Some("\n"),
            Some(r#"{"hubOrigin":"https://b//"}"#),
            None,
            Some("https://b"),
            0,
        ),
        (
            Some("ftp://x"),
            Some(r#"{"hubOrigin":"https://b"}"#),
            None,
            Some("https://b"),
            1,
        ),
        (
            None,
            Some(r#"{"canonicalFqdn":"box.ts.net."}"#),
            Some(1),
            Some("https://box.ts.net"),
            0,
        ),
        (
            None,
            Some(r#"{"hubOrigin":"","canonicalFqdn":"c"}"#),
            None,
            Some("https://c"),
            0,
        ),
        (
            None,
            Some("{nonsense"),
            Some(1939),
            Some("http://127.0.0.1:1939"),
            1,
        ),
        (None, Some(r#"{"hubOrigin":7}"#), None, None, 1),
        (Some("https://a\tb"), None, None, None, 1),
    ];
    for (given, exposed, hub, wanted, warnings) in cases {
        let it = Box_::new();
        given.map(|text| it.write("hub/origin", text));
        exposed.map(|text| it.write("expose-state.json", text));
        for leaked in [&[][..], &[("PARACHUTE_HUB_ORIGIN", "http://leak")]] {
            let mut spawner = spawner(leaked);
            spawner.hub_port = *hub;
            let inputs = gather(&it.home, &row("parachute-vault", None), &spawner).unwrap();
            assert_eq!(inputs.warnings.len(), *warnings, "{:?}", inputs.warnings);
            let launch = plan(&inputs, &spawner, "id").unwrap();
            assert_eq!(
                var(&launch, "PARACHUTE_HUB_ORIGIN"),
                *wanted,
                "{given:?} {exposed:?}"
            );
        }
    }
}

#[test]
fn an_origin_of_dotenv_stays_where_none_is_known() {
    let it = Box_::new();
    it.write("vault/.env", "PARACHUTE_HUB_ORIGIN=http://mine\n");
    let launch = launch(&it, &row("parachute-vault", None), &spawner(&[]));
    assert_eq!(var(&launch, "PARACHUTE_HUB_ORIGIN"), Some("http://mine"));
}

#[test]
fn a_units_short_path_is_extended() {
    let it = Box_::new();
    let user = it.home.at("user");
    fs::create_dir_all(user.join(".local/bin")).unwrap();
    fs::create_dir_all(user.join(".bun/bin")).unwrap();
    let dirs = path::extension(Some(&user));
    assert!(dirs.contains(&user.join(".local/bin")) && dirs.contains(&user.join(".bun/bin")));
    fs::remove_dir(user.join(".bun/bin")).unwrap();
    assert!(!path::extension(Some(&user)).contains(&user.join(".bun/bin")));

    let dirs = [
        PathBuf::from("/l"),
        PathBuf::from("/b"),
        PathBuf::from("/with:colon"),
    ];
    let env = |pairs: &[(&str, &str)]| spawner(pairs).env;
    let cases = [
        (env(&[("PATH", "/usr/bin:/bin")]), "/usr/bin:/bin:/l:/b"),
        (env(&[("PATH", "/b:/bin")]), "/b:/bin:/l"),
        (
            env(&[("PATH", "/bin"), ("PARACHUTE_EXTRA_PATH", "/e:/l")]),
            "/e:/l:/bin:/b",
        ),
        (env(&[("PATH", "")]), "/usr/local/bin:/usr/bin:/bin:/l:/b"),
        (env(&[]), "/usr/local/bin:/usr/bin:/bin:/l:/b"),
    ];
    for (env, wanted) in cases {
        assert_eq!(extended(&env, &dirs), OsStr::new(wanted));
    }
}

#[test]
fn dotenv_by_its_letter() {
    /// The file; its variables, how many warnings.
    type Case = (
        &'static [u8],
        &'static [(&'static str, &'static str)],
        usize,
    );
    let cases: &[Case] = &[
        (b"", &[], 0),
        (b"A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")], 0),
        (b"\xef\xbb\xbfA=1", &[("A", "1")], 0),
        (b"A=b=c", &[("A", "b=c")], 0),
        (b"A=\nB", &[("A", "")], 0),
        (b"=x\n  =y\nA=1", &[("A", "1")], 0),
        (
            b"# A=1\n#B=2\n\nC=3 # not a comment",
            &[("C", "3 # not a comment")],
            0,
        ),
        (
            b"A=\"x y\"\nB='x'\nC=\"\"",
            &[("A", "x y"), ("B", "x"), ("C", "")],
            0,
        ),
        (
            b"A=\"x\nB=x'\nC=\"x'\nD=\"",
            &[("A", "\"x"), ("B", "x'"), ("C", "\"x'"), ("D", "\"")],
            0,
        ),
        (b"A=\"'x'\"", &[("A", "'x'")], 0),
        (b"A=$HOME\\n", &[("A", "$HOME\\n")], 0),
        (b"export A=1\nB=2", &[("B", "2")], 1),
        (b"A B=1\n9=1\nB=2", &[("B", "2")], 2),
        (b"A=x\0y\nB=2", &[("B", "2")], 1),
        (b"PORT=1\nPORT =2", &[], 2),
    ];
    for (bytes, wanted, odd) in cases {
        let (pairs, warnings) = parse_dotenv(bytes);
        let wanted: Vec<_> = wanted.iter().map(|(n, v)| (n.into(), v.into())).collect();
        assert_eq!(pairs, wanted, "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(warnings.len(), *odd, "{warnings:?}");
    }
    let (pairs, _) = parse_dotenv(b"A=\xff\xfe");
    assert_eq!(pairs.len(), 1);
    let (_, warnings) = parse_dotenv(b"export TOKEN=hunter2");
    assert!(!warnings[0].contains("hunter2") && warnings[0].contains("export"));
}

#[test]
fn a_dotenv_that_leads_out_of_the_home_is_an_error() {
    let it = Box_::new();
    fs::create_dir(it.home.at("vault")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", it.home.at("vault/.env")).unwrap();
    assert!(gather(&it.home, &row("parachute-vault", None), &spawner(&[])).is_err());
}

/// A manifest that is no JSON.
#[test]
fn a_broken_manifest_is_a_reason_and_a_known_module_starts_even_so() {
    let it = Box_::new();
    let dir = it.home.at("dir");
    it.write("dir/.parachute/module.json", "<html>");
    let inputs = gather(&it.home, &row("parachute-vault", Some(&dir)), &spawner(&[])).unwrap();
    assert_eq!(inputs.warnings.len(), 1);
    let launch = plan(&inputs, &spawner(&[]), "id").unwrap();
    assert_eq!(launch.argv, ["parachute-vault", "serve"]);
    assert_eq!(launch.cwd, Some(dir.clone()));

    let error = gather(&it.home, &row("other", Some(&dir)), &spawner(&[])).unwrap_err();
    assert_eq!(error.code, Code::ManifestBroken);
    assert!(error.message.contains("module.json"), "{error}");
}

#[test]
fn where_a_start_command_comes_from() {
    let it = Box_::new();
    let dir = it.home.at("dir");
    fs::create_dir(&dir).unwrap();
    let command_of = |row: &Row| command(row, manifest::read(&it.home, row).unwrap().as_ref());
    let (channel, other) = (
        row("parachute-channel", Some(&dir)),
        row("other", Some(&dir)),
    );
    assert_eq!(
        command_of(&channel).unwrap(),
        ["parachute-channel", "daemon"]
    );
    assert_eq!(command_of(&other).unwrap_err().code, Code::NoStartCommand);

    it.write(
        "dir/.parachute/module.json",
        "\u{feff}{\"startCmd\": [\"a\", \"\"], \"displayName\": 7}",
    );
    assert_eq!(command_of(&channel).unwrap(), ["a", ""]);
    assert_eq!(command_of(&other).unwrap(), ["a", ""]);

    it.write("other/.parachute/module.json", r#"{"startCmd": ["b"]}"#);
    assert_eq!(command_of(&other).unwrap(), ["b"]);

    for bad in [
        r#"{"startCmd": []}"#,
        r#"{"startCmd": [""]}"#,
        r#"{"startCmd": "x"}"#,
        r#"{"startCmd": ["a", 1]}"#,
        r#"{"startCmd": ["a\u0000"]}"#,
        "[]",
        "",
    ] {
        it.write("other/.parachute/module.json", bad);
        let error = manifest::read(&it.home, &other).unwrap_err();
        assert_eq!(error.code, Code::ManifestBroken, "{bad}");
    }
}

fn argv(launch: &Launch, words: &[&str]) -> Launch {
    Launch {
        argv: words.iter().map(|w| (*w).to_owned()).collect(),
        ..launch.clone()
    }
}

#[test]
fn preflight_tells_missing_not_executable_and_gone_apart() {
    let it = Box_::new();
    let bin = it.home.at("bin");
    let plain = it.write("bin/plain", "#!/bin/sh\n");
    let good = it.write("bin/good", "#!/bin/sh\n");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&good, fs::Permissions::from_mode(0o755)).unwrap();
    let base = Launch {
        argv: Vec::new(),
        cwd: Some(bin.clone()),
        env: BTreeMap::from([("PATH".into(), bin.clone().into())]),
    };

    for name in ["good", "./good", good.to_str().unwrap()] {
        let plan = preflight(&argv(&base, &[name, "x"])).unwrap();
        assert!(plan.program.is_absolute());
        assert_eq!(plan.program.canonicalize().unwrap(), good);
        assert_eq!(plan.argv, [name, "x"]);
        assert_eq!(plan.cwd, Some(bin.clone()));
    }

    let error = preflight(&argv(&base, &["plain"])).unwrap_err();
    assert_eq!(error.error_type, StartErrorType::NonExecutable);
    assert!(error.error_description.contains("chmod +x"));

    for name in ["nowhere-to-be-found", "./nowhere", "bun"] {
        let error = preflight(&argv(&base, &[name])).unwrap_err();
        assert_eq!(
            error.error_type,
            StartErrorType::MissingDependency,
            "{name}"
        );
        assert_eq!(error.binary.as_deref(), Some(name));
        assert!(error.install.is_some() && error.sysadmin_hint.is_some());
        let json = serde_json::to_value(&error).unwrap();
        for field in [
            "binary",
            "why",
            "docs_url",
            "install",
            "sysadmin_hint",
            "at",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
    }

    for words in [&[][..], &[""]] {
        let error = preflight(&argv(&base, words)).unwrap_err();
        assert_eq!(error.error_type, StartErrorType::SpawnFailed);
    }

    let gone = Launch {
        cwd: Some(it.home.at("gone")),
        ..argv(&base, &["good"])
    };
    let error = preflight(&gone).unwrap_err();
    assert_eq!(error.error_type, StartErrorType::SpawnFailed);
    assert!(error.error_description.contains("is gone"));
    let file = Launch {
        cwd: Some(good),
        ..argv(&base, &["good"])
    };
    assert!(
        preflight(&file)
            .unwrap_err()
            .error_description
            .contains("not a directory")
    );
}

#[test]
fn preflight_names_what_is_closed_to_us() {
    let it = Box_::new();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let tool = it.write("closed/tool", "#!/bin/sh\n");
    it.write("closed/deep/x", "");
    let (closed, root) = (it.home.at("closed"), it.home.root());
    mode(&tool, 0o755);
    mode(root.parent().unwrap(), 0o755);
    mode(root, 0o755);
    mode(&closed, 0o700);
    let base = Launch {
        argv: Vec::new(),
        cwd: None,
        env: BTreeMap::from([("PATH".into(), closed.clone().into())]),
    };
    crate::os::kid::as_nobody(|| {
        let error = preflight(&argv(&base, &[tool.to_str().unwrap()])).unwrap_err();
        assert_eq!(error.error_type, StartErrorType::NonExecutable);
        assert!(
            error.error_description.contains("may not be reached"),
            "{error:?}"
        );
        let error = preflight(&argv(&base, &["tool"])).unwrap_err();
        assert_eq!(error.error_type, StartErrorType::MissingDependency);
        assert!(
            error
                .error_description
                .contains("closed does not let this user in"),
            "{error:?}"
        );
        for dir in [closed.clone(), closed.join("deep")] {
            let launch = Launch {
                cwd: Some(dir),
                ..argv(&base, &["/bin/sh"])
            };
            let error = preflight(&launch).unwrap_err();
            assert_eq!(error.error_type, StartErrorType::SpawnFailed);
            assert!(
                error.error_description.contains("may not be entered"),
                "{error:?}"
            );
        }
    });
}

proptest! {
    #[test]
    fn no_dotenv_makes_an_environment_that_cannot_be(bytes in proptest::collection::vec(
        prop_oneof![any::<u8>(), Just(b'='), Just(b'\n'), Just(b'A'), Just(b'"')], 0..200,
    )) {
        use std::os::unix::ffi::OsStrExt;
        for (name, value) in parse_dotenv(&bytes).0 {
            prop_assert!(!name.is_empty() && !name.as_bytes().contains(&b'='));
            prop_assert!(!name.as_bytes().contains(&0) && !value.as_bytes().contains(&0));
            prop_assert!(name != "PORT");
        }
    }

    #[test]
    fn dotenv_values_come_through(name in "[A-Za-z_][A-Za-z0-9_]{0,10}", value in "[a-z=$#\\\\][ -~]{0,20}[a-z=$#\\\\]") {
        prop_assume!(name != "PORT");
        for quote in ["", "'", "\""] {
            let text = format!("{name}={quote}{value}{quote}\n");
            let wanted = vec![(OsString::from(&name), OsString::from(&value))];
            prop_assert_eq!(parse_dotenv(text.as_bytes()).0, wanted);
        }
    }
}
