//! The hub's unit as its files have it, for the moment in which systemd cannot be asked: enough to
//! know whose hub it is, where it lives and where it answers. Reads files, asks nobody.

use super::{Caller, UNIT, disk, facts::Facts, installed};
use crate::manager::{Installed, Scope};
use std::{fs, path::Path};

/// More than any unit file is.
const LIMIT: u64 = 1 << 20;

/// What the files say; its state is unknown. `None` where there is no file.
pub fn from_files(scope: Scope, caller: &Caller) -> Option<Installed> {
    let path = disk::on_disk(scope, caller, UNIT)?;
    let mut facts = Facts {
        load: "loaded".into(),
        active: "unknown".into(),
        ..Facts::default()
    };
    read(&path, scope, caller, &mut facts);
    for drop_in in disk::drop_ins(scope, caller, UNIT) {
        read(&drop_in, scope, caller, &mut facts);
        facts.drop_ins.push(drop_in);
    }
    facts.path = Some(path);
    Some(installed::read(&facts, scope, caller))
}

fn read(path: &Path, scope: Scope, caller: &Caller, facts: &mut Facts) {
    let small = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= LIMIT);
    if let Ok(bytes) = fs::read(path)
        && small
    {
        // `%h` is the one specifier that stands in units written by hand.
        let home = match scope {
            Scope::System => "/root".into(),
            Scope::User => caller.user_dir.clone().unwrap_or_default(),
        };
        take(
            &String::from_utf8_lossy(&bytes),
            &home.to_string_lossy(),
            facts,
        );
    }
}

/// Adds what one file says. An empty assignment forgets what stood before, as systemd has it.
fn take(text: &str, home: &str, facts: &mut Facts) {
    let mut service = false;
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            service = line == "[Service]";
        }
        let Some((key, value)) = line.split_once('=').filter(|_| service) else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "User" => facts.user = value.into(),
            "ExecStart" if value.is_empty() => facts.exec.clear(),
            "ExecStart" if facts.exec.is_empty() => {
                let bare = value.trim_start_matches(['@', '-', ':', '+', '!']);
                facts.exec = words(bare, home);
            }
            "Environment" if value.is_empty() => facts.environment.clear(),
            "Environment" => facts.environment.extend(words(value, home)),
            "EnvironmentFile" if value.is_empty() => facts.environment_files.clear(),
            "EnvironmentFile" => {
                let optional = value.starts_with('-');
                let path = value.trim_start_matches('-').to_owned();
                facts.environment_files.push((path, optional));
            }
            _ => {}
        }
    }
}

/// Words as systemd.syntax(7) and systemd.service(5) quote them; what `render` writes, and what
/// people write. Other escapes stay as they are.
fn words(text: &str, home: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && quote.is_none() => words.extend(word.take()),
            '\\' => {
                let word = word.get_or_insert_default();
                match rest.next() {
                    Some('n') => word.push('\n'),
                    Some('t') => word.push('\t'),
                    Some('s') => word.push(' '),
                    Some(c) => word.push(c),
                    None => {}
                }
            }
            '%' => {
                let word = word.get_or_insert_default();
                match rest.next() {
                    Some('%') | None => word.push('%'),
                    Some('h') => word.push_str(home),
                    Some(c) => word.extend(['%', c]),
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        home::Home,
        manager::{Unit, systemd::render},
    };

    #[test]
    fn what_is_written_is_read_again() {
        for home in [
            "/srv/a b",
            "/srv/100%/q\"x\\y",
            "/srv/$HOME/it's\n",
            "/srv/ü;#",
        ] {
            let unit = Unit {
                binary: "/opt/a b/parachute".into(),
                home: Home::new(home),
                port: 2939,
                bind: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
                path: "/bin".into(),
                user: Some("alex".into()),
            };
            let mut facts = Facts::default();
            take(&render(&unit).unwrap(), "/root", &mut facts);
            assert_eq!(facts.exec, ["/opt/a b/parachute", "serve"]);
            assert_eq!(facts.user, "alex");
            assert!(
                facts
                    .environment
                    .contains(&format!("PARACHUTE_HOME={home}"))
            );
            assert!(facts.environment.contains(&"PORT=2939".into()));
        }
    }

    #[test]
    fn an_empty_assignment_forgets_and_a_later_file_adds() {
        let mut facts = Facts::default();
        take(
            "[Unit]\nUser=no\n[Service]\nExecStart=-/bin/old\nEnvironment=A=1 'B=x y'\n",
            "/h",
            &mut facts,
        );
        take(
            "[Service]\nExecStart=\nExecStart=/bin/new \\\n  serve\nEnvironment=\nEnvironment=H=%h/p\nEnvironmentFile=-/e\n",
            "/h",
            &mut facts,
        );
        assert_eq!(facts.exec, ["/bin/new", "serve"]);
        assert_eq!(facts.environment, ["H=/h/p"]);
        assert_eq!(facts.environment_files, [("/e".into(), true)]);
        assert!(facts.user.is_empty());
    }
}
