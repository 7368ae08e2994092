//! What is not ours is kept to the letter, whatever it is, and read as every JSON program reads it.

use super::{
    tests::{home_with, text},
    *,
};
use crate::api::StartErrorType;
use proptest::prelude::*;
use serde_json::json;

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
}
