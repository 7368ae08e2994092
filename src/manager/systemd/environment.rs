//! The environment that a unit gives its hub: what `Environment=` and `EnvironmentFile=` add up to,
//! read as systemd reads them (systemd.exec(5)). Reads those files and, where one is closed to us,
//! the environment of the running process; never our own.

use super::facts::Facts;
use crate::{error::reason, manager::Environment};
use std::{fs, path::Path};

/// More than any environment file is worth.
const LIMIT: u64 = 1 << 20;

/// The unit's environment, and what could not be read of it, for people.
pub(super) fn gather(facts: &Facts) -> (Environment, Vec<String>) {
    let mut env = Environment::new();
    let mut notes = Vec::new();
    let pairs = facts
        .environment
        .iter()
        .filter_map(|pair| pair.split_once('='));
    env.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut closed = false;
    for (path, optional) in &facts.environment_files {
        match read(Path::new(path)) {
            Ok(text) => env.extend(parse(&text)),
            Err(error) if *optional && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                closed = true;
                notes.push(format!("cannot read the unit's {path}: {}", reason(&error)));
            }
        }
    }
    for unset in &facts.unset_environment {
        match unset.split_once('=') {
            Some((name, value)) if env.get(name).is_some_and(|had| had == value) => {
                env.remove(name);
            }
            Some(_) => {}
            None => {
                env.remove(unset);
            }
        }
    }
    if closed
        && facts.pid != 0
        && let Ok(bytes) = fs::read(format!("/proc/{}/environ", facts.pid))
    {
        let text = String::from_utf8_lossy(&bytes);
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        env = (pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        notes.clear();
    }
    (env, notes)
}

fn read(path: &Path) -> std::io::Result<String> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > LIMIT {
        return Err(std::io::Error::other(
            "not a file to read an environment from",
        ));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// An environment file: a shell-like assignment a line, `#` and `;` comments, both kinds of
/// quotes, a backslash that joins lines, no expansion.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.peek() {
            None => break,
            Some('#' | ';') => {
                // A backslash before the newline carries a comment on, too.
                while let Some(c) = rest.next() {
                    match c {
                        '\\' => drop(rest.next()),
                        '\n' => break,
                        _ => {}
                    }
                }
                continue;
            }
            Some(_) => {}
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(|&c| c != '=' && c != '\n') {
            name.push(c);
        }
        if rest.next() != Some('=') {
            continue;
        }
        let value = value(&mut rest);
        let name = name.trim();
        let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().next().is_some_and(|c| !c.is_ascii_digit());
        if valid {
            pairs.push((name.to_owned(), value));
        }
    }
    pairs
}

fn value(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    while rest.next_if(|&c| c == ' ' || c == '\t').is_some() {}
    let mut value = String::new();
    // Trailing white space goes, unless it was quoted.
    let mut keep = 0;
    while let Some(c) = rest.next() {
        match c {
            '\n' => break,
            '\'' => {
                value.extend(rest.by_ref().take_while(|&c| c != '\''));
                keep = value.len();
            }
            '"' => {
                while let Some(c) = rest.next() {
                    match c {
                        '"' => break,
                        '\\' => match rest.next() {
                            Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                            Some('\n') | None => {}
                            Some(c) => value.extend(['\\', c]),
                        },
                        c => value.push(c),
                    }
                }
                keep = value.len();
            }
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some(c) => {
                    value.push(c);
                    keep = value.len();
                }
            },
            c => {
                value.push(c);
                if !c.is_whitespace() {
                    keep = value.len();
                }
            }
        }
    }
    value.truncate(keep);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_is_read_as_systemd_reads_it() {
        let text = "# comment \\\nPORT=1\n; more\nPORT=1940  \n A = b c \nQ=\"x y\"' z'\nE=\"a\\\"b\\n\"\n\
                    J=one\\\n two\nbad\n9X=1\nD=$HOME\nLAST=end";
        let pairs = parse(text);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("PORT", "1940"),
                ("A", "b c"),
                ("Q", "x y z"),
                ("E", "a\"b\\n"),
                ("J", "one two"),
                ("D", "$HOME"),
                ("LAST", "end"),
            ]
        );
    }

    #[test]
    fn files_win_over_the_unit_and_unset_wins_over_both() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        fs::write(&file, "PORT=2000\nGONE=1\n").unwrap();
        let facts = Facts {
            environment: vec!["PORT=1939".into(), "A=b=c".into()],
            environment_files: vec![
                (file.to_string_lossy().into(), false),
                ("/nonexistent/optional".into(), true),
            ],
            unset_environment: vec!["GONE".into(), "A=other".into()],
            ..Facts::default()
        };
        let (env, notes) = gather(&facts);
        assert_eq!(env.get("PORT").unwrap(), "2000");
        assert_eq!(env.get("A").unwrap(), "b=c");
        assert!(!env.contains_key("GONE") && notes.is_empty());
    }

    #[test]
    fn a_missing_file_is_said() {
        let facts = Facts {
            environment_files: vec![("/nonexistent/env".into(), false)],
            ..Facts::default()
        };
        let (_, notes) = gather(&facts);
        assert_eq!(
            notes,
            ["cannot read the unit's /nonexistent/env: no such file or directory"]
        );
    }
}
