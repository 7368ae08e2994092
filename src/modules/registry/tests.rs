use super::*;
use crate::{api::StartErrorType, home::rel, os::files};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    time::Duration,
};

/// A home of its own, gone with the value.
struct Box_ {
    _dir: tempfile::TempDir,
    home: Home,
}

fn home() -> Box_ {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().canonicalize().unwrap());
    Box_ { _dir: dir, home }
}

fn home_with(text: impl AsRef<[u8]>) -> Box_ {
    let it = home();
    fs::write(it.home.registry(), text).unwrap();
    it
}

fn row(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "paths": [], "health": "/health", "version": "1.0.0"})
}

fn registry(rows: &[Value]) -> String {
    json!({ "services": rows }).to_string()
}

fn text(home: &Home) -> String {
    fs::read_to_string(home.registry()).unwrap()
}

#[test]
fn a_missing_file_is_an_empty_registry() {
    let it = home();
    assert!(Registry::read(&it.home).unwrap().rows.is_empty());
    assert!(Registry::read_strict(&it.home).unwrap().rows.is_empty());
    assert_eq!(fs::read_dir(it.home.root()).unwrap().count(), 0);
    let nowhere = Home::new(it.home.at("not/there"));
    assert!(Registry::read(&nowhere).unwrap().rows.is_empty());
}

