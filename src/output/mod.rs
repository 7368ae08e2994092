//! One value, two views: what a verb found, as text for people or as one JSON document for
//! machines. stdout is data, stderr is status; colour when a person looks, none when not.

pub mod live;
mod progress;
pub mod table;
pub mod text;

use crate::{
    context::Teller,
    error::{Code, Error, Exit},
};
use anstyle::{AnsiColor, Style};
use clap::error::ErrorKind;
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

    /// Prints a report in the view that is wanted; gives its exit status. A reader that has gone
    /// away is no failure.
    pub fn report(&self, report: &impl Report) -> Exit {
        let written = if self.json {
            json(report)
        } else if report.verbatim() {
            self.verbatim(|to| report.human(to))
        } else {
            self.human(|to| report.human(to))
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.warn(&format!(
                    "cannot write to stdout: {}",
                    crate::error::reason(&error)
                ));
                Exit::Failed
            }
            _ => report.exit(),
        }
    }

    /// The answer of a verb that is for scripts: nothing but the exit status, or `{"KEY":bool}`.
    pub fn answer(&self, key: &str, yes: bool, exit: Exit) -> Exit {
        if self.json {
            let _ = json(&serde_json::json!({ "schema": SCHEMA, key: yes }));
        }
        exit
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
            let _ = json(&Failure {
                schema: SCHEMA,
                error,
            });
        } else {
            let mut to = anstream::stderr().lock();
            let _ = failure(&mut to, None, error);
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

/// A command line that is wrong (exit 2), or a request for help or the version (exit 0).
pub fn usage(error: &clap::Error) -> u8 {
    let wants_json = std::env::args_os()
        .take_while(|a| a != "--")
        .any(|a| a == "--json");
    if error.use_stderr() && wants_json {
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
        let error = Error::new(Code::Usage, message).hint("see `parachute --help`");
        let _ = json(&Failure {
            schema: SCHEMA,
            error: &error,
        });
    } else {
        let _ = error.print();
    }
    error.exit_code().try_into().unwrap_or(Exit::Usage as u8)
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
