//! `parachute logs`.

use super::when;
use crate::{
    api::Time,
    error::{Code, Error, Exit, Result},
    lifecycle::{Site, Targets, follow::Line},
    manager::Tail,
    output::{Output, Report, SCHEMA, text},
};
use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// So many lines of each are shown.
const LINES: usize = 200;
/// So many, when it is the time that decides.
const MOST: usize = 100_000;

/// Show what modules wrote
///
/// On a terminal, control characters of a module's output are made visible; in a pipe or a file
/// they are as it wrote them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Modules, or `hub` [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How many of the last lines of each [default: 200; with `--since`: all]
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<usize>,
    /// Only lines from then on: `90s`, `10m`, `2h 30m`, `3d` ago, or a time as
    /// 2026-06-01T12:00:00Z (UTC where it names no offset). Goes by the time that a line begins
    /// with; a log whose lines have none is shown as without this, and that is said
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    pub since: Option<Timestamp>,
    /// Go on until Ctrl-C, across rotation and restarts
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Serialize)]
struct Logs {
    schema: u32,
    logs: Vec<Log>,
    #[serde(skip)]
    painter: Painter,
}

#[derive(Serialize)]
struct Log {
    name: String,
    lines: Vec<String>,
}

impl Report for Logs {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for log in &self.logs {
            for line in &log.lines {
                self.painter.line(to, &log.name, line)?;
            }
        }
        Ok(())
    }

    fn verbatim(&self) -> bool {
        true
    }
}

/// Puts a prefix before each line when there are several names, and defuses control characters
/// where a person looks.
#[derive(Clone)]
struct Painter {
    names: Vec<String>,
    width: usize,
    defuse: bool,
    coloured: bool,
}

impl Painter {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Yellow,
        AnsiColor::Green,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::Red,
    ];

    fn new(names: Vec<String>, out: &Output) -> Self {
        let width = names
            .iter()
            .map(|n| n.chars().count())
            .max()
            .unwrap_or_default();
        Self {
            names,
            width,
            defuse: io::stdout().is_terminal(),
            coloured: out.coloured(),
        }
    }

    fn line(&self, to: &mut dyn Write, name: &str, line: &str) -> io::Result<()> {
        let line = if self.defuse {
            text::visible(line)
        } else {
            line.into()
        };
        if self.names.len() < 2 {
            return writeln!(to, "{line}");
        }
        let at = self
            .names
            .iter()
            .position(|n| n == name)
            .unwrap_or_default();
        let paint = if self.coloured {
            Self::COLOURS[at % Self::COLOURS.len()].on_default()
        } else {
            Style::new()
        };
        writeln!(
            to,
            "{paint}{name:width$} |{paint:#} {line}",
            width = self.width
        )
    }
}

impl Args {
    fn tail(&self) -> Tail {
        Tail {
            lines: self.lines.unwrap_or(match self.since {
                Some(_) => MOST,
                None => LINES,
            }),
            since: self.since.map(Time),
        }
    }

    /// What to say when there is no line to show, unless none was asked for.
    fn silence(&self, tails: &[(String, Vec<String>)]) -> Option<String> {
        if tails.is_empty() || self.lines == Some(0) || tails.iter().any(|(_, l)| !l.is_empty()) {
            return None;
        }
        let names: Vec<&str> = tails.iter().map(|(name, _)| name.as_str()).collect();
        let when = match self.since {
            Some(_) => "since then",
            None => "yet",
        };
        let names = names.join(", ");
        Some(format!("nothing has been written by {names} {when}"))
    }
}

/// Carries it out.
pub async fn run(args: &Args, site: &Site, out: &Output) -> Result<Exit> {
    if args.follow && out.json() {
        return Err(Error::new(
            Code::Usage,
            "`--follow` never ends, and `--json` is one document",
        )
        .hint("leave one of them out"));
    }
    let targets = Targets::of(&args.names);
    let tails = site.logs(&targets, &args.tail()).await?;
    let names: Vec<String> = tails.iter().map(|(name, _)| name.clone()).collect();
    let painter = Painter::new(names.clone(), out);
    if names.is_empty() && site.registry()?.rows.is_empty() && !out.json() {
        out.warn(match args.follow {
            true => "there is nothing to follow: this box has no module yet",
            false => "there is nothing to show: this box has no module yet",
        });
    }
    if args.follow && names.is_empty() {
        return Ok(Exit::Success);
    }
    if !args.follow {
        if !out.json()
            && let Some(silence) = args.silence(&tails)
        {
            out.warn(&silence);
        }
        let logs = tails
            .into_iter()
            .map(|(name, lines)| Log { name, lines })
            .collect();
        return Ok(out.report(&Logs {
            schema: SCHEMA,
            logs,
            painter,
        }));
    }
    drop(tails);
    follow(args, site, out, &names, &painter).await
}

async fn follow(
    args: &Args,
    site: &Site,
    out: &Output,
    names: &[String],
    painter: &Painter,
) -> Result<Exit> {
    let mut lines = site.follow(names, &args.tail()).await?;
    loop {
        let batch: Vec<Line> = tokio::select! {
            batch = lines.next() => match batch {
                Some(batch) => batch?,
                None => return Ok(Exit::Success),
            },
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
        let written = out.verbatim(|to| {
            batch
                .iter()
                .try_for_each(|line| painter.line(to, &line.who, &line.text))
        });
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Success),
            Err(error) => {
                return Err(Error::new(
                    Code::Io,
                    format!("cannot write to stdout: {error}"),
                ));
            }
        }
    }
}
