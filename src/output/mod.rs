//! One value, two views: what a verb found, as text for people or as one JSON document for
//! machines. stdout is data, stderr is status; colour when a person looks, none when not.

pub mod live;
mod progress;
pub mod table;
pub mod text;
mod wrap;

use crate::{
    context::Teller,
    error::{Code, Error, Exit},
};
use anstyle::{AnsiColor, Style};
use clap::{ValueEnum, error::ErrorKind};
use serde::Serialize;
use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
};

pub use crate::api::SCHEMA;

/// Styles, by meaning.
pub mod style {
    use super::{AnsiColor, Style};

    /// Good.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// Bad.
    pub const BAD: Style = AnsiColor::Red.on_default().bold();
    /// On its way.
    pub const WAIT: Style = AnsiColor::Yellow.on_default();
    /// Beside the point.
    pub const DIM: Style = Style::new().dimmed();
    /// A thing's name.
    pub const NAME: Style = Style::new().bold();
    /// Advice.
    pub const HINT: Style = AnsiColor::Cyan.on_default();
}

/// One value, two views.
pub trait Report: Serialize {
    /// For people; styles are stripped where nobody looks.
    fn human(&self, to: &mut dyn Write) -> io::Result<()>;

    /// The exit status that goes with it.
    fn exit(&self) -> Exit {
        Exit::Success
    }

    /// Does it write other programs' bytes, which nothing is stripped of.
    fn verbatim(&self) -> bool {
        false
    }
}

/// Where a run's words go.
pub struct Output {
    json: bool,
}

impl Output {
    /// Decides on colour once: the flag, then `NO_COLOR` and the like, then whether it is a
    /// terminal.
    pub fn new(json: bool, color: clap::ColorChoice) -> Self {
        match color {
            clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
            clap::ColorChoice::Always => anstream::ColorChoice::Always,
            clap::ColorChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Self { json }
    }

    /// As [`Output::new`], for a command line that nothing could be made of.
    pub fn unread() -> Self {
        let words = std::env::args_os().skip(1).take_while(|word| word != "--");
        let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
        let color = words.iter().enumerate().rev().find_map(|(at, word)| {
            let value = match word.strip_prefix("--color=") {
                Some(value) => value,
                None if word == "--color" => words.get(at + 1)?,
                None => return None,
            };
            clap::ColorChoice::from_str(value, true).ok()
        });
        let json = words.iter().any(|word| word == "--json");
        Self::new(json, color.unwrap_or_default())
    }

    /// Is it JSON that is wanted.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Does a person look at stdout.
    pub fn person_looks(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// What the rest of the program reports progress and warnings to.
    pub fn teller(&self) -> Arc<dyn Teller> {
        Arc::new(progress::Stderr::new())
    }

    /// Prints a report in the view that is wanted; gives its exit status.
    pub fn report(&self, report: &impl Report) -> Exit {
        let written = if self.json {
            json(report)
        } else if report.verbatim() {
            self.verbatim(|to| report.human(to))
        } else {
            self.human(|to| report.human(to))
        };
        self.written(written, report.exit())
    }

    /// The answer of a verb that is for scripts: nothing but the exit status, or `{"KEY":bool}`.
    pub fn answer(&self, key: &str, yes: bool, exit: Exit) -> Exit {
        let written = match self.json {
            true => json(&serde_json::json!({ "schema": SCHEMA, key: yes })),
            false => Ok(()),
        };
        self.written(written, exit)
    }

    /// Text for another program as it is, or `{"KEY":text}`; gives the exit status.
    pub fn text(&self, key: &str, text: &[u8]) -> Exit {
        let written = match self.json {
            true => json(&serde_json::json!({
                "schema": SCHEMA, key: String::from_utf8_lossy(text)
            })),
            false => self.verbatim(|to| to.write_all(text)),
        };
        self.written(written, Exit::Success)
    }

    /// The exit status of what was written so. A reader that has gone away is no failure.
    fn written(&self, written: io::Result<()>, exit: Exit) -> Exit {
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let why = crate::error::reason(&error);
                self.warn(&format!("cannot write to stdout: {why}"));
                match exit {
                    Exit::Success => Exit::Failed,
                    failed => failed,
                }
            }
            _ => exit,
        }
    }

    /// Writes text for people to stdout, in one go.
    pub fn human(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut text = Vec::new();
        write(&mut text)?;
        let mut out = anstream::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    /// Writes other programs' bytes to stdout as they are, in one go: what stands in them for
    /// colour is not ours to strip.
    pub fn verbatim(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut text = Vec::new();
        write(&mut text)?;
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    /// Is stdout to be coloured.
    pub fn coloured(&self) -> bool {
        anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
    }

    /// The error that ends a run: `error: …`, its log lines, then `hint: …`.
    pub fn error(&self, error: &Error) {
        if self.json {
            let written = json(&Failure {
                schema: SCHEMA,
                error,
            });
            self.written(written, error.exit());
        } else {
            let mut to = anstream::stderr().lock();
            let _ = failure(&mut to, None, error);
        }
    }

    /// A command line that is wrong (exit 2), or a request for help or the version (exit 0).
    pub fn usage(&self, error: &clap::Error) -> Exit {
        let text = error.render();
        if error.use_stderr() {
            if self.json {
                self.error(&wrong(error));
            } else {
                let _ = write!(anstream::stderr().lock(), "{}", text.ansi());
            }
            return Exit::Usage;
        }
        match (self.json, error.kind()) {
            (true, ErrorKind::DisplayVersion) => {
                self.text("version", env!("CARGO_PKG_VERSION").as_bytes())
            }
            (true, _) => self.text("help", text.to_string().as_bytes()),
            (false, _) => {
                let written = self.human(|to| write!(to, "{}", text.ansi()));
                self.written(written, Exit::Success)
            }
        }
    }

    /// A warning, on stderr.
    pub fn warn(&self, text: &str) {
        self.teller().warn(text);
    }
}

/// Writes an error as people see it, with what it is about in front. What runs and is only late is
/// a warning (contract, section 7).
pub fn failure(to: &mut dyn Write, who: Option<&str>, error: &Error) -> io::Result<()> {
    let (bad, dim, hint) = (style::BAD, style::DIM, style::HINT);
    let who = who.map(|who| format!("{who}: ")).unwrap_or_default();
    let mut lines = error.message.lines();
    let first = text::visible(lines.next().unwrap_or_default());
    match error.code {
        Code::StartedButUnbound => {
            let wait = style::WAIT;
            writeln!(to, "{wait}warning{wait:#}: {who}{first}")?;
        }
        _ => writeln!(to, "{bad}error{bad:#}: {who}{first}")?,
    }
    for line in lines {
        writeln!(to, "  {}", text::visible(line))?;
    }
    for line in &error.log {
        writeln!(to, "  {dim}|{dim:#} {}", text::visible(line))?;
    }
    if let Some(advice) = &error.hint {
        writeln!(to, "{hint}hint{hint:#}: {}", text::visible(advice))?;
    }
    Ok(())
}

/// What is wrong with a command line, in one sentence.
fn wrong(error: &clap::Error) -> Error {
    let full = error.to_string();
    let what = full
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let message = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no verb was given".to_owned()
        }
        _ => what.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Error::new(Code::Usage, message).hint("see `parachute --help`")
}

#[derive(Serialize)]
struct Failure<'a> {
    schema: u32,
    error: &'a Error,
}

fn json(value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&bytes)?;
    out.flush()
}
