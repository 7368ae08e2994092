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
pub(super) struct Box_ {
    _dir: tempfile::TempDir,
    pub(super) home: Home,
}

pub(super) fn home() -> Box_ {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().canonicalize().unwrap());
    Box_ { _dir: dir, home }
}

pub(super) fn home_with(text: impl AsRef<[u8]>) -> Box_ {
    let it = home();
    fs::write(it.home.registry(), text).unwrap();
    it
}

pub(super) fn row(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "paths": [], "health": "/health", "version": "1.0.0"})
}

pub(super) fn registry(rows: &[Value]) -> String {
    json!({ "services": rows }).to_string()
}

pub(super) fn text(home: &Home) -> String {
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

proptest! {
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
