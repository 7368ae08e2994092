//! Reads what `launchctl list <label>` says: an old-style property list whose `LastExitStatus` is
//! a raw wait(2) status. Pure. The second source, for where `print` says nothing that we know.

use super::print::LastExit;

/// One job as listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// `Label`.
    pub label: Option<String>,
    /// `PID`, while it runs.
    pub pid: Option<u32>,
    /// `LastExitStatus`, as wait(2) gives it: exit code times 256, or a signal's number.
    pub status: Option<i32>,
    /// `OnDemand` is false where KeepAlive is true.
    pub on_demand: Option<bool>,
    /// `StandardOutPath`.
    pub stdout: Option<String>,
}

impl Listed {
    /// The wait status, taken apart; 0 may also mean that it never ran.
    pub fn last(&self) -> Option<LastExit> {
        let status = self.status?;
        let signal = status & 0x7f;
        Some(match signal {
            0 => LastExit::Code((status >> 8) & 0xff, None),
            _ => LastExit::Signal(Some(signal), format!("signal {signal}")),
        })
    }
}

/// Reads the text; `None` when it is not such a list.
pub fn parse(text: &str) -> Option<Listed> {
    let mut lines = text.split('\n').skip_while(|line| line.trim().is_empty());
    if lines.next()? != "{" {
        return None;
    }
    let mut job = Listed::default();
    let mut block: Option<&str> = None;
    for line in lines {
        if let Some(end) = block {
            if line == end {
                block = None;
            }
            continue;
        }
        if line == "};" || line == "}" {
            return Some(job);
        }
        let Some((key, value)) = line
            .strip_prefix("\t\"")
            .and_then(|l| l.split_once("\" = "))
        else {
            continue;
        };
        match value {
            "(" => block = Some("\t);"),
            "{" => block = Some("\t};"),
            _ => {
                if let Some(value) = value.strip_suffix(';') {
                    set(&mut job, key, value);
                }
            }
        }
    }
    None
}

fn set(job: &mut Listed, key: &str, value: &str) {
    let string = || {
        value
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .map(str::to_owned)
    };
    match key {
        "Label" if job.label.is_none() => job.label = string(),
        "PID" if job.pid.is_none() => job.pid = value.parse().ok().filter(|&pid| pid > 0),
        "LastExitStatus" if job.status.is_none() => job.status = value.parse().ok(),
        "OnDemand" if job.on_demand.is_none() => {
            job.on_demand = match value {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            };
        }
        "StandardOutPath" if job.stdout.is_none() => job.stdout = string(),
        _ => {}
    }
}