#[test]
fn what_is_no_registry_is_a_clear_error_and_is_never_written_over() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"{\"services\": [", "not valid JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "has no `services`"),
        (b"{\"services\": {}}", "not an array"),
        (b"{\"services\": null}", "not an array"),
        (b"{\"services\": []} x", "not valid JSON"),
        (b"{\"services\": [], \"a\": 1e}", "not valid JSON"),
    ];
    for (bytes, says) in cases {
        let it = home_with(bytes);
        for error in [
            Registry::read(&it.home).unwrap_err(),
            Registry::read_strict(&it.home).unwrap_err(),
            edit(&it.home, |_| Ok(true)).unwrap_err(),
        ] {
            assert_eq!(error.code, Code::RegistryBroken, "{error}");
            assert!(error.message.contains(says), "{error} has no {says}");
            assert!(error.message.contains("services.json"), "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
        assert_eq!(fs::read(it.home.registry()).unwrap(), *bytes);
    }
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let it = home_with(format!("{{\"services\": {}", "[".repeat(1_000_000)));
    assert_eq!(
        Registry::read(&it.home).unwrap_err().code,
        Code::RegistryBroken
    );
}

#[test]
fn odd_places_of_the_file_are_told_apart() {
    let it = home();
    fs::create_dir(it.home.registry()).unwrap();
    let error = Registry::read(&it.home).unwrap_err();
    assert!(error.message.contains("is a directory"), "{error}");

    let it = home();
    symlink("/nowhere/at/all.json", it.home.registry()).unwrap();
    let error = Registry::read(&it.home).unwrap_err();
    assert!(error.message.contains("leads nowhere"), "{error}");
    assert!(edit(&it.home, |_| Ok(true)).is_err());
    assert!(it.home.registry().is_symlink());

    let it = home();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        it.home.registry(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let error = Registry::read(&it.home).unwrap_err();
    assert!(error.message.contains("not a regular file"), "{error}");

    let it = home();
    fs::write(it.home.at("file"), "").unwrap();
    let error = Registry::read(&Home::new(it.home.at("file"))).unwrap_err();
    assert_eq!(error.code, Code::HomeUnusable);

    let it = home();
    fs::File::create(it.home.registry())
        .unwrap()
        .set_len(65 * 1024 * 1024)
        .unwrap();
    let error = Registry::read(&it.home).unwrap_err();
    assert!(error.message.contains("64 MiB"), "{error}");
}

#[test]
fn an_unreadable_file_is_a_matter_of_permission() {
    let it = home_with(registry(&[]));
    fs::set_permissions(it.home.registry(), fs::Permissions::from_mode(0o000)).unwrap();
    if crate::os::identity::euid() == 0 {
        return;
    }
    assert_eq!(
        Registry::read(&it.home).unwrap_err().code,
        Code::NoPermission
    );
    assert_eq!(
        edit(&it.home, |_| Ok(true)).unwrap_err().code,
        Code::NoPermission
    );
}

#[test]
fn byte_order_mark_and_crlf_are_fine() {
    let body = registry(&[row("a", 3000)]).replace(',', ",\r\n");
    let it = home_with(format!("\u{feff}{body}\r\n"));
    assert_eq!(Registry::read_strict(&it.home).unwrap().rows.len(), 1);
    edit(&it.home, |doc| {
        doc.rows_mut().push(row("b", 3001));
        Ok(true)
    })
    .unwrap();
    assert!(text(&it.home).starts_with("{\n  \"services\": [\n    {\n      \"name\": \"a\""));
}

#[test]
fn ten_megabytes_are_read_and_changed() {
    let mut rows: Vec<_> = (0..20_000)
        .map(|n| {
            let mut row = row(&format!("m{n}"), 3000 + n);
            row["blob"] = json!("x".repeat(500));
            row
        })
        .collect();
    rows[7]["n"] = json!(1.5);
    let it = home_with(registry(&rows));
    assert!(fs::metadata(it.home.registry()).unwrap().len() > 10_000_000);
    let error = StartError::new(StartErrorType::ExitedEarly, "gone");
    set_start_error(&it.home, "m7", Some(&error)).unwrap();
    let read = Registry::read_strict(&it.home).unwrap();
    assert_eq!(read.rows.len(), 20_000);
    assert_eq!(
        read.find("m7")
            .unwrap()
            .last_start_error
            .as_ref()
            .unwrap()
            .error_description,
        "gone"
    );
}

/// One bad row takes nobody else down.
#[test]
fn a_bad_row_is_a_warning_to_readers_and_an_error_to_writers() {
    let wrong: &[(&str, Value)] = &[
        ("name", json!(3)),
        ("name", json!("")),
        ("name", json!("a/b")),
        ("name", json!("..")),
        ("name", json!("a\0b")),
        ("name", json!("a\u{1b}[31m")),
        ("name", json!("n".repeat(300))),
        ("name", json!("hub")),
        ("name", json!("services.json")),
        ("name", json!("services.json.lock")),
        ("name", json!("operator.token")),
        ("name", json!("operator.token.old")),
        ("name", json!("hub-instance.json")),
        ("name", json!("expose-state.json")),
        ("port", json!(0)),
        ("port", json!(65536)),
        ("port", json!(-1)),
        ("port", json!("3000")),
        ("port", json!(3000.5)),
        ("port", json!(null)),
        ("paths", json!("/a")),
        ("paths", json!([1])),
        ("health", json!("health")),
        ("health", json!("/a\r\nb")),
        ("version", json!(1)),
        ("displayName", json!(1)),
        ("tagline", json!([])),
        ("installDir", json!("")),
        ("installDir", json!("relative")),
        ("publicExposure", json!("everyone")),
        ("stripPrefix", json!("yes")),
        ("uis", json!([])),
        ("uis", json!({"a": {"path": "/"}})),
    ];
    for (field, value) in wrong {
        let mut bad = row("bad", 3000);
        bad[field] = value.clone();
        let it = home_with(registry(&[
            row("good", 3001),
            bad,
            row("parachute-vault", 3002),
        ]));
        let read = Registry::read(&it.home).unwrap();
        let names: Vec<_> = read.rows.iter().map(Row::short).collect();
        assert_eq!(names, ["good", "vault"], "{field} {value}");
        assert_eq!(read.warnings.len(), 1);
        let error = Registry::read_strict(&it.home).unwrap_err();
        assert_eq!(error.code, Code::RegistryBroken);
        for said in [&error.message, &read.warnings[0]] {
            assert!(said.contains("row 2"), "{said}");
            assert!(said.contains(&format!("`{field}`")), "{said}");
            assert!(said.contains("services.json"), "{said}");
            assert!(!said.chars().any(char::is_control), "{said}");
            assert!(said.len() < 500, "{said}");
        }
    }
    let it = home_with(registry(&[json!(7), row("good", 3001)]));
    assert_eq!(Registry::read(&it.home).unwrap().rows.len(), 1);
    assert!(Registry::read_strict(&it.home).is_err());
}

#[test]
fn the_first_of_two_wins_unless_they_are_vaults() {
    let it = home_with(registry(&[
        row("a", 3000),
        row("a", 3001),
        row("b", 3000),
        row("parachute-vault", 1940),
        row("vault", 1950),
        row("parachute-vault-work", 1940),
        row("c", 1940),
    ]));
    let read = Registry::read(&it.home).unwrap();
    let names: Vec<_> = read.rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "parachute-vault", "parachute-vault-work"]);
    assert_eq!(read.warnings.len(), 4);
    let view = read.find("parachute-vault-work").unwrap();
    assert_eq!(read.process_of(view).short(), "vault");
    assert_eq!(read.process_of(read.find("a").unwrap()).short(), "a");
    assert!(Registry::read_strict(&it.home).is_err());
}

