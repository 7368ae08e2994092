use super::*;
use crate::{api::StartErrorType, os::port::Listener};
use serde_json::json;
use std::{fs, os::unix::fs::symlink};

pub(super) struct Box_ {
    _dir: tempfile::TempDir,
    pub(super) home: Home,
}

pub(super) fn home() -> Box_ {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().canonicalize().unwrap().join("home"));
    Box_ { _dir: dir, home }
}

pub(super) fn quiet() -> Listeners {
    Listeners::default()
}

fn plain(name: &str, port: u16) -> Addition {
    Addition {
        name: name.to_owned(),
        port,
        ..Addition::default()
    }
}

pub(super) fn commanded(name: &str, port: u16, command: &[&str]) -> Addition {
    Addition {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        ..plain(name, port)
    }
}

pub(super) fn file(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.registry()).unwrap()).unwrap()
}

fn manifest_file(home: &Home, short: &str) -> PathBuf {
    home.at(rel::manifest(short))
}

#[test]
fn a_row_in_a_home_that_is_not_there_yet() {
    let it = home();
    let planned = check_against(&it.home, &plain("vault", 1940), &quiet()).unwrap();
    assert_eq!(planned.row.name, "parachute-vault");
    assert!(!it.home.root().exists(), "a check changes nothing");

    let added = add_against(&it.home, &plain("parachute-vault", 1940), &quiet()).unwrap();
    assert_eq!(added.row.short(), "vault");
    assert!(added.replaces.is_none() && added.manifest.is_none());
    assert_eq!(added.warnings, Vec::<String>::new());
    let row = json!({"name": "parachute-vault", "port": 1940, "paths": [], "health": "/health",
        "version": "0.0.0"});
    assert_eq!(file(&it.home), json!({"services": [row]}));
    assert_eq!(added.json, row);
}

#[test]
fn a_command_gets_a_manifest_under_the_home() {
    let it = home();
    let addition = commanded("demo", 3000, &["demo-server", "--flag", ""]);
    let planned = check_against(&it.home, &addition, &quiet()).unwrap();
    let added = add_against(&it.home, &addition, &quiet()).unwrap();
    assert_eq!(planned.manifest, added.manifest);
    assert_eq!(added.manifest, Some(manifest_file(&it.home, "demo")));
    assert_eq!(added.row.install_dir, Some(it.home.at("demo")));
    let manifest = manifest::read(&it.home, &added.row).unwrap().unwrap();
    assert_eq!(manifest.start_cmd.unwrap(), addition.command);
    let text: Value =
        serde_json::from_slice(&fs::read(manifest_file(&it.home, "demo")).unwrap()).unwrap();
    for field in ["name", "manifestName", "port", "paths", "health"] {
        assert!(text.get(field).is_some(), "{field}");
    }
}

