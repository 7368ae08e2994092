//! Reads what `launchctl print <domain>/<label>` says of one job. Pure. The text has no promised
//! format: only its outermost level counts, and what is not understood is left out, never guessed.

use std::collections::BTreeMap;

/// How the job's previous run ended; while a pid is shown this is not about the live run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastExit {
    /// `(never exited)`.
    Never,
    /// An exit code, with the name that sysexits(3) gives it where launchctl prints one.
    Code(i32, Option<String>),
    /// A terminating signal; the number where it is printed.
    Signal(Option<i32>, String),
    /// A reason of the kernel's, such as `OS_REASON_CODESIGNING`.
    Reason(String),
    /// Something else, as printed.
    Odd(String),
}

/// One job as printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// `gui/501`; absent in the layout of macOS 10.15 and before.
    pub domain: Option<String>,
    /// The job's label, from the header.
    pub label: String,
    /// The record ended with its closing brace; without it anything may be missing.
    pub complete: bool,
    /// `state`, as printed.
    pub state: Option<String>,
    /// `job state`, as printed (macOS 12 and later).
    pub job_state: Option<String>,
    /// `pid`.
    pub pid: Option<u32>,
    /// `runs`: how often it was spawned since it was loaded.
    pub runs: Option<u32>,
    /// How the previous run ended.
    pub last: Option<LastExit>,
    /// The property list it was loaded from.
    pub path: Option<String>,
    /// `program`.
    pub program: Option<String>,
    /// `stdout path`.
    pub stdout: Option<String>,
    /// `exit timeout` in seconds: SIGKILL follows SIGTERM after it.
    pub exit_timeout: Option<u64>,
    /// The words of `properties`; in the older layout those of the block that are 1.
    pub properties: Vec<String>,
    /// The job's own environment, one-line values only.
    pub environment: BTreeMap<String, String>,
    /// The arguments; a raw line feed in one of them makes two of it here.
    pub arguments: Vec<String>,
}

impl Printed {
    /// Is this word among its properties?
    pub fn has(&self, property: &str) -> bool {
        self.properties.iter().any(|p| p == property)
    }
}

/// Reads the text; `None` when it does not begin as a job's record does.
pub fn parse(text: &str) -> Option<Printed> {
    let mut lines = text.split('\n').skip_while(|line| line.trim().is_empty());
    let header = lines.next()?.strip_suffix(" = {")?;
    if header.is_empty() || header.starts_with(char::is_whitespace) {
        return None;
    }
    let (domain, label) = match header.rsplit_once('/') {
        Some((domain, label)) => (Some(domain.to_owned()), label),
        None => (None, header),
    };
    let mut job = Printed {
        domain,
        label: label.to_owned(),
        ..Printed::default()
    };
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut block: Option<&str> = None;
    for line in lines {
        if let Some(name) = block {
            // Multi-line arguments are printed raw: braces inside a block say nothing.
            if line == "\t}" {
                block = None;
            } else {
                inside(&mut job, name, line);
            }
        } else if line == "}" {
            job.complete = true;
            break;
        } else if let Some(body) = one_tab(line) {
            if let Some(name) = body.strip_suffix(" = {") {
                // A second block of a name is skipped like any other.
                block = Some(if seen.insert(name, "{").is_some() {
                    ""
                } else {
                    name
                });
            } else if let Some((key, value)) = body.split_once(" = ") {
                seen.entry(key).or_insert(value);
            }
        }
    }
    fill(&mut job, &seen);
    Some(job)
}

/// The rest of a line that is indented by exactly one tab.
fn one_tab(line: &str) -> Option<&str> {
    line.strip_prefix('\t')
        .filter(|body| !body.starts_with(char::is_whitespace))
}

/// One line of a block that we look into.
fn inside(job: &mut Printed, block: &str, line: &str) {
    let Some(body) = line.strip_prefix("\t\t") else {
        return;
    };
    match block {
        "arguments" => job.arguments.push(body.to_owned()),
        "environment" => {
            if let Some((key, value)) = body.split_once(" => ") {
                job.environment
                    .entry(key.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        }
        "properties" => {
            if let Some(name) = body.strip_suffix(" = 1") {
                job.properties.push(name.to_owned());
            }
        }
        _ => {}
    }
}

fn fill(job: &mut Printed, seen: &BTreeMap<&str, &str>) {
    let text = |key: &str| {
        seen.get(key)
            .filter(|v| **v != "{")
            .map(|v| (*v).to_owned())
    };
    job.state = text("state");
    job.job_state = text("job state");
    job.pid = text("pid")
        .and_then(|v| v.parse().ok())
        .filter(|&pid| pid > 0);
    job.runs = text("runs").and_then(|v| v.parse().ok());
    job.path = text("path");
    job.program = text("program");
    job.stdout = text("stdout path");
    job.exit_timeout = text("exit timeout").and_then(|v| v.parse().ok());
    if let Some(words) = text("properties") {
        job.properties = words.split(" | ").map(|w| w.trim().to_owned()).collect();
    }
    job.last = text("last exit reason")
        .map(LastExit::Reason)
        .or_else(|| text("last terminating signal").map(signal))
        .or_else(|| text("last exit code").map(code));
}

/// `Terminated: 15`.
fn signal(text: String) -> LastExit {
    let number = text
        .rsplit(|c: char| c == ':' || c.is_whitespace())
        .next()
        .and_then(|n| n.parse().ok())
        .filter(|n| (1..128).contains(n));
    LastExit::Signal(number, text)
}

/// `(never exited)`, `1` or `78: EX_CONFIG`.
fn code(text: String) -> LastExit {
    if text == "(never exited)" {
        return LastExit::Never;
    }
    let (number, name) = match text.split_once(": ") {
        Some((number, name)) => (number, Some(name.to_owned())),
        None => (text.as_str(), None),
    };
    match number.parse() {
        Ok(number) => LastExit::Code(number, name),
        Err(_) => LastExit::Odd(text),
    }
}