#[test]
fn both_names_of_a_first_party_module_mean_it() {
    let it = home_with(registry(&[
        row("parachute-vault", 1940),
        row("parachute-x", 3000),
    ]));
    let read = Registry::read_strict(&it.home).unwrap();
    assert_eq!(read.find("vault"), read.find("parachute-vault"));
    assert_eq!(read.find("parachute-x").unwrap().short(), "parachute-x");
    assert_eq!(read.find("x"), None);
}

#[test]
fn whole_numbers_in_any_spelling_are_ports() {
    for port in ["1940", "1940.0", "1.94e3", "19400E-1"] {
        let text = registry(&[row("a", 1)]).replace("\"port\":1", &format!("\"port\":{port}"));
        let read = Registry::parse(text.as_bytes(), Path::new("f")).unwrap();
        assert_eq!(read.rows[0].port, 1940, "{port}");
    }
}

#[test]
fn where_a_client_reaches_a_module() {
    let url = |name: &str, paths: Value| {
        let mut row = row(name, 3000);
        row["paths"] = paths;
        row::parse(&row).unwrap().url()
    };
    let at = |rest: &str| format!("http://127.0.0.1:3000{rest}");
    assert_eq!(
        url("parachute-vault", json!(["/vault/default"])),
        at("/vault/default/mcp")
    );
    assert_eq!(
        url("parachute-vault-b", json!(["/vault/b/"])),
        at("/vault/b/mcp")
    );
    assert_eq!(url("parachute-scribe", json!(["/scribe"])), at(""));
    assert_eq!(url("notes", json!(["/notes"])), at("/notes"));
    assert_eq!(url("x", json!(["x"])), at("/x"));
    assert_eq!(url("x", json!([])), at(""));
}

#[test]
fn names_for_new_modules() {
    for name in [
        "a",
        "0",
        "a.b_c-d",
        "vault",
        "parachute-vault-x",
        &"n".repeat(64),
    ] {
        assert!(Name::new(name).is_ok(), "{name}");
    }
    for name in [
        "",
        "A",
        "-a",
        ".a",
        "_a",
        "a/b",
        "..",
        "a b",
        "a\0",
        "ä",
        "hub",
        "operations",
        "events",
        "services.json",
        "services.json.lock",
        "operator.token",
        "operator.token.old",
        "hub-instance.json",
        "expose-state.json",
        &"n".repeat(65),
        &"n".repeat(300),
    ] {
        let error = Name::new(name).unwrap_err();
        assert_eq!(error.code, Code::Usage, "{name}");
        assert!(error.message.len() < 200 && !error.message.contains('\0'));
    }
    assert_eq!(Name::new("parachute-vault").unwrap().short(), "vault");
    assert_eq!(Name::new("vault").unwrap().service(), "parachute-vault");
}

