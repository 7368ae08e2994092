//! Progress and warnings on stderr: a spinner where a person looks, nothing in a pipe.

use super::{style, text};
use crate::context::Teller;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, Write, stderr},
    sync::Mutex,
    time::Duration,
};

/// Speaks on stderr.
pub(super) struct Stderr {
    spinner: Mutex<Option<ProgressBar>>,
}

impl Stderr {
    /// Shows nothing until somebody waits or warns.
    pub(super) fn new() -> Self {
        Self {
            spinner: Mutex::new(None),
        }
    }

    /// Prints whole lines without tearing the spinner.
    fn line(&self, line: &str) {
        let spinner = self
            .spinner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let print = || {
            let _ = writeln!(anstream::stderr().lock(), "{line}");
        };
        match &*spinner {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// How the spinner looks; whether in colour is decided where all colour is.
fn template() -> String {
    match anstream::AutoStream::choice(&stderr()) {
        anstream::ColorChoice::Never => "{spinner} {msg} {elapsed}".to_owned(),
        _ => {
            let (hint, dim) = (style::HINT, style::DIM);
            format!("{hint}{{spinner}}{hint:#} {{msg}} {dim}{{elapsed}}{dim:#}")
        }
    }
}

impl Teller for Stderr {
    fn waiting(&self, what: Option<&str>) {
        let mut spinner = self
            .spinner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match (what, &*spinner) {
            (Some(what), Some(bar)) => bar.set_message(what.to_owned()),
            (Some(what), None) if stderr().is_terminal() => {
                let bar = ProgressBar::new_spinner().with_message(what.to_owned());
                if let Ok(look) = ProgressStyle::with_template(&template()) {
                    bar.set_style(look);
                }
                bar.enable_steady_tick(Duration::from_millis(90));
                *spinner = Some(bar);
            }
            (Some(_), None) => {}
            (None, _) => {
                if let Some(bar) = spinner.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }

    fn say(&self, what: &str) {
        let dim = style::DIM;
        self.line(&format!("{dim}{}{dim:#}", text::visible(what)));
    }

    fn warn(&self, what: &str) {
        let wait = style::WAIT;
        self.line(&format!("{wait}warning{wait:#}: {}", text::visible(what)));
    }
}