#[test]
fn a_folder_tells_its_version() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "0.0.0"),
        (&[("package.json", r#"{"version": "1.2.3"}"#)], "1.2.3"),
        (
            &[
                ("package.json", "{"),
                ("Cargo.toml", "[package]\nname='a'\nversion = \"0.4.0\""),
            ],
            "0.4.0",
        ),
        (
            &[("Cargo.toml", "[package]\nversion.workspace = true")],
            "0.0.0",
        ),
        (&[("Cargo.toml", "[workspace]")], "0.0.0"),
        (&[("package.json", r#"{"version": "a\nb"}"#)], "0.0.0"),
        (
            &[("package.json", r#"{"version": 1}"#), ("Cargo.toml", "x")],
            "0.0.0",
        ),
    ];
    for (files, version) in cases {
        let it = home();
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in *files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let addition = Addition {
            dir: Some(dir.path().to_owned()),
            ..plain("demo", 3000)
        };
        let added = add_against(&it.home, &addition, &quiet()).unwrap();
        assert_eq!(added.row.version, *version, "{files:?}");
        assert_eq!(added.row.install_dir.as_deref(), Some(dir.path()));
        assert_eq!(added.warnings.len(), 1, "nothing says how to start it");
    }
}

#[test]
fn a_folder_must_be_one() {
    let it = home();
    for dir in ["/not/there/at/all", "/etc/passwd"] {
        let addition = Addition {
            dir: Some(dir.into()),
            ..plain("demo", 3000)
        };
        assert!(add_against(&it.home, &addition, &quiet()).is_err(), "{dir}");
    }
    assert!(!it.home.root().exists());
    let here = Addition {
        dir: Some(".".into()),
        ..plain("demo", 3000)
    };
    let added = add_against(&it.home, &here, &quiet()).unwrap();
    assert!(added.row.install_dir.unwrap().is_absolute());
}

#[test]
fn what_the_command_line_says_wrongly() {
    let it = home();
    let bad = [
        plain("", 3000),
        plain("a/b", 3000),
        plain("..", 3000),
        plain("hub", 3000),
        commanded("services.json", 3000, &["x"]),
        commanded("operator.token", 3000, &["x"]),
        plain("a b", 3000),
        plain("demo", 0),
        commanded("demo", 3000, &[""]),
        commanded("demo", 3000, &["a", "b\0"]),
        Addition {
            health: Some("health".into()),
            ..plain("demo", 3000)
        },
        Addition {
            health: Some("/a\r\nb".into()),
            ..plain("demo", 3000)
        },
        Addition {
            paths: vec!["/a".into(), "b".into()],
            ..plain("demo", 3000)
        },
        Addition {
            tagline: Some("\u{1b}[2J".into()),
            ..plain("demo", 3000)
        },
    ];
    for addition in bad {
        let error = add_against(&it.home, &addition, &quiet()).unwrap_err();
        assert_eq!(error.code, Code::Usage, "{addition:?}");
    }
    assert!(!it.home.root().exists());
}

#[test]
fn ports_that_are_refused() {
    let it = home();
    add_against(&it.home, &plain("a", 3000), &quiet()).unwrap();
    add_against(&it.home, &plain("vault", 1940), &quiet()).unwrap();
    let code = |addition: Addition| {
        check_against(&it.home, &addition, &quiet())
            .map(drop)
            .map_err(|error| error.code)
    };
    let forced = |addition| Addition {
        force: true,
        ..addition
    };
    let replaced = |addition| Addition {
        replace: true,
        ..addition
    };

    assert_eq!(code(plain("b", 3000)), Err(Code::PortTaken));
    assert_eq!(code(forced(plain("b", 3000))), Err(Code::PortTaken));
    assert_eq!(code(plain("b", 1940)), Err(Code::PortTaken));
    assert_eq!(code(plain("parachute-vault-work", 1940)), Ok(()));
    for port in [1939, 1944, 1949] {
        assert_eq!(code(plain("b", port)), Err(Code::PortReserved), "{port}");
        assert_eq!(code(forced(plain("b", port))), Ok(()), "{port}");
    }
    assert_eq!(code(plain("b", 1938)), Ok(()));
    assert_eq!(code(plain("b", 1950)), Ok(()));
    assert_eq!(code(plain("notes", 1942)), Ok(()));
    assert_eq!(code(plain("notes", 1943)), Err(Code::PortReserved));
    assert_eq!(code(plain("a", 3001)), Err(Code::AlreadyRegistered));
    assert_eq!(
        code(plain("parachute-vault", 1940)),
        Err(Code::AlreadyRegistered)
    );
    assert_eq!(code(replaced(plain("a", 3001))), Ok(()));
    assert_eq!(code(replaced(plain("a", 3000))), Ok(()));
    assert_eq!(code(replaced(plain("a", 1940))), Err(Code::PortTaken));
}

#[test]
fn a_port_in_use_is_refused_with_its_holder() {
    let it = home();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let error = check(&it.home, &plain("a", port)).unwrap_err();
    assert_eq!(error.code, Code::PortTaken);
    assert!(
        error.message.contains(&std::process::id().to_string()),
        "{error}"
    );
    let forced = Addition {
        force: true,
        ..plain("a", port)
    };
    add(&it.home, &forced).unwrap();
    let again = Addition {
        replace: true,
        ..plain("a", port)
    };
    add(&it.home, &again).unwrap();
}

#[test]
fn a_holder_that_cannot_be_seen_is_a_holder_too() {
    let it = home();
    let listeners = Listeners {
        all: vec![Listener {
            address: [127, 0, 0, 1].into(),
            port: 3000,
            uid: 4242,
            id: u64::MAX,
        }],
    };
    let error = check_against(&it.home, &plain("a", 3000), &listeners).unwrap_err();
    assert_eq!(error.code, Code::PortTaken);
    assert!(check_against(&it.home, &plain("a", 3001), &listeners).is_ok());
}

#[test]
fn a_replaced_row_keeps_what_is_not_given_and_what_is_not_ours() {
    let it = home();
    let dir = it.home.at("dir");
    fs::create_dir_all(&dir).unwrap();
    fs::write(
        it.home.registry(),
        json!({"v": 1, "services": [
            {"theirs": {"b": 1, "a": 2}, "name": "a", "port": 3000, "paths": ["/a"],
             "health": "/h", "version": "2.0.0", "displayName": "A", "installDir": dir,
             "lastStartError": {"error_type": "exited_early", "error_description": "x"}},
            {"name": "b", "port": 3001, "paths": [], "health": "/", "version": "1"},
        ]})
        .to_string(),
    )
    .unwrap();
    let addition = Addition {
        replace: true,
        ..commanded("a", 3002, &["run"])
    };
    let added = add_against(&it.home, &addition, &quiet()).unwrap();
    assert_eq!(added.replaces.as_ref().unwrap().port, 3000);
    let old_error = added.replaces.unwrap().last_start_error.unwrap();
    assert_eq!(old_error.error_type, StartErrorType::ExitedEarly);
    assert_eq!(
        serde_json::to_string(&file(&it.home)["services"][0]).unwrap(),
        format!(
            r#"{{"theirs":{{"b":1,"a":2}},"name":"a","port":3002,"paths":["/a"],"health":"/h","version":"2.0.0","displayName":"A","installDir":{dir:?}}}"#
        )
    );

    let addition = Addition {
        replace: true,
        ..commanded("a", 3002, &["walk"])
    };
    let added = add_against(&it.home, &addition, &quiet()).unwrap();
    let manifest = manifest::read(&it.home, &added.row).unwrap().unwrap();
    assert_eq!(manifest.start_cmd.unwrap(), ["walk"]);

    let addition = Addition {
        replace: true,
        ..plain("a", 3003)
    };
    let added = add_against(&it.home, &addition, &quiet()).unwrap();
    assert!(
        added.warnings[0].contains("start command stays"),
        "{:?}",
        added.warnings
    );
}

#[test]
fn a_manifest_of_the_modules_own_is_never_written_over() {
    let it = home();
    let path = manifest_file(&it.home, "demo");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for own in [r#"{"startCmd": ["own"]}"#, "not json"] {
        fs::write(&path, own).unwrap();
        let addition = commanded("demo", 3000, &["other"]);
        for addition in [
            addition.clone(),
            Addition {
                force: true,
                replace: true,
                ..addition
            },
        ] {
            assert!(add_against(&it.home, &addition, &quiet()).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), own);
        }
    }
    fs::write(&path, r#"{"startCmd": ["own"]}"#).unwrap();
    add_against(&it.home, &plain("demo", 3000), &quiet()).unwrap();
    remove(&it.home, "demo").unwrap();
    assert!(path.exists());
}

#[test]
fn removing_takes_the_row_and_our_manifest() {
    let it = home();
    add_against(&it.home, &commanded("demo", 3000, &["x"]), &quiet()).unwrap();
    add_against(&it.home, &plain("vault", 1940), &quiet()).unwrap();
    assert_eq!(remove(&it.home, "demo").unwrap().port, 3000);
    assert!(!manifest_file(&it.home, "demo").exists());
    assert_eq!(
        remove(&it.home, "parachute-vault").unwrap().short(),
        "vault"
    );
    assert_eq!(file(&it.home), json!({"services": []}));
    let error = remove(&it.home, "demo").unwrap_err();
    assert_eq!(error.code, Code::NotInstalled);
    assert!(remove(&home().home, "a\0/..").unwrap_err().message.len() < 100);
}

#[test]
fn a_bad_row_or_a_broken_file_stops_both_and_leaves_all_as_it_was() {
    for text in ["{\"services\": [{\"name\": \"a\"}]}", "{\"services\"", ""] {
        let it = home();
        fs::create_dir_all(it.home.root()).unwrap();
        fs::write(it.home.registry(), text).unwrap();
        let addition = commanded("demo", 3000, &["x"]);
        for error in [
            add_against(&it.home, &addition, &quiet()).unwrap_err(),
            remove(&it.home, "a").unwrap_err(),
        ] {
            assert_eq!(error.code, Code::RegistryBroken, "{text}");
        }
        assert_eq!(fs::read_to_string(it.home.registry()).unwrap(), text);
        assert!(!manifest_file(&it.home, "demo").exists());
    }
}

#[test]
fn when_the_row_cannot_be_written_the_manifest_is_as_it_was() {
    let it = home();
    fs::create_dir_all(it.home.root()).unwrap();
    symlink("/etc/passwd", it.home.at(rel::REGISTRY_LOCK)).unwrap();
    let addition = commanded("demo", 3000, &["x"]);
    assert!(add_against(&it.home, &addition, &quiet()).is_err());
    assert!(!manifest_file(&it.home, "demo").exists());
    assert!(!it.home.registry().exists());
}

/// Writing the manifest fails after its folders have been made.
#[test]
fn folders_that_were_made_for_nothing_are_taken_away_again() {
    let it = home();
    fs::create_dir_all(it.home.at("demo")).unwrap();
    let planned = check_against(&it.home, &commanded("demo", 3000, &["x"]), &quiet()).unwrap();
    let before = Before::of(&it.home, &planned).unwrap();
    files::replace(&it.home, rel::manifest("demo"), 0o644, b"new").unwrap();
    before.restore(&it.home);
    assert!(!it.home.at("demo/.parachute").exists());
    assert!(it.home.at("demo").is_dir(), "it was there before");

    let before = Before::of(&it.home, &planned).unwrap();
    files::replace(&it.home, rel::manifest("demo"), 0o644, b"new").unwrap();
    fs::write(it.home.at("demo/.parachute/theirs"), "").unwrap();
    before.restore(&it.home);
    assert!(!manifest_file(&it.home, "demo").exists());
    assert!(it.home.at("demo/.parachute/theirs").exists());

    files::replace(&it.home, rel::manifest("demo"), 0o644, b"old").unwrap();
    let old = r#"{"startCmd": ["old"], "writtenBy": "parachute add"}"#;
    fs::write(manifest_file(&it.home, "demo"), old).unwrap();
    let before = Before::of(&it.home, &planned).unwrap();
    files::replace(&it.home, rel::manifest("demo"), 0o644, b"new").unwrap();
    before.restore(&it.home);
    assert_eq!(
        fs::read_to_string(manifest_file(&it.home, "demo")).unwrap(),
        old
    );
}

#[test]
fn what_a_module_is_launched_from_is_told_apart_from_what_clients_see() {
    let it = home();
    let anew = |addition: Addition| {
        let addition = Addition {
            replace: true,
            ..addition
        };
        add_against(&it.home, &addition, &quiet())
            .unwrap()
            .launches_anew
    };
    assert!(!anew(commanded("demo", 3000, &["x"])), "nothing ran by it");
    assert!(!anew(commanded("demo", 3000, &["x"])));
    assert!(!anew(plain("demo", 3000)));
    let seen = Addition {
        paths: vec!["/a".into()],
        health: Some("/up".into()),
        ..plain("demo", 3000)
    };
    assert!(!anew(seen));
    assert!(anew(plain("demo", 3001)));
    assert!(anew(commanded("demo", 3001, &["x", "y"])));
    let elsewhere = Addition {
        dir: Some("/".into()),
        ..plain("demo", 3001)
    };
    assert!(anew(elsewhere));
}

#[test]
fn a_view_needs_no_start_command() {
    let it = home();
    add_against(&it.home, &plain("vault", 1940), &quiet()).unwrap();
    let view = plain("parachute-vault-work", 1940);
    let added = add_against(&it.home, &view, &quiet()).unwrap();
    assert_eq!(added.warnings, Vec::<String>::new());
    let own = plain("parachute-vault-home", 3000);
    assert_eq!(
        add_against(&it.home, &own, &quiet())
            .unwrap()
            .warnings
            .len(),
        1
    );
}

#[test]
fn a_relative_program_is_found_again_from_any_folder() {
    let it = home();
    let here = std::env::current_dir().unwrap();
    let written = |addition: Addition| {
        let addition = Addition {
            replace: true,
            ..addition
        };
        let added = add_against(&it.home, &addition, &quiet()).unwrap();
        let manifest = manifest::read(&it.home, &added.row).unwrap().unwrap();
        assert_eq!(manifest.start_cmd.as_ref(), Some(&added.command));
        added.command
    };
    let server = here.join("server").to_str().unwrap().to_owned();
    let words = ["./server", "./data"];
    assert_eq!(written(commanded("rel", 3000, &words)), [&server, "./data"]);
    assert_eq!(
        written(commanded("rel", 3000, &["bin/x"]))[0],
        here.join("bin/x").to_str().unwrap()
    );
    for as_it_is in ["server", "/bin/server"] {
        assert_eq!(written(commanded("rel", 3000, &[as_it_is])), [as_it_is]);
    }
    let named = Addition {
        dir: Some("/".into()),
        ..commanded("rel", 3000, &["./server"])
    };
    assert_eq!(written(named), ["./server"]);
    // The folder stays, and with it what is relative to it.
    assert_eq!(written(commanded("rel", 3000, &words)), words);
}