#[test]
fn a_malformed_start_error_is_dropped_and_no_error() {
    for bad in [json!(1), json!({}), json!({"error_type": 3}), json!("x")] {
        let mut value = row("a", 3000);
        value["lastStartError"] = bad;
        let it = home_with(registry(&[value]));
        assert_eq!(
            Registry::read_strict(&it.home).unwrap().rows[0].last_start_error,
            None
        );
    }
}

#[test]
fn a_start_error_is_set_and_removed_and_nothing_else_changes() {
    let before = "{\n  \"x\": 1e5,\n  \"services\": [\n    {\n      \"name\": \"a\",\n      \"port\": 3000,\n      \"paths\": [],\n      \"big\": 123456789012345678901234567890,\n      \"health\": \"/\",\n      \"version\": \"1\",\n      \"z\": 1.0\n    }\n  ],\n  \"y\": -0\n}\n";
    let it = home_with(before);
    let error = StartError::new(StartErrorType::MissingDependency, "two\nlines");
    set_start_error(&it.home, "a", Some(&error)).unwrap();
    let read = Registry::read_strict(&it.home).unwrap();
    let kept = read.rows[0].last_start_error.clone().unwrap();
    assert_eq!(kept.error_description, "two\nlines");

    let inode = fs::metadata(it.home.registry()).unwrap().ino();
    set_start_error(&it.home, "a", Some(&error)).unwrap();
    set_start_error(&it.home, "nobody", Some(&error)).unwrap();
    assert_eq!(fs::metadata(it.home.registry()).unwrap().ino(), inode);

    set_start_error(&it.home, "a", None).unwrap();
    assert_eq!(text(&it.home), before);
}

#[test]
fn what_is_written_into_a_row_goes_into_the_one_that_readers_see() {
    let mut bad = row("a", 3000);
    bad["health"] = json!("health");
    let it = home_with(registry(&[
        row("b", 3001),
        bad.clone(),
        row("a", 3001),
        row("a", 3002),
        row("a", 3003),
    ]));
    let error = StartError::new(StartErrorType::ExitedEarly, "gone");
    set_start_error(&it.home, "a", Some(&error)).unwrap();
    let read = Registry::read(&it.home).unwrap();
    assert_eq!(read.find("a").unwrap().port, 3002);
    assert!(read.find("a").unwrap().last_start_error.is_some());
    let value: Value = serde_json::from_str(&text(&it.home)).unwrap();
    let with: Vec<bool> = (0..5)
        .map(|n| value["services"][n].get("lastStartError").is_some())
        .collect();
    assert_eq!(with, [false, false, false, true, false]);

    let it = home_with(registry(&[bad.clone(), bad]));
    let before = text(&it.home);
    set_start_error(&it.home, "a", Some(&error)).unwrap();
    assert_eq!(text(&it.home), before);
}

/// JavaScript writes these when it cuts a text inside an emoji.
#[test]
fn half_a_character_takes_nobody_down_and_stays_to_the_letter() {
    let before = r#"{
  "x\uDE00": "\ud83d",
  "services": [
    {
      "name": "a",
      "port": 3e3,
      "paths": [
        "/\uD83D"
      ],
      "health": "/",
      "version": "\ud83d\ud83d",
      "displayName": "cut \ud83d",
      "\udE00": {
        "\\ud83d": 1
      }
    },
    {
      "name": "b\ud83d",
      "port": 3001,
      "paths": [],
      "health": "/",
      "version": "1"
    }
  ]
}
"#;
    let it = home_with(before);
    let read = Registry::read(&it.home).unwrap();
    assert_eq!(read.warnings, Vec::<String>::new());
    let a = read.find("a").unwrap();
    assert_eq!(a.port, 3000);
    assert_eq!(a.display_name.as_deref(), Some("cut \u{fffd}"));
    assert_eq!(a.version, "\u{fffd}\u{fffd}");
    assert_eq!(a.paths, ["/\u{fffd}"]);
    assert_eq!(Registry::read_strict(&it.home).unwrap().rows, read.rows);

    let document = load(&it.home).unwrap();
    assert_eq!(document.rows()[0]["\u{fffd}"]["\\ud83d"], json!(1));
    let version = document.field("a", "version").unwrap();
    assert_eq!(version, json!("\u{fffd}\u{fffd}"));
    let error = StartError::new(StartErrorType::ExitedEarly, "gone");
    for name in ["a", "b\u{fffd}"] {
        set_start_error(&it.home, name, Some(&error)).unwrap();
        let read = Registry::read(&it.home).unwrap();
        assert!(read.find(name).unwrap().last_start_error.is_some());
        set_start_error(&it.home, name, None).unwrap();
    }
    assert_eq!(text(&it.home), before);
}

