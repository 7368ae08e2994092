//! Lines cut to a screen's width, at words where that is possible. Pure; knows of escape sequences
//! only those that our own styles are made of.

use unicode_width::UnicodeWidthChar;

/// A line as rows of at most `width` columns. What is continued stands a step further in, in the
/// style it had.
pub(super) fn wrap(line: &str, width: usize) -> Vec<String> {
    let indent = indent(line);
    let indent = if indent * 2 > width { 0 } else { indent };
    let mut rows = Row::new(width.max(1), indent);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(end) = style(rest) {
            rows.style(&rest[..end]);
            rest = &rest[end..];
        } else {
            rows.put(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    rows.done()
}

/// How many bytes of a style (ECMA-48, SGR) stand here.
fn style(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\x1b[")?;
    let end = inner.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    inner[end..].starts_with('m').then_some(end + 3)
}

/// Below a line's text: behind its margin, and the mark that a line of its own kind begins with.
fn indent(line: &str) -> usize {
    let mut plain = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let skip = style(rest);
        if skip.is_none() {
            plain.push(c);
        }
        rest = &rest[skip.unwrap_or(c.len_utf8())..];
    }
    let margin = plain.chars().take_while(|c| *c == ' ').count();
    let mut after = plain.chars().skip(margin);
    let marked = matches!(after.next(), Some('!' | '→' | '|')) && after.next() == Some(' ');
    margin + 2 * usize::from(marked || margin == 0)
}

/// The row that is being filled, and those before it.
struct Row {
    width: usize,
    indent: usize,
    full: Vec<String>,
    text: String,
    columns: usize,
    /// Styles that are on at the end of `text`.
    on: String,
    /// Where the row may be broken: behind a space.
    space: Option<Space>,
}

struct Space {
    at: usize,
    columns: usize,
    on: String,
}

impl Row {
    fn new(width: usize, indent: usize) -> Self {
        Self {
            width,
            indent,
            full: Vec::new(),
            text: String::new(),
            columns: 0,
            on: String::new(),
            space: None,
        }
    }

    fn style(&mut self, sequence: &str) {
        self.text.push_str(sequence);
        match sequence {
            "\x1b[0m" | "\x1b[m" => self.on.clear(),
            _ => self.on.push_str(sequence),
        }
    }

    fn put(&mut self, c: char) {
        let wide = c.width().unwrap_or(0);
        if self.columns + wide > self.width {
            if c == ' ' {
                // It would begin the next row: it is what the row is broken at.
                self.space = Some(self.here());
                return;
            }
            self.turn(wide);
        }
        self.text.push(c);
        self.columns += wide;
        if c == ' ' && self.columns > self.indent {
            self.space = Some(self.here());
        }
    }

    fn here(&self) -> Space {
        Space {
            at: self.text.len(),
            columns: self.columns,
            on: self.on.clone(),
        }
    }

    /// Goes on in a new row with the word that does not fit, or within it where no row is long enough.
    fn turn(&mut self, wide: usize) {
        let room = self.width.saturating_sub(self.indent + wide);
        let space = match self.space.take() {
            Some(space) if self.columns - space.columns <= room => space,
            _ => self.here(),
        };
        let tail = self.text.split_off(space.at);
        let before = std::mem::take(&mut self.text);
        self.full.push(before.trim_end_matches(' ').to_owned());
        self.text = " ".repeat(self.indent);
        self.text.push_str(&space.on);
        self.text.push_str(&tail);
        self.columns = self.indent + self.columns - space.columns;
    }

    fn done(mut self) -> Vec<String> {
        self.full.push(self.text);
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_fits_is_one_row() {
        for line in [
            "",
            "short",
            "  ! just",
            "\x1b[1mtenletters\x1b[0m",
            "tenletters",
        ] {
            assert_eq!(wrap(line, 10), [line]);
        }
    }

    #[test]
    fn long_lines_go_on_below_their_text() {
        assert_eq!(
            wrap("  ! run `chmod 600 x` at once", 14),
            ["  ! run `chmod", "    600 x` at", "    once"]
        );
        assert_eq!(
            wrap("vault  1940  0.4.0  active  ~/vault", 20),
            ["vault  1940  0.4.0", "  active  ~/vault"]
        );
        assert_eq!(wrap("note: a bc", 8), ["note: a", "  bc"]);
        assert_eq!(wrap("exactly  fits", 7), ["exactly", "  fits"]);
    }

    #[test]
    fn what_has_no_spaces_is_cut() {
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("abcdefgh", 4), ["abcd", "  ef", "  gh"]);
        assert_eq!(wrap("abcdefgh", 2), ["ab", "cd", "ef", "gh"]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[test]
    fn styles_take_no_room_and_go_on() {
        assert_eq!(
            wrap("  \x1b[2m| one two three\x1b[0m", 11),
            ["  \x1b[2m| one two", "    \x1b[2mthree\x1b[0m"]
        );
        assert_eq!(wrap("\x1b[1mab\x1b[0m cd", 3), ["\x1b[1mab\x1b[0m", "cd"]);
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "  漢", "  字"]);
        for width in 1..30 {
            let rows = wrap("  ! 漢字 mixed with words, and averylongonetoo ☂", width);
            let room = |row: &String| {
                row.chars()
                    .filter_map(UnicodeWidthChar::width)
                    .sum::<usize>()
            };
            assert!(rows.iter().all(|row| room(row) <= width.max(2)), "{rows:?}");
        }
    }
}
