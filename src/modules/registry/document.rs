//! The registry's text as a tree that keeps what it does not know: order, unknown fields, the text
//! of numbers, escapes of half a character. Of a key that an object has twice the last value counts, in the first one's place,
//! as in every JSON program that shares the file. Touches no file.

use super::{file::broken, short_of, sift};
use crate::{
    error::{Code, Error, Result},
    modules::surrogates,
};
use serde_json::{Map, Value};
use std::{borrow::Cow, path::Path};

/// A registry that is being changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The whole file, `services` being null while its rows are in `rows`. What the parser would
    /// not keep is in disguise: a number that has an exponent (`1e5` would become `1e+5`) is a
    /// string of `mark`, `n` and its text; an escape of half a character, in a string or a key, is
    /// `mark`, `u` and its four digits.
    root: Map<String, Value>,
    rows: Vec<Value>,
    mark: String,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            root: Map::from_iter([("services".to_owned(), Value::Null)]),
            rows: Vec::new(),
            mark: mark(),
        }
    }
}

impl Document {
    /// Reads the text of a registry; `file` is only named in messages. Rows are not judged.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self> {
        let text = text(bytes, file)?;
        let (mut root, mut rows) = split(&surrogates::readable(text), file)?;
        let mark = mark();
        let halves = surrogates::replaced(text, |digits| format!("{mark}u{digits}"));
        match mark_exponents(&halves, &mark) {
            Some(marked) => (root, rows) = split(&marked, file)?,
            None if matches!(halves, Cow::Owned(_)) => (root, rows) = split(&halves, file)?,
            None => {}
        }
        Ok(Self { root, rows, mark })
    }

    /// The text: two-space indented JSON with a newline at its end.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut root = self.root.clone();
        root.insert("services".to_owned(), Value::Array(self.rows.clone()));
        let text = serde_json::to_string_pretty(&root).map_err(|error| {
            Error::new(Code::Io, format!("cannot render the registry: {error}"))
        })?;
        let quoted = format!("\"{}n", self.mark);
        let mut parts = text.split(&quoted);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (number, rest) = part.split_once('"').unwrap_or((part, ""));
            out.extend([number, rest]);
        }
        let mut out = out.replace(&format!("{}u", self.mark), "\\u");
        out.push('\n');
        Ok(out.into_bytes())
    }

    /// The rows as they are read, good or bad.
    pub fn rows(&self) -> Vec<Value> {
        let mut rows = self.rows.clone();
        rows.iter_mut().for_each(|row| unmark(row, &self.mark));
        rows
    }

    /// The rows, to be changed. Values that are kept must be kept as they are: a number or half a
    /// character may be in disguise here.
    pub fn rows_mut(&mut self) -> &mut Vec<Value> {
        &mut self.rows
    }

    /// Where the row that a short or service name means is. Of several it is the first good one, as
    /// for readers; one alone is not judged.
    pub fn position(&self, name: &str) -> Option<usize> {
        let short = short_of(name);
        let named = |row: &&Value| {
            let name = row.get("name").and_then(Value::as_str);
            name.is_some_and(|name| short_of(&plain(name, &self.mark)) == short)
        };
        if self.rows.iter().filter(named).count() < 2 {
            return self.rows.iter().position(|row| named(&row));
        }
        sift(&self.rows()).position(|row| row.is_ok_and(|row| row.short() == short))
    }

    /// The fields of the row that a short or service name means.
    pub fn row_mut(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        let at = self.position(name)?;
        self.rows.get_mut(at)?.as_object_mut()
    }

    /// A field of that row, as it is read.
    pub fn field(&self, name: &str, field: &str) -> Option<Value> {
        let mut value = self.rows.get(self.position(name)?)?.get(field)?.clone();
        unmark(&mut value, &self.mark);
        Some(value)
    }
}

/// The rows of a registry's text, for those who only read.
pub(super) fn rows(bytes: &[u8], file: &Path) -> Result<Vec<Value>> {
    Ok(split(&surrogates::readable(text(bytes, file)?), file)?.1)
}

fn repair(error: Error, file: &Path) -> Error {
    error.hint(format!(
        "repair {}, or move it away to begin anew; it has not been touched",
        file.display()
    ))
}

/// The text of a registry, without its byte order mark.
fn text<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let what = format!("is not UTF-8 text (at byte {})", error.valid_up_to());
        repair(broken(file, &what), file)
    })?;
    if text.trim().is_empty() {
        return Err(repair(broken(file, "is empty"), file));
    }
    Ok(text)
}

/// The tree without its rows, and the rows.
fn split(text: &str, file: &Path) -> Result<(Map<String, Value>, Vec<Value>)> {
    let wrong = |what: &str| repair(broken(file, what), file);
    if text.contains("$serde_json::private::") {
        return Err(wrong(
            "has a key that cannot be kept, `$serde_json::private::…`",
        ));
    }
    let root = serde_json::from_str(text)
        .map_err(|error| wrong(&format!("is not valid JSON: {error}")))?;
    let Value::Object(mut root) = root else {
        return Err(wrong("is not a JSON object"));
    };
    match root.get_mut("services").map(Value::take) {
        Some(Value::Array(rows)) => Ok((root, rows)),
        Some(_) => Err(wrong("has a `services` that is not an array")),
        None => Err(wrong("has no `services`")),
    }
}

/// Unguessable, so that no string of the file can begin with it.
fn mark() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Valid JSON with each number that has an exponent made a string of `mark`, `n` and its text;
/// `None` when there is no such number.
fn mark_exponents(text: &str, mark: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let from = at;
                while at < bytes.len()
                    && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                {
                    at += 1;
                }
                let number = text.get(from..at)?;
                if number.contains(['e', 'E']) {
                    out.push_str(text.get(copied..from)?);
                    out.extend(["\"", mark, "n", number, "\""]);
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..)?);
    Some(out)
}

/// Takes the disguise away: numbers again, halves of characters as they are read. As deep as the
/// parser allows, which is 128.
fn unmark(value: &mut Value, mark: &str) {
    match value {
        Value::String(text) => {
            let number = text.strip_prefix(mark).and_then(|n| n.strip_prefix('n'));
            if let Some(number) = number.and_then(|n| n.parse().ok()) {
                *value = Value::Number(number);
            } else if let Cow::Owned(plain) = plain(text, mark) {
                *text = plain;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| unmark(item, mark)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|item| unmark(item, mark));
            if fields.keys().any(|key| key.contains(mark)) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(key, value)| (plain(&key, mark).into_owned(), value))
                    .collect();
            }
        }
        _ => {}
    }
}

/// A text as it is read: U+FFFD in the place of each half of a character.
fn plain<'t>(text: &'t str, mark: &str) -> Cow<'t, str> {
    if !text.contains(mark) {
        return Cow::Borrowed(text);
    }
    let half = format!("{mark}u");
    let mut parts = text.split(&half);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('\u{fffd}');
        out.push_str(part.get(4..).unwrap_or_default());
    }
    Cow::Owned(out)
}
