//! A module's lines among those of its hub's log file, where hubs of other make put them as
//! `[short] <line>`.

use super::{Files, Line};
use crate::{
    client::marked,
    error::Result,
    home::{Home, rel},
    manager::Tail,
    modules::logfile,
};

/// One module's lines in the hub's log file, as it grows.
pub struct Marked {
    files: Files,
    short: String,
    /// What is shown first.
    first: Vec<Line>,
}

impl Marked {
    /// So many lines of the hub's are looked through for the module's last ones.
    pub const BACK: usize = 20_000;

    /// Follows the hub's log file, the module's last lines first.
    pub fn new(home: &Home, short: &str, tail: &Tail) -> Result<Self> {
        // Times stand behind the mark, so they are looked at once that is off.
        let all = Tail {
            lines: Self::BACK,
            since: None,
        };
        let log = (short.to_owned(), rel::HUB_LOG.into());
        let mut files = Files::new(home, &[log], &all)?;
        let lines = files.take_first();
        let lines = lines.iter().filter_map(|line| marked(short, &line.text));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.drain(..lines.len().saturating_sub(tail.lines));
        if let Some(since) = tail.since {
            logfile::newer(&mut lines, since.0);
        }
        let line = |text| Line {
            who: short.to_owned(),
            text,
        };
        Ok(Self {
            files,
            short: short.to_owned(),
            first: lines.into_iter().map(line).collect(),
        })
    }

    /// The next lines, at least one; waits for as long as it takes.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        if !self.first.is_empty() {
            return Ok(std::mem::take(&mut self.first));
        }
        loop {
            let lines = self.files.next().await?;
            let own: Vec<Line> = lines
                .into_iter()
                .filter_map(|line| {
                    let text = marked(&self.short, &line.text)?.to_owned();
                    Some(Line { text, ..line })
                })
                .collect();
            if !own.is_empty() {
                return Ok(own);
            }
        }
    }
}
