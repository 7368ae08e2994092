//! The property list, written and read back, by us and by others.

use super::super::{LABEL, bounded, plist};
use crate::{
    home::Home,
    manager::{Scope, Unit},
};
use ::plist::{Dictionary, Value};
use proptest::prelude::*;
use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

fn unit() -> Unit {
    Unit {
        binary: "/opt/My Tools & <co>/parachute".into(),
        home: Home::new("/Users/ada/It's \"home\" 100% $HOME"),
        port: 2039,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        path: "/Users/ada/.local/bin:/usr/bin:/bin".into(),
        user: None,
    }
}

fn rendered(scope: Scope, old: Option<&Dictionary>) -> Dictionary {
    plist::read(&plist::render(&unit(), scope, old).unwrap()).unwrap()
}

#[test]
fn what_is_rendered_says_what_the_contract_wants() {
    let dict = rendered(Scope::User, None);
    let job = plist::job(&dict).unwrap();
    assert_eq!(job.arguments, ["/opt/My Tools & <co>/parachute", "serve"]);
    let env: Vec<(&str, &str)> = job
        .environment
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        env,
        [
            ("PARACHUTE_BIND_HOST", "127.0.0.1"),
            ("PARACHUTE_HOME", "/Users/ada/It's \"home\" 100% $HOME"),
            ("PATH", "/Users/ada/.local/bin:/usr/bin:/bin"),
            ("PORT", "2039"),
        ]
    );
    assert_eq!(
        job.stdout.unwrap(),
        "/Users/ada/It's \"home\" 100% $HOME/hub/logs/hub.log"
    );
    assert!(job.automatic && !job.disabled);
    assert_eq!(dict["Label"], Value::from(LABEL));
    assert_eq!(dict["RunAtLoad"], Value::from(true));
    assert_eq!(dict["KeepAlive"], Value::from(true));
    assert_eq!(dict["ThrottleInterval"], Value::from(10));
    assert!(dict["ExitTimeOut"].as_unsigned_integer().unwrap() > 12);
    assert_eq!(dict["StandardErrorPath"], dict["StandardOutPath"]);
}

#[test]
fn a_box_reached_only_by_ssh_may_load_it() {
    let types = rendered(Scope::User, None);
    let types = types["LimitLoadToSessionType"].as_array().unwrap();
    assert!(types.contains(&Value::from("Aqua")) && types.contains(&Value::from("Background")));
    assert!(!rendered(Scope::System, None).contains_key("LimitLoadToSessionType"));
}

#[test]
fn unknown_keys_and_their_order_stay() {
    let mut old = Dictionary::new();
    old.insert("Nice".into(), Value::from(5));
    old.insert("Label".into(), LABEL.into());
    old.insert("Program".into(), "/somewhere/else".into());
    old.insert("KeepAlive".into(), Value::from(false));
    let mut env = Dictionary::new();
    env.insert("RUST_LOG".into(), "debug".into());
    env.insert("PORT".into(), "1".into());
    env.insert("PARACHUTE_HUB_ORIGIN".into(), "https://example.com".into());
    old.insert("EnvironmentVariables".into(), Value::Dictionary(env));
    old.insert("Blob".into(), Value::Data(vec![0, 255]));
    let new = rendered(Scope::User, Some(&old));
    let keys: Vec<&String> = new.keys().collect();
    assert_eq!(
        keys[..4],
        ["Nice", "Label", "KeepAlive", "EnvironmentVariables"]
    );
    assert_eq!(new["Nice"], Value::from(5));
    assert_eq!(new["Blob"], Value::Data(vec![0, 255]));
    assert_eq!(new["KeepAlive"], Value::from(true));
    assert!(!new.contains_key("Program"));
    let env = new["EnvironmentVariables"].as_dictionary().unwrap();
    assert_eq!(env["RUST_LOG"], Value::from("debug"));
    assert_eq!(env["PORT"], Value::from("2039"));
    assert!(!env.contains_key("PARACHUTE_HUB_ORIGIN"));
    let again = plist::render(&unit(), Scope::User, Some(&new)).unwrap();
    assert_eq!(
        plist::read(&again).unwrap(),
        new,
        "a second time changes nothing"
    );
}