#[test]
fn nothing_is_made_where_nothing_changes() {
    let it = home();
    set_start_error(&it.home, "a", None).unwrap();
    assert_eq!(fs::read_dir(it.home.root()).unwrap().count(), 0);
}

#[test]
fn mode_is_kept_and_no_litter_left() {
    let it = home_with(registry(&[]));
    fs::set_permissions(it.home.registry(), fs::Permissions::from_mode(0o640)).unwrap();
    edit(&it.home, |doc| {
        doc.rows_mut().push(row("a", 3000));
        Ok(true)
    })
    .unwrap();
    let meta = fs::metadata(it.home.registry()).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o640);
    let mut names: Vec<_> = fs::read_dir(it.home.root())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["services.json", "services.json.lock"]);
}

#[test]
fn the_owner_is_kept() {
    if crate::os::identity::euid() != 0 {
        return;
    }
    let it = home_with(registry(&[]));
    std::os::unix::fs::chown(it.home.registry(), Some(4242), Some(4243)).unwrap();
    edit(&it.home, |doc| {
        doc.rows_mut().push(row("a", 3000));
        Ok(true)
    })
    .unwrap();
    let meta = fs::metadata(it.home.registry()).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (4242, 4243));
}

#[test]
fn a_link_to_elsewhere_stays_a_link() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.json");
    fs::write(&target, registry(&[])).unwrap();
    let it = home();
    symlink(&target, it.home.registry()).unwrap();
    edit(&it.home, |doc| {
        doc.rows_mut().push(row("a", 3000));
        Ok(true)
    })
    .unwrap();
    assert!(it.home.registry().is_symlink());
    assert!(fs::read_to_string(&target).unwrap().contains("\"a\""));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_the_file_as_it_was() {
    if crate::os::identity::euid() == 0 {
        return;
    }
    let it = home_with(registry(&[]));
    fs::write(it.home.at(rel::REGISTRY_LOCK), "").unwrap();
    let before = text(&it.home);
    fs::set_permissions(it.home.root(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = edit(&it.home, |doc| {
        doc.rows_mut().push(row("a", 3000));
        Ok(true)
    })
    .unwrap_err();
    fs::set_permissions(it.home.root(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(error.code, Code::NoPermission);
    assert_eq!(text(&it.home), before);
}

/// A writer without a lock changes the file between our reading and our rename.
#[test]
fn an_edit_is_made_anew_when_the_file_changes_under_it() {
    let it = home_with(registry(&[row("a", 3000)]));
    let mut calls = 0;
    edit(&it.home, |doc| {
        calls += 1;
        if calls <= 4 {
            let text = registry(&[row("a", 3000), row("theirs", 4000 + calls)]);
            fs::write(it.home.at("new"), text).unwrap();
            fs::rename(it.home.at("new"), it.home.registry()).unwrap();
        }
        doc.rows_mut().push(row("ours", 5000));
        Ok(true)
    })
    .unwrap();
    let read = Registry::read_strict(&it.home).unwrap();
    let names: Vec<_> = read.rows.iter().map(Row::short).collect();
    assert_eq!(names, ["a", "theirs", "ours"]);
    assert_eq!(read.find("theirs").unwrap().port, 4004);
}

#[test]
fn a_file_that_never_rests_is_an_error_and_is_left_to_the_other() {
    let it = home_with(registry(&[]));
    let mut calls = 0;
    let error = edit(&it.home, |doc| {
        calls += 1;
        fs::write(it.home.registry(), registry(&[row("theirs", 4000 + calls)])).unwrap();
        doc.rows_mut().push(row("ours", 3999));
        Ok(true)
    })
    .unwrap_err();
    assert_eq!(error.code, Code::TimedOut);
    assert!(
        Registry::read_strict(&it.home)
            .unwrap()
            .find("ours")
            .is_none()
    );
}

#[test]
fn writers_of_ours_take_turns() {
    let it = home_with(registry(&[row("a", 3000)]));
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let home = &it.home;
            scope.spawn(move || {
                for n in 0..5 {
                    edit(home, |doc| {
                        doc.row_mut("a")
                            .unwrap()
                            .insert(format!("f{writer}-{n}"), json!(n));
                        Ok(true)
                    })
                    .unwrap();
                }
            });
        }
    });
    let value: Value = serde_json::from_str(&text(&it.home)).unwrap();
    assert_eq!(value["services"][0].as_object().unwrap().len(), 5 + 15);
}

#[test]
fn a_held_lock_is_waited_for() {
    let it = home_with(registry(&[row("a", 3000)]));
    let lock = files::lock(&it.home, rel::REGISTRY_LOCK, Duration::from_secs(5)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            set_start_error(
                &it.home,
                "a",
                Some(&StartError::new(StartErrorType::ExitedEarly, "x")),
            )
        });
        assert!(!text(&it.home).contains("lastStartError"));
        drop(lock);
        writer.join().unwrap().unwrap();
    });
    assert!(text(&it.home).contains("lastStartError"));
}

