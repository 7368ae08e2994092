//! The one line of /proc/<pid>/stat (proc_pid_stat(5)). Pure; a line it does not understand is
//! no process.

use super::Process;
use std::time::Duration;

/// The fields that are of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    state: u8,
    parent: u32,
    group: u32,
    session: u32,
    terminal: i32,
    cpu: u64,
    threads: u64,
    start: u64,
    pages: u64,
}

/// The name, in parentheses, may hold spaces, parentheses and line ends: the fields begin after
/// the last `)`.
pub(super) fn parse(line: &[u8]) -> Option<Stat> {
    let after = line.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(line.get(after..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Field 3, the state, is the first here.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        state: *field(3)?.as_bytes().first()?,
        parent: field(4)?.parse().ok()?,
        group: positive(field(5)?)?,
        session: positive(field(6)?)?,
        terminal: field(7)?.parse().ok()?,
        cpu: field(14)?
            .parse::<u64>()
            .ok()?
            .saturating_add(field(15)?.parse().ok()?),
        threads: field(20)?.parse().ok()?,
        start: field(22)?.parse().ok()?,
        pages: field(24)?.parse::<i64>().ok()?.try_into().unwrap_or(0),
    })
}

/// A group or session of another pid namespace is 0, of one that is ending -1.
fn positive(text: &str) -> Option<u32> {
    Some(text.parse::<i64>().ok()?.try_into().unwrap_or(0))
}

/// Clock ticks as time.
pub(super) fn ticks(count: u64) -> Duration {
    let rate = rustix::param::clock_ticks_per_second().max(1);
    let nanos = (count % rate).saturating_mul(1_000_000_000) / rate;
    Duration::from_secs(count / rate) + Duration::from_nanos(nanos)
}

impl Stat {
    pub(super) fn into_process(self, pid: u32, uid: u32) -> Process {
        Process {
            pid,
            parent: self.parent,
            group: self.group,
            session: self.session,
            uid,
            start: self.start,
            // A main thread that has ended while others run is a Z too, but the process lives.
            zombie: matches!(self.state, b'Z' | b'X' | b'x') && self.threads <= 1,
            terminal: self.terminal != 0,
            cpu: ticks(self.cpu),
            memory: self
                .pages
                .saturating_mul(u64::try_from(rustix::param::page_size()).unwrap_or(4096)),
        }
    }
}

#[cfg(test)]
#[path = "stat_tests.rs"]
mod tests;
