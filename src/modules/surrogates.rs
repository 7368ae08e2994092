//! Escapes of half a character in JSON (`"\ud83d"`): JavaScript writes one where a text was cut
//! inside an emoji and reads it back, our parser refuses the whole file for it. Pure.

use std::borrow::Cow;

/// JSON text that our parser takes: each half is U+FFFD, in its place and of its length.
pub(super) fn readable(text: &str) -> Cow<'_, str> {
    replaced(text, |_| "\\ufffd".to_owned())
}

/// JSON text with each escape of half a character replaced by what `with` makes of its four digits.
pub(super) fn replaced(text: &str, with: impl Fn(&str) -> String) -> Cow<'_, str> {
    // Almost every file has none, and a large one is not walked twice for that.
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        let Some(unit) = escaped(text, at) else {
            // Two, the escaped character being one byte: of a longer one the rest has no backslash.
            at += 2;
            while at < text.len() && !text.is_char_boundary(at) {
                at += 1;
            }
            continue;
        };
        let low = |at| escaped(text, at).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        match unit {
            0xd800..0xdc00 if low(at + 6) => at += 12,
            0xd800..0xe000 => {
                out.push_str(&text[copied..at]);
                out.push_str(&with(&text[at + 2..at + 6]));
                at += 6;
                copied = at;
            }
            _ => at += 6,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The code unit of the escape `\uXXXX` that begins there, if one does.
fn escaped(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_that_stand_alone_are_replaced() {
        let cases = [
            (r#""plain""#, r#""plain""#),
            (r#""\ud83d""#, r#""<d83d>""#),
            (r#""a\uDE00b""#, r#""a<DE00>b""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""<d83d>\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""<de00><d83d>""#),
            (r#""\ud83d\n\ude00""#, r#""<d83d>\n<de00>""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\<d83d>""#),
            (r#""\ud83d😀\u00e9""#, r#""<d83d>😀\u00e9""#),
            (r#""\ud83d\"x""#, r#""<d83d>\"x""#),
            // What is no JSON stays what it is, for the parser to refuse.
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\ud83g""#, r#""\ud83g""#),
            (r#""\ud83d\"#, r#""<d83d>\"#),
            ("\\é\\ud83d", "\\é<d83d>"),
            ("\\ud83d\\", "<d83d>\\"),
        ];
        for (text, wanted) in cases {
            assert_eq!(replaced(text, |hex| format!("<{hex}>")), wanted, "{text}");
        }
        assert_eq!(readable(r#""\uD83d""#), r#""\ufffd""#);
    }
}