#[test]
fn of_a_key_that_is_there_twice_the_last_counts() {
    let it = home_with(r#"{"a": 1, "services": [], "b": 2e1, "a": 3E0}"#);
    edit(&it.home, |doc| {
        doc.rows_mut().push(json!({}));
        Ok(true)
    })
    .unwrap();
    assert_eq!(
        text(&it.home),
        "{\n  \"a\": 3E0,\n  \"services\": [\n    {}\n  ],\n  \"b\": 2e1\n}\n"
    );
}

/// JSON text in the form that the store writes, so that equal trees are equal bytes.
fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,3})?",
        Just("1e5".to_owned()),
        Just("-0".to_owned()),
        Just("1E-2".to_owned()),
    ];
    let leaf = prop_oneof![
        number,
        any_string(),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"1e5\"".to_owned()),
        Just("\"\\\"1e5\"".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((any_string(), inner), 0..5).prop_map(|fields| {
                let mut seen = std::collections::HashSet::new();
                let fields: Vec<_> = fields
                    .iter()
                    .filter(|(key, _)| seen.insert(key.clone()))
                    .map(|(key, value)| format!("{key}:{value}"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// A string in that form: pieces of text, with halves of characters between them that no two of
/// make a whole one.
fn any_string() -> impl Strategy<Value = String> {
    let text = any::<String>().prop_map(|text| {
        let quoted = serde_json::to_string(&text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    });
    let halves = "(\\\\u[dD][c-fC-F][0-9a-f]{2}){0,2}(\\\\u[dD][89abAB][0-9A-F]{2}){0,2}";
    let pieces = (text.clone(), halves, text).prop_map(|(a, b, c)| format!("\"{a}{b}{c}\""));
    prop_oneof![
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        pieces
    ]
}

/// The code units of what is between the quotes of a JSON string, as JavaScript has them.
fn units(inner: &str) -> Vec<u16> {
    let (mut out, mut rest) = (Vec::new(), inner);
    while let Some(c) = rest.chars().next() {
        let escape = rest.get(..6).and_then(|escape| escape.strip_prefix("\\u"));
        if let Some(digits) = escape {
            out.push(u16::from_str_radix(digits, 16).unwrap());
            rest = &rest[6..];
        } else if c == '\\' {
            let value: String = serde_json::from_str(&format!("\"{}\"", &rest[..2])).unwrap();
            out.extend(value.encode_utf16());
            rest = &rest[2..];
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter());
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Without the white space outside of strings.
fn squeezed(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        if quoted || !c.is_ascii_whitespace() {
            out.push(c);
        }
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
    }
    out
}

proptest! {
    #[test]
    fn what_is_not_ours_keeps_its_text(outer in any_json(), inner in any_json(), last in any_json()) {
        let text = format!(
            "{{\"outer\":{outer},\"services\":[{{\"name\":\"a\",\"inner\":{inner}}},{last}],\"end\":1e5}}"
        );
        let doc = Document::parse(text.as_bytes(), Path::new("f")).unwrap();
        let out = String::from_utf8(doc.render().unwrap()).unwrap();
        prop_assert_eq!(squeezed(&out), text);
        let closed = out.ends_with("}\n");
        prop_assert!(closed);
    }

    #[test]
    fn a_string_of_any_code_units_is_read_as_text_and_kept_as_it_was(
        kept in proptest::collection::vec(
            prop_oneof![any::<u16>(), 0xd7ff_u16..0xe002, Just(0x5c), Just(0x22), 0x20_u16..0x7f], 0..12,
        ),
    ) {
        let escaped: String = kept.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let text = format!(r#"{{"services":[{{"name":"a","port":1,"paths":[],"health":"/","version":"{escaped}"}}]}}"#);
        let read = Registry::parse(text.as_bytes(), Path::new("f")).unwrap();
        prop_assert_eq!(&read.rows[0].version, &String::from_utf16_lossy(&kept));
        let doc = Document::parse(text.as_bytes(), Path::new("f")).unwrap();
        prop_assert_eq!(&doc.rows()[0]["version"], &json!(String::from_utf16_lossy(&kept)));
        let out = String::from_utf8(doc.render().unwrap()).unwrap();
        let line = out.lines().find_map(|line| line.trim().strip_prefix("\"version\": ")).unwrap();
        prop_assert_eq!(units(&line[1..line.len() - 1]), kept);
    }

    #[test]
    fn no_text_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), rows in any_json()) {
        let _ = Registry::parse(&bytes, Path::new("f"));
        let text = format!("{{\"services\":[{rows}]}}");
        let _ = Registry::parse(text.as_bytes(), Path::new("f"));
        let _ = Document::parse(text.as_bytes(), Path::new("f")).map(|doc| doc.rows());
    }

    #[test]
    fn a_new_name_is_always_a_safe_row(name in ".{0,70}") {
        if let Ok(name) = Name::new(&name) {
            let service = name.service();
            prop_assert_eq!(unsafe_segment(&service), None);
            prop_assert_eq!(short_of(&service), name.short());
        }
    }
}

/// Another program rewrites the file as fast as it can, by rename and without a lock.
#[test]
fn a_racing_writer_without_a_lock_keeps_its_last_word() {
    const LAST: u64 = 300;
    let it = home_with(registry(&[row("a", 3000)]));
    let set = |n: u64| {
        edit(&it.home, |doc| {
            doc.row_mut("a").unwrap().insert("ours".into(), json!(n));
            Ok(true)
        })
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            for n in 1..=LAST {
                let mut value: Value = serde_json::from_str(&text(&it.home)).unwrap();
                value["theirs"] = json!(n);
                fs::write(it.home.at("new"), value.to_string()).unwrap();
                fs::rename(it.home.at("new"), it.home.registry()).unwrap();
            }
        });
        let mut n = 0;
        while !other.is_finished() {
            n += 1;
            if let Err(error) = set(n) {
                assert_eq!(error.code, Code::TimedOut, "{error}");
            }
            Registry::read_strict(&it.home).unwrap();
        }
    });
    set(7).unwrap();
    let value: Value = serde_json::from_str(&text(&it.home)).unwrap();
    assert_eq!(value["theirs"], json!(LAST));
    assert_eq!(value["services"][0]["ours"], json!(7));
}
