//! Reads a property list without trusting it: a binary one can name one object many times and
//! so grow without bound, and a deep one can exhaust the stack.

use plist::Value;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// Larger files are not read; the hub's has 2 KiB.
pub(super) const FILE_LIMIT: usize = 32 * 1024;
/// Bytes that may be read of a file in total, each as often as it is read.
const WORK_LIMIT: u64 = 16 * FILE_LIMIT as u64;
const DEPTH_LIMIT: usize = 32;

/// Reads binary or XML; the error says why not.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    if bytes.len() > FILE_LIMIT {
        return Err(format!("it is larger than {} KiB", FILE_LIMIT / 1024));
    }
    let value = Value::from_reader(Metered {
        inner: Cursor::new(bytes),
        left: WORK_LIMIT,
    })
    .map_err(|e| format!("it is no property list ({e})"))?;
    match shallow(value) {
        Some(value) => Ok(value),
        None => Err("it is nested too deeply".into()),
    }
}

/// Fails once too much was read.
struct Metered<'a> {
    inner: Cursor<&'a [u8]>,
    left: u64,
}

impl Read for Metered<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(to)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("it repeats itself too often"))?;
        Ok(count)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// The value, unless it is nested deeper than the limit: then it is taken apart without recursion.
fn shallow(value: Value) -> Option<Value> {
    let mut level: Vec<&Value> = vec![&value];
    for _ in 0..DEPTH_LIMIT {
        level = level.into_iter().flat_map(children).collect();
        if level.is_empty() {
            return Some(value);
        }
    }
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Dictionary(dict) => rest.extend(dict.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    None
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Dictionary(dict) => Box::new(dict.values()),
        _ => Box::new(std::iter::empty()),
    }
}
