//! Holds `field-notes.md` true: every note has a line, every test that is named is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// How many notes there are.
const NOTES: u32 = 53;

/// Notes whose tests come with a room that is not there yet.
const PENDING: &[(u32, &str)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each note and what its line names.
fn map(text: &str) -> BTreeMap<u32, Vec<String>> {
    let mut map = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("- note ") else {
            continue;
        };
        let (number, rest) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (_, tests) = rest
            .split_once("): ")
            .unwrap_or_else(|| panic!("what it is about is missing: {line}"));
        let tests = tests.split(", ").map(str::to_owned).collect();
        assert!(
            map.insert(number.parse().unwrap(), tests).is_none(),
            "twice: {line}"
        );
    }
    map
}

/// The file that a test's name leads to, and the function in it.
fn place(name: &str) -> Option<(PathBuf, &str)> {
    let (module, function) = name.rsplit_once("::")?;
    if module.starts_with("src/") {
        return Some((root().join(module), function));
    }
    let path = root().join("tests").join(module.replace("::", "/"));
    let file = path.with_extension("rs");
    Some((
        if file.exists() {
            file
        } else {
            path.join("mod.rs")
        },
        function,
    ))
}

/// What is wrong with a test's name; nothing when it is there.
fn fault(name: &str) -> Option<String> {
    let Some((file, function)) = place(name) else {
        return Some(format!("`{name}` is no name of a test"));
    };
    let Ok(text) = fs::read_to_string(&file) else {
        return Some(format!("`{name}`: there is no {}", file.display()));
    };
    let Some(at) = text.find(&format!("fn {function}(")) else {
        return Some(format!("`{name}`: no such function in {}", file.display()));
    };
    // Its attributes stand right above it.
    let mut above = text[..at].rsplit('\n').skip(1);
    let test = above
        .by_ref()
        .take_while(|line| !line.trim().is_empty() && line.trim() != "}")
        .any(|line| line.contains("#[test]") || line.contains("#[tokio::test"));
    (!test).then(|| format!("`{name}` is not a test"))
}

#[test]
fn every_note_has_its_tests() {
    let map = map(&fs::read_to_string(root().join("tests/field-notes.md")).unwrap());
    let mut faults = Vec::new();
    for note in 1..=NOTES {
        match map.get(&note).map(Vec::as_slice) {
            None => faults.push(format!("note {note} has no line")),
            Some([only]) if only.starts_with("pending: ") => {
                let room = only.trim_start_matches("pending: ");
                if !PENDING.contains(&(note, room)) {
                    faults.push(format!("note {note} may not be pending"));
                }
            }
            Some(tests) => faults.extend(
                tests
                    .iter()
                    .filter_map(|t| fault(t))
                    .map(|f| format!("note {note}: {f}")),
            ),
        }
    }
    faults.extend(
        map.keys()
            .filter(|n| !(1..=NOTES).contains(n))
            .map(|n| format!("there is no note {n}")),
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_checker_sees_what_is_wrong() {
    assert_eq!(fault("field_notes::the_checker_sees_what_is_wrong"), None);
    assert!(fault("field_notes::nobody").is_some());
    assert!(fault("nowhere::at_all").is_some());
    assert!(fault("field_notes::place").unwrap().contains("not a test"));
    assert!(fault("plain").is_some());
    assert!(fault("src/nowhere.rs::x").is_some());
    let map = map("text\n- note 7 (x y): a::b, c::d\n- note 8 (z): pending: hub\n");
    assert_eq!(map[&7], ["a::b", "c::d"]);
    assert_eq!(map[&8], ["pending: hub"]);
}