#[test]
fn binary_and_xml_read_the_same() {
    let dict = rendered(Scope::User, None);
    let mut binary = Vec::new();
    Value::Dictionary(dict.clone())
        .to_writer_binary(&mut binary)
        .unwrap();
    assert_eq!(
        plist::job(&plist::read(&binary).unwrap()),
        plist::job(&dict)
    );
}

#[test]
fn bad_lists_are_refused_with_a_reason() {
    let xml = plist::render(&unit(), Scope::User, None).unwrap();
    let text = String::from_utf8(xml.clone()).unwrap();
    let why = |bytes: &[u8]| {
        plist::read(bytes)
            .and_then(|dict| plist::job(&dict))
            .unwrap_err()
    };
    assert!(why(b"").contains("empty"));
    assert!(why(&xml[..xml.len() / 2]).contains("no property list"));
    assert!(why(b"bplist00\xff\xfe\x00garbage").contains("no property list"));
    assert!(
        why(&[0u8; 100]).contains("no property list") || why(&[0u8; 100]).contains("dictionary")
    );
    assert!(why(&vec![b' '; bounded::FILE_LIMIT + 1]).contains("larger"));
    assert!(why(b"<plist version=\"1.0\"><array/></plist>").contains("dictionary"));
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        why(text.replace(from, to).as_bytes())
    };
    assert!(
        with(
            &format!("<string>{LABEL}</string>"),
            "<string>com.example.other</string>"
        )
        .contains("com.example.other")
    );
    assert!(
        with(&format!("<string>{LABEL}</string>"), "<integer>7</integer>")
            .contains("Label is not a string")
    );
    assert!(with("<key>Label</key>", "<key>Lable</key>").contains("no Label"));
    assert!(
        with("<key>ProgramArguments</key>", "<key>Arguments</key>").contains("missing or empty")
    );
    let wrong = with("<string>serve</string>", "<integer>7</integer>");
    assert!(wrong.contains("not all strings"), "{wrong}");
    let mut dict = rendered(Scope::User, None);
    dict.insert("ProgramArguments".into(), Value::Array(Vec::new()));
    assert!(plist::job(&dict).unwrap_err().contains("missing or empty"));
    dict.insert("ProgramArguments".into(), "a string".into());
    assert!(plist::job(&dict).unwrap_err().contains("not an array"));
    dict.insert(
        "ProgramArguments".into(),
        Value::Array(vec!["".into(), "serve".into()]),
    );
    assert!(plist::job(&dict).unwrap_err().contains("no name"));
}

#[test]
fn wrong_types_beside_the_program_are_passed_over() {
    let mut dict = rendered(Scope::User, None);
    dict.insert("EnvironmentVariables".into(), Value::from(1));
    dict.insert("StandardOutPath".into(), Value::from(true));
    dict.insert("KeepAlive".into(), Value::from("yes"));
    dict.insert("RunAtLoad".into(), Value::from(1));
    let job = plist::job(&dict).unwrap();
    assert!(job.environment.is_empty() && job.stdout.is_none() && !job.automatic);
}

#[test]
fn a_deep_or_self_repeating_list_is_refused() {
    let deep = format!(
        "<plist version=\"1.0\">{}{}</plist>",
        "<array>".repeat(2000),
        "</array>".repeat(2000)
    );
    assert!(plist::read(deep.as_bytes()).unwrap_err().contains("deep"));
    // Each of 200 arrays names the next one twice.
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for next in 1..=200u8 {
        offsets.push(bytes.len() as u8 as u16 | ((bytes.len() >> 8) as u16) << 8);
        bytes.extend([0xa2, next, next]);
    }
    offsets.push(bytes.len() as u16);
    bytes.push(0x09);
    let table = bytes.len() as u64;
    for offset in &offsets {
        bytes.extend(offset.to_be_bytes());
    }
    bytes.extend([0, 0, 0, 0, 0, 0, 2, 1]);
    for number in [offsets.len() as u64, 0, table] {
        bytes.extend(number.to_be_bytes());
    }
    assert!(plist::read(&bytes).is_err());
}

