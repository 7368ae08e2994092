//! The walls of the house: who may import whom, who prints, who exits, who knows the operating
//! system. Reads every source file as tokens; comments and strings do not count.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the ground is; every room may use it.
const GROUND: &[&str] = &["api", "home", "error"];

/// Each room and what it may import, beside itself and the ground.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("cli", &["commands"]),
    (
        "commands",
        &[
            "cli",
            "lifecycle",
            "server",
            "supervisor",
            "manager",
            "client",
            "keys",
            "modules",
            "output",
            "context",
            "os",
        ],
    ),
    (
        "lifecycle",
        &["manager", "client", "modules", "context", "os"],
    ),
    ("server", &["supervisor", "keys", "modules", "os"]),
    ("supervisor", &["modules", "os"]),
    ("manager", &["context", "os"]),
    ("client", &["os"]),
    ("keys", &["os"]),
    ("modules", &["os"]),
    ("output", &["context"]),
    ("context", &["os"]),
    ("os", &[]),
    ("api", &[]),
    ("home", &[]),
    ("error", &[]),
];

/// A word, or a piece of punctuation (`::` is one).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// Rust as tokens: without comments, strings, characters and numbers.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    let mut push = |text: String, line: usize| out.push(Token { text, line });
    while i < chars.len() {
        let c = at(i);
        let from = i;
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars, i) {
            while at(i) != '"' {
                i += 1;
            }
            i += 1;
            let end: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', hashes))
                .collect();
            while i < chars.len() && !chars[i..].starts_with(&end) {
                i += 1;
            }
            i += end.len();
        } else if c == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // A character; anything else with a quote is a lifetime.
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            // `b"…"` and `c"…"` are strings, their letter is no word.
            if !(c.is_numeric() || at(i) == '"' && i - from == 1) {
                push(chars[from..i].iter().collect(), line);
            }
        } else if c == ':' && at(i + 1) == ':' {
            push("::".to_owned(), line);
            i += 2;
        } else {
            if !c.is_whitespace() {
                push(c.to_string(), line);
            }
            i += 1;
        }
        line += chars[from..i.min(chars.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    out
}

/// How many `#` a raw string that begins here has.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let word = at
        .checked_sub(1)
        .and_then(|i| chars.get(i))
        .is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let mut i = at;
    if chars.get(i).is_some_and(|c| matches!(c, 'b' | 'c')) {
        i += 1;
    }
    if word || chars.get(i) != Some(&'r') {
        return None;
    }
    let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(i + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// The rooms that a file names, each with the line: `crate::room`, `crate::{room, …}`, and as many
/// `super::` as lead to the crate. `depth` is how deep in the crate the file's module is.
fn imports(tokens: &[Token], depth: usize) -> Vec<(String, usize)> {
    let is = |i: usize, text: &str| tokens.get(i).is_some_and(|t| t.text == text);
    let mut found = Vec::new();
    // At which brace depth each inline module ends.
    let (mut braces, mut inline) = (0_usize, Vec::new());
    for i in 0..tokens.len() {
        match tokens[i].text.as_str() {
            "{" => {
                braces += 1;
                if i >= 2 && is(i - 2, "mod") {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
        let begins = !i.checked_sub(1).is_some_and(|i| is(i, "::"));
        let root = if begins && (is(i, "crate") || is(i, "parachute")) && is(i + 1, "::") {
            Some(i + 2)
        } else if begins && is(i, "super") {
            let mut end = i;
            let mut count = 0;
            while is(end, "super") && is(end + 1, "::") {
                (count, end) = (count + 1, end + 2);
            }
            (count >= depth + inline.len() && depth > 0).then_some(end)
        } else {
            None
        };
        let Some(root) = root else { continue };
        if is(root, "{") {
            found.extend(group(tokens, root));
        } else if let Some(token) = tokens.get(root) {
            found.push((token.text.clone(), token.line));
        }
    }
    found
}

/// The first word of each entry of a group that begins here.
fn group(tokens: &[Token], open: usize) -> Vec<(String, usize)> {
    let (mut depth, mut first, mut found) = (0, true, Vec::new());
    for token in &tokens[open..] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => first = true,
            word if depth == 1 && first => {
                found.push((word.to_owned(), token.line));
                first = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// A source file: where it is, its room, how deep its module is, whether it is for tests.
struct Source {
    path: PathBuf,
    room: String,
    depth: usize,
    tests: bool,
    tokens: Vec<Token>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        let named: Vec<&&str> = parts.iter().filter(|p| **p != "mod").collect();
        Self {
            room: parts[0].to_owned(),
            depth: named.len(),
            tests: parts.iter().any(|p| *p == "tests" || p.ends_with("_tests"))
                || path == "os/kid.rs",
            tokens: tokens(text),
            path: PathBuf::from(path),
        }
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.path.display())
    }
}

/// Every file beneath src, paths relative to that.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, to: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, to);
            } else if path.extension().is_some_and(|e| e == "rs") {
                to.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().to_str().unwrap();
        Source::new(relative, &fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

/// Imports that the table does not allow.
fn trespasses(source: &Source) -> Vec<String> {
    if matches!(source.room.as_str(), "main" | "lib") {
        return Vec::new();
    }
    let Some((_, may)) = MAY_IMPORT.iter().find(|(room, _)| *room == source.room) else {
        return vec![source.at(1, "a room that the table of this test does not know")];
    };
    let fine = |room: &str| room == source.room || GROUND.contains(&room) || may.contains(&room);
    imports(&source.tokens, source.depth)
        .into_iter()
        .filter(|(room, _)| MAY_IMPORT.iter().any(|(known, _)| known == room) && !fine(room))
        .map(|(room, line)| source.at(line, &format!("`{}` does not import `{room}`", source.room)))
        .collect()
}

/// Words that only some places may use.
fn loose_words(source: &Source) -> Vec<String> {
    let words = &source.tokens;
    let is = |i: usize, text: &str| words.get(i).is_some_and(|t| t.text == text);
    let mut found = Vec::new();
    for (i, token) in words.iter().enumerate() {
        let after_dot = i.checked_sub(1).is_some_and(|i| is(i, ".") || is(i, "fn"));
        let wrong = match token.text.as_str() {
            "print" | "println" | "eprint" | "eprintln" | "dbg" if is(i + 1, "!") => (!source
                .tests)
                .then_some("only `commands` and `output` print, and those without macros"),
            "stdout" | "stderr" if is(i + 1, "(") && !after_dot && !is(i + 4, "is_terminal") => {
                let prints = matches!(source.room.as_str(), "commands" | "output");
                (!prints && !source.tests).then_some("only `commands` and `output` print")
            }
            "anstream" => {
                let prints = matches!(source.room.as_str(), "commands" | "output");
                (!prints).then_some("only `commands` and `output` print")
            }
            "target_os" => (source.room != "os").then_some("only `os` knows the operating system"),
            "ExitCode" => (source.room != "main").then_some("only `main` ends the program"),
            "exit" if is(i.wrapping_sub(1), "::") && is(i.wrapping_sub(2), "process") => {
                (source.room != "main").then_some("only `main` ends the program")
            }
            "var" | "var_os" | "vars" | "vars_os" | "set_var" | "remove_var"
                if is(i.wrapping_sub(1), "::") && is(i.wrapping_sub(2), "env") =>
            {
                (source.room != "context" && !source.tests)
                    .then_some("only `context` reads the environment")
            }
            "unsafe" => (source.room != "os").then_some("unsafe code is in `os` alone"),
            _ => None,
        };
        found.extend(wrong.map(|why| source.at(token.line, &format!("`{}`: {why}", token.text))));
    }
    found
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let found: Vec<String> = sources().iter().flat_map(trespasses).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn printing_exiting_and_the_operating_system_have_their_places() {
    let found: Vec<String> = sources().iter().flat_map(loose_words).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_table_is_of_rooms_that_are_there() {
    let rooms: Vec<String> = sources().into_iter().map(|s| s.room).collect();
    for (room, may) in MAY_IMPORT {
        assert!(rooms.iter().any(|r| r == room), "there is no room `{room}`");
        assert!(
            may.iter()
                .all(|other| MAY_IMPORT.iter().any(|(known, _)| known == other)),
            "{room}"
        );
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in sources().iter().filter(|s| !s.tests) {
        let text = fs::read_to_string(root.join(&source.path)).unwrap();
        assert!(
            text.starts_with("//! "),
            "src/{} has no head",
            source.path.display()
        );
    }
}

/// What the checker says of a sample in a room.
fn judged(path: &str, text: &str) -> usize {
    let source = Source::new(path, text);
    trespasses(&source).len() + loose_words(&source).len()
}

#[test]
fn the_checker_sees_what_is_wrong() {
    assert_eq!(judged("client/mod.rs", "use crate::manager::Unit;"), 1);
    assert_eq!(
        judged(
            "client/mod.rs",
            "use crate::{\n    api::{self, Health},\n    keys,\n    os::{lifecycle},\n};"
        ),
        1
    );
    assert_eq!(
        judged("modules/row.rs", "fn f() { crate::client::probe(); }"),
        1
    );
    assert_eq!(
        judged("os/port/linux.rs", "use super::super::super::modules::Row;"),
        1
    );
    assert_eq!(
        judged("api.rs", "mod tests { use super::super::output::X; }"),
        1
    );
    assert_eq!(
        judged(
            "server/mod.rs",
            "use crate::lifecycle::Site; use crate::client;"
        ),
        2
    );
    assert_eq!(judged("nowhere/mod.rs", ""), 1);
    assert_eq!(judged("keys/mod.rs", "fn f() { println!(\"x\"); }"), 1);
    assert_eq!(judged("keys/mod.rs", "let mut out = std::io::stdout();"), 1);
    assert_eq!(judged("keys/mod.rs", "anstream::stdout();"), 2);
    assert_eq!(
        judged("keys/mod.rs", "#[cfg(target_os = \"linux\")] fn f() {}"),
        1
    );
    assert_eq!(judged("commands/stop.rs", "std::process::exit(1)"), 1);
    assert_eq!(judged("commands/stop.rs", "use std::process::ExitCode;"), 1);
    assert_eq!(judged("manager/mod.rs", "std::env::var(\"HOME\")"), 1);
    assert_eq!(judged("manager/mod.rs", "unsafe { f() }"), 1);
}

#[test]
fn the_checker_passes_what_is_right() {
    assert_eq!(
        judged(
            "commands/stop.rs",
            "use crate::{lifecycle::{Site, Targets}, output::Output};"
        ),
        0
    );
    assert_eq!(
        judged(
            "client/mod.rs",
            "//! crate::manager\n/* crate::keys /* println! */ */ use crate::os;"
        ),
        0
    );
    assert_eq!(
        judged(
            "client/mod.rs",
            r##"let a = "crate::manager"; let b = r#"use crate::keys "x" "#; let c = b"crate::keys";"##
        ),
        0
    );
    assert_eq!(
        judged(
            "client/mod.rs",
            r#"let c = '"'; let d = '\''; fn f<'a>(x: &'a str) {} use crate::home;"#
        ),
        0
    );
    assert_eq!(
        judged(
            "os/port/linux.rs",
            "use super::Listener; use crate::os::process;"
        ),
        0
    );
    assert_eq!(
        judged("os/group.rs", "mod tests { use super::super::pidfile; }"),
        0
    );
    assert_eq!(
        judged(
            "supervisor/task.rs",
            "command.stdout(Stdio::null()).stderr(err);"
        ),
        0
    );
    assert_eq!(
        judged("manager/launchd/tests/plist.rs", "eprintln!(\"skipped\");"),
        0
    );
}

#[test]
fn lines_are_counted_through_everything() {
    let tokens = tokens("a\n/* b\n */ c \"d\ne\" f\nr#\"\n\"# g");
    let seen: Vec<(&str, usize)> = tokens.iter().map(|t| (t.text.as_str(), t.line)).collect();
    assert_eq!(seen, [("a", 1), ("c", 3), ("f", 4), ("g", 6)]);
}
