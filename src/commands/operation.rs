//! A long-running operation of the hub, watched until it ends: what `install` and `upgrade` share.
//! Its log is shown as it grows; leaving it does not end it.

use crate::{
    api::Operation,
    client::Client,
    context::Teller,
    error::{Code, Error, Exit, Result},
    modules::{known, registry::Registry},
    output::{Output, Report, SCHEMA, style},
};
use serde::Serialize;
use std::{
    io::{self, Write},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// How often the hub is asked; it has no call that waits.
const PAUSE: Duration = Duration::from_millis(250);
/// A hub that does not answer for this long has gone.
const SILENCE: Duration = Duration::from_secs(15);

/// What a verb asks the hub to do with a module's package.
#[derive(Clone, Copy)]
pub(super) struct Work {
    /// As on the command line.
    pub(super) verb: &'static str,
    /// What is being done.
    pub(super) doing: &'static str,
    /// What has been done.
    pub(super) done: &'static str,
}

/// What became of it.
#[derive(Serialize)]
pub(super) struct Done<'a> {
    schema: u32,
    verb: &'a str,
    name: &'a str,
    /// Null for what a hub does at once.
    operation: Option<Operation>,
    #[serde(skip)]
    word: &'a str,
}

impl Report for Done<'_> {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (good, name) = (style::GOOD, style::NAME);
        let (who, word) = (self.name, self.word);
        writeln!(to, "{good}✓{good:#} {name}{who}{name:#}  {word}")
    }
}

impl Work {
    /// The document and the line of a success.
    pub(super) fn done(self, name: &str, operation: Option<Operation>) -> Done<'_> {
        Done {
            schema: SCHEMA,
            verb: self.verb,
            name,
            operation,
            word: self.done,
        }
    }

    /// Watches the operation that has just begun, for at most `bound`.
    pub(super) async fn watch(
        self,
        client: &Client,
        short: &str,
        id: &str,
        bound: Duration,
        tell: &dyn Teller,
        out: &Output,
    ) -> Result<Exit> {
        let doing = self.doing;
        tell.waiting(Some(&format!("{doing} {short}")));
        let watched = tokio::select! {
            watched = timeout_at(Instant::now() + bound, follow(client, id, tell)) => watched,
            _ = tokio::signal::ctrl_c() => {
                tell.waiting(None);
                return Err(Error::new(
                    Code::Interrupted,
                    format!("no longer watched: the hub goes on {doing} {short}"),
                )
                .hint("`parachute status` shows what comes of it"));
            }
        };
        tell.waiting(None);
        let operation = watched.map_err(|_| {
            Error::new(
                Code::TimedOut,
                format!(
                    "the hub is still {doing} {short} after {} s",
                    bound.as_secs()
                ),
            )
            .hint("it goes on by itself: `parachute status` shows what comes of it")
        })??;
        if operation.status == "succeeded" {
            return Ok(out.report(&self.done(short, Some(operation))));
        }
        Err(self.failed(short, &operation))
    }

    fn failed(self, short: &str, operation: &Operation) -> Error {
        let why = operation.error.as_deref().map(str::trim);
        let why = why.filter(|why| !why.is_empty());
        let why = why.unwrap_or("the hub does not say why");
        let detail = match &operation.error_detail {
            Some(serde_json::Value::String(text)) => text.lines().map(str::to_owned).collect(),
            Some(other) => vec![other.to_string()],
            None => Vec::new(),
        };
        let verb = self.verb;
        Error::new(
            Code::ModuleOpFailed,
            format!("{verb} {short} failed: {}", why.trim_end_matches('.')),
        )
        .hint("`parachute logs hub` may say more")
        .log(detail)
    }
}

/// Asks until it has ended; lines that are new are said.
async fn follow(client: &Client, id: &str, tell: &dyn Teller) -> Result<Operation> {
    let mut said = 0;
    let mut silent: Option<Instant> = None;
    loop {
        match client.operation(id).await {
            Ok(Some(operation)) => {
                silent = None;
                for line in operation.log.iter().skip(said) {
                    tell.say(line.trim_end());
                }
                said = said.max(operation.log.len());
                if !matches!(&*operation.status, "pending" | "running") {
                    return Ok(operation);
                }
            }
            Ok(None) => {
                return Err(Error::new(
                    Code::ModuleOpFailed,
                    "the hub knows nothing of the operation any more: it was started again \
                     meanwhile",
                )
                .hint("`parachute status` shows what came of it"));
            }
            // A hub that upgrades things may be away for a moment.
            Err(e) if matches!(e.code, Code::HubUnreachable | Code::HubWedged) => {
                let since = *silent.get_or_insert_with(Instant::now);
                if since.elapsed() > SILENCE {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
        sleep(PAUSE).await;
    }
}

/// The short name that a person means: a row's, a first-party module's, else what was typed.
pub(super) fn short(registry: &Registry, name: &str) -> String {
    match (registry.find(name), known::known(name)) {
        (Some(row), _) => registry.process_of(row).short().to_owned(),
        (None, Some(known)) => known.short.to_owned(),
        (None, None) => name.to_owned(),
    }
}

/// A `--timeout`, for operations that fetch and build.
#[derive(Debug, clap::Args)]
pub(super) struct Bound {
    /// How long to watch, in seconds; the hub goes on by itself after that
    #[arg(long, value_name = "SECONDS", default_value_t = 1800,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl Bound {
    /// As a duration.
    pub(super) fn get(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}