#[test]
fn what_xml_cannot_hold_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let bad = |change: &dyn Fn(&mut Unit)| {
        let mut unit = unit();
        change(&mut unit);
        plist::render(&unit, Scope::User, None).unwrap_err()
    };
    let error = bad(&|unit| unit.binary = "/opt/line\nfeed".into());
    assert!(error.message.contains("program"), "{error}");
    bad(&|unit| unit.home = Home::new("/opt/bell\u{7}"));
    bad(&|unit| unit.path = String::new());
    bad(&|unit| unit.user = Some("a\0b".into()));
    bad(&|unit| unit.binary = std::ffi::OsStr::from_bytes(b"/opt/\xff").into());
}

/// What `program` makes of our XML; `None` when it is not on this machine.
fn through(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: {program} is not on this machine");
        return None;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} refuses it");
    Some(output.stdout)
}

#[test]
fn python_reads_what_we_write() {
    let script = "import json, plistlib, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)";
    let xml = plist::render(&unit(), Scope::User, None).unwrap();
    let Some(out) = through("python3", &["-c", script], &xml) else {
        return;
    };
    let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(read["Label"], LABEL);
    assert_eq!(read["KeepAlive"], true);
    assert_eq!(
        read["ProgramArguments"][0],
        "/opt/My Tools & <co>/parachute"
    );
    assert_eq!(
        read["EnvironmentVariables"]["PARACHUTE_HOME"],
        "/Users/ada/It's \"home\" 100% $HOME"
    );
}

#[test]
fn plistutil_reads_what_we_write_and_we_what_it_writes() {
    let xml = plist::render(&unit(), Scope::User, None).unwrap();
    let Some(binary) = through("plistutil", &["-i", "-", "-o", "-", "-f", "bin"], &xml) else {
        return;
    };
    assert!(binary.starts_with(b"bplist00"));
    assert_eq!(
        plist::job(&plist::read(&binary).unwrap()),
        plist::job(&plist::read(&xml).unwrap())
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), head in prop::sample::select(vec!["", "bplist00", "<plist><dict>", "<?xml version=\"1.0\"?>"])) {
        let bytes = [head.as_bytes(), &bytes].concat();
        plist::read(&bytes).ok().map(|dict| plist::job(&dict));
    }

    #[test]
    fn a_damaged_list_makes_no_panic(at in 0usize..2000, to in any::<u8>(), binary in any::<bool>()) {
        let mut bytes = plist::render(&unit(), Scope::User, None).unwrap();
        if binary {
            let value = Value::Dictionary(plist::read(&bytes).unwrap());
            bytes.clear();
            value.to_writer_binary(&mut bytes).unwrap();
        }
        let at = at % bytes.len();
        bytes[at] = to;
        plist::read(&bytes).ok().map(|dict| plist::job(&dict));
    }

    #[test]
    fn paths_come_back_as_they_went(binary in "/[^\\p{Cc}]{1,60}", home in "/[^\\p{Cc}]{0,60}", path in "[^\\p{Cc}]{1,60}") {
        let unit = Unit { binary: binary.clone().into(), home: Home::new(&home), path: path.clone(), ..unit() };
        let Ok(bytes) = plist::render(&unit, Scope::User, None) else {
            let odd = |text: &String| text.contains(['\u{fffe}', '\u{ffff}']);
            prop_assert!(odd(&binary) || odd(&home) || odd(&path));
            return Ok(());
        };
        let job = plist::job(&plist::read(&bytes).unwrap()).unwrap();
        prop_assert_eq!(&job.arguments[0], &binary);
        prop_assert_eq!(&job.environment["PARACHUTE_HOME"], &home);
        prop_assert_eq!(&job.environment["PATH"], &path);
    }
}
