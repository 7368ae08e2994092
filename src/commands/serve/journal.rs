//! How the hub writes its own lines: structured, as text or JSON, on stderr, never waiting for whoever
//! reads there.

use crate::{
    context::Context,
    error::{Code, Error, Result},
    supervisor::console::Console,
};
use tracing_subscriber::{
    Layer, filter::LevelFilter, fmt, fmt::time::FormatTime, layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The least serious line that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Level {
    /// Only what went wrong
    Error,
    /// And what is odd
    Warn,
    /// And what became of each module
    Info,
    /// And every refusal
    Debug,
    /// Everything
    Trace,
}

/// The level of the flag, else of `PARACHUTE_LOG`, else info.
pub(super) fn level(flag: Option<Level>, cx: &Context) -> Result<Level> {
    let word = cx.var("PARACHUTE_LOG");
    match (flag, word) {
        (Some(level), _) => Ok(level),
        (None, None) => Ok(Level::Info),
        (None, Some(word)) => word
            .to_str()
            .and_then(|word| <Level as clap::ValueEnum>::from_str(word, true).ok())
            .ok_or_else(|| {
                Error::new(
                    Code::Usage,
                    format!("PARACHUTE_LOG is {word:?}, which is no level"),
                )
                .hint("it is one of error, warn, info, debug, trace")
            }),
    }
}

struct Now;

impl FormatTime for Now {
    fn format_time(&self, to: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(to, "{}", crate::api::Time::now())
    }
}

/// From now on the hub's own lines go there.
pub(super) fn begin(format: Format, level: Level, console: Console) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = fmt::layer()
        .with_timer(Now)
        .with_target(false)
        .with_writer(move || console.clone());
    let begun = match format {
        Format::Text => tracing_subscriber::registry()
            .with(lines.with_ansi(false).with_filter(level))
            .try_init(),
        Format::Json => tracing_subscriber::registry()
            .with(lines.json().flatten_event(true).with_filter(level))
            .try_init(),
    };
    // Another subscriber is there already only in a process that is not a hub.
    let _ = begun;
}
