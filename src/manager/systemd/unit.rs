//! The hub's unit file: the template in `units/`, filled in by systemd's own rules of quoting
//! (systemd.syntax(7), systemd.service(5) on command lines, systemd.unit(5) on specifiers). Pure.

use crate::{
    error::{Code, Error, Result},
    manager::Unit,
};

const TEMPLATE: &str = include_str!("../../../units/parachute-hub.service");

/// The text of the unit file. With a user it is one of the machine's units, without one a unit of
/// the user who has it. Fails for paths that no unit file can hold: not Unicode, or with control
/// characters other than tab and newline.
pub fn render(unit: &Unit) -> Result<String> {
    let binary = path(&unit.binary)?;
    // systemd refuses such programs, however they are escaped (`string_is_safe` in its sources).
    if binary.contains(['"', '\'', '\\']) || binary.chars().any(char::is_control) {
        return Err(Error::new(
            Code::Usage,
            format!("systemd starts no program at {binary:?}: its path has quotes, backslashes or control characters"),
        )
        .hint("put `parachute` somewhere else, such as /usr/local/bin"));
    }
    let home = path(unit.home.root())?;
    let (ours, others) = match unit.user {
        Some(_) => ("@system", "@user"),
        None => ("@user", "@system"),
    };
    let user = unit.user.as_deref().unwrap_or_default();
    if !user
        .chars()
        .all(|c| c.is_alphanumeric() || "._-$".contains(c))
    {
        return Err(unfit("the user", user));
    }
    let fill = [
        ("@BINARY@", quote(binary)?),
        ("@HOME@", quote(home)?),
        ("@USER@", user.replace('%', "%%")),
        ("@ENV_HOME@", quote(&format!("PARACHUTE_HOME={home}"))?),
        ("@ENV_PORT@", format!("PORT={}", unit.port)),
        ("@ENV_BIND@", format!("PARACHUTE_BIND_HOST={}", unit.bind)),
        ("@ENV_PATH@", quote(&format!("PATH={}", unit.path))?),
        (
            "@TARGET@",
            match unit.user {
                Some(_) => "multi-user.target".into(),
                None => "default.target".into(),
            },
        ),
    ];
    let mut text = String::with_capacity(TEMPLATE.len() + 512);
    for line in TEMPLATE.lines().filter(|line| !line.starts_with(others)) {
        let line = line.strip_prefix(ours).map_or(line, str::trim_start);
        match fill.iter().find(|(mark, _)| line.contains(mark)) {
            Some((mark, value)) => text.push_str(&line.replacen(mark, value, 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}

fn path(path: &std::path::Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| unfit("the path", &path.to_string_lossy()))
}

fn unfit(what: &str, value: &str) -> Error {
    Error::new(
        Code::Usage,
        format!("{what} {value:?} cannot be written into a unit file"),
    )
    .hint("choose one without control characters, in Unicode")
}

/// One word of a command line or of `Environment=`. In quotes always, so that no space, `;` or `#`
/// means anything; `%` doubled, for specifiers. A `$` stays: neither the program of a command line
/// nor an assignment is subject to substitution.
fn quote(word: &str) -> Result<String> {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    for c in word.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '%' => out.push_str("%%"),
            c if c.is_control() => return Err(unfit("the value", word)),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;
    use std::net::{IpAddr, Ipv4Addr};

    fn unit(home: &str, user: Option<&str>) -> Unit {
        Unit {
            binary: "/usr/bin/parachute".into(),
            home: Home::new(home),
            port: 1939,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            path: "/usr/bin:/bin".into(),
            user: user.map(str::to_owned),
        }
    }

    fn value<'a>(text: &'a str, section: &str, key: &str) -> Vec<&'a str> {
        let section = format!("[{section}]");
        let lines = text.lines().skip_while(|line| **line != section).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('['));
        let pairs = lines.filter_map(|line| line.split_once('='));
        pairs.filter(|(k, _)| *k == key).map(|(_, v)| v).collect()
    }

    #[test]
    fn a_system_unit_has_its_user_and_a_users_unit_has_none() {
        let text = render(&unit("/home/a/.parachute", Some("a"))).unwrap();
        assert_eq!(value(&text, "Service", "User"), ["a"]);
        assert_eq!(value(&text, "Install", "WantedBy"), ["multi-user.target"]);
        assert_eq!(value(&text, "Service", "ProtectControlGroups"), ["yes"]);
        let text = render(&unit("/home/a/.parachute", None)).unwrap();
        assert_eq!(value(&text, "Service", "User"), [""; 0]);
        assert_eq!(value(&text, "Install", "WantedBy"), ["default.target"]);
        assert!(!text.contains("CapabilityBoundingSet="));
        assert!(!text.contains('@'), "{text}");
    }

    #[test]
    fn start_limits_stand_where_systemd_reads_them() {
        let text = render(&unit("/h", None)).unwrap();
        assert_eq!(value(&text, "Unit", "StartLimitIntervalSec"), ["300"]);
        assert_eq!(value(&text, "Unit", "StartLimitBurst"), ["5"]);
        assert_eq!(value(&text, "Service", "StartLimitIntervalSec"), [""; 0]);
    }

    #[test]
    fn it_listens_on_loopback_and_bakes_no_origin() {
        let text = render(&unit("/h", None)).unwrap();
        let env = value(&text, "Service", "Environment");
        assert!(env.contains(&"PARACHUTE_BIND_HOST=127.0.0.1"), "{env:?}");
        assert!(env.contains(&"\"PATH=/usr/bin:/bin\""), "{env:?}");
        assert!(!text.contains("PARACHUTE_HUB_ORIGIN"));
    }

    #[test]
    fn words_are_quoted_by_systemds_rules() {
        assert_eq!(quote("/a b/100%/$x").unwrap(), "\"/a b/100%%/$x\"");
        assert_eq!(quote("q\"b\\t\tn\n").unwrap(), "\"q\\\"b\\\\t\\tn\\n\"");
        assert_eq!(quote("\u{7}").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn a_home_cannot_fill_in_another_mark() {
        let text = render(&unit("/h/@USER@/@BINARY@", Some("a"))).unwrap();
        assert!(text.contains("PARACHUTE_HOME=/h/@USER@/@BINARY@\""));
    }

    #[test]
    fn a_program_that_systemd_would_not_start_is_refused() {
        let mut unit = unit("/h", None);
        unit.binary = "/it's/parachute".into();
        assert_eq!(render(&unit).unwrap_err().code, Code::Usage);
    }

    #[test]
    fn a_user_cannot_bring_lines_of_its_own() {
        assert!(render(&unit("/h", Some("a\nExecStartPre=/bin/x"))).is_err());
    }
}
