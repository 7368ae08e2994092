//! Small pieces of text for people: durations, sizes, and making other programs' bytes harmless.

use std::{borrow::Cow, time::Duration};

/// An uptime in its two largest units: `45s`, `12m`, `2h 13m`, `4d 6h` (contract, section 9).
pub fn uptime(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => format!("{m}m"),
        (0, h, m) => format!("{h}h {m}m"),
        (d, h, _) => format!("{d}d {h}h"),
    }
}

/// A size in binary units, one decimal below ten: `900 B`, `1.4 MiB`, `17 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Control characters (other than tab) as `\x1b` and the like, so that no output of another
/// program can drive a person's terminal.
pub fn visible(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\t' || !(c.is_control() || is_bidi(c));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmless(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    Cow::Owned(out)
}

/// Characters that reorder the text around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1 module`, `3 modules`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_read_as_the_contract_says() {
        let read = |s| uptime(Duration::from_secs(s));
        assert_eq!(read(0), "0s");
        assert_eq!(read(45), "45s");
        assert_eq!(read(12 * 60 + 5), "12m");
        assert_eq!(read(2 * 3600 + 13 * 60), "2h 13m");
        assert_eq!(read(4 * 86_400 + 6 * 3600), "4d 6h");
        assert_eq!(read(86_400), "1d 0h");
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(900), "900 B");
        assert_eq!(bytes(18_350_080), "18 MiB");
        assert_eq!(bytes(1_468_006), "1.4 MiB");
    }

    #[test]
    fn escape_sequences_are_defused() {
        assert_eq!(
            visible("a\x1b[31mb\tc\u{202e}"),
            "a\\u{1b}[31mb\tc\\u{202e}"
        );
        assert!(matches!(visible("plain ü"), Cow::Borrowed(_)));
    }
}
