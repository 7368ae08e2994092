//! What everybody may know of one module: its short name, its log, its state, and where to ask it for
//! something. Only its task changes it.

use super::{
    log::Log,
    phase::{Crashes, Phase},
    task::Message,
};
use crate::api::{ModuleState, ModuleStatus, StartError, Time};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::mpsc;

/// The module's facts at one moment.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) phase: Phase,
    pub(super) crashes: Crashes,
    pub(super) pid: Option<u32>,
    pub(super) started_at: Option<Time>,
    pub(super) last_crash_at: Option<Time>,
    pub(super) last_exit_code: Option<i32>,
    pub(super) start_error: Option<StartError>,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) short: String,
    pub(super) log: Arc<Log>,
    pub(super) mailbox: mpsc::UnboundedSender<Message>,
    facts: Mutex<Facts>,
}

impl Module {
    /// A module that has not been started.
    pub(super) fn new(short: &str, mailbox: mpsc::UnboundedSender<Message>) -> Self {
        let log = Log::default();
        log.set_idle(true);
        Self {
            short: short.to_owned(),
            log: Arc::new(log),
            mailbox,
            facts: Mutex::new(Facts {
                phase: Phase::Stopped,
                crashes: Crashes::default(),
                pid: None,
                started_at: None,
                last_crash_at: None,
                last_exit_code: None,
                start_error: None,
            }),
        }
    }

    /// Changes the facts; for the task alone.
    pub(super) fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn facts(&self) -> Facts {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.clone()
    }

    /// Where it is in its life.
    pub(super) fn phase(&self) -> Phase {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.phase
    }

    /// `state` of the API.
    pub(super) fn state(&self) -> ModuleState {
        let facts = self.facts();
        let status = match facts.phase {
            Phase::Stopped => ModuleStatus::Stopped,
            Phase::Starting { .. } => ModuleStatus::Starting,
            Phase::Running { .. } | Phase::Stopping { again: false } => ModuleStatus::Running,
            Phase::Waiting | Phase::Stopping { again: true } => ModuleStatus::Restarting,
            Phase::Crashed => ModuleStatus::Crashed,
        };
        ModuleState {
            short: self.short.clone(),
            status,
            pid: facts.pid,
            started_at: facts.pid.and(facts.started_at),
            restarts_in_window: facts.crashes.respawns(Instant::now()),
            last_crash_at: facts.last_crash_at,
            last_exit_code: facts.last_exit_code,
            start_error: facts.start_error,
        }
    }

    /// The last lines of its output since a place in its log, oldest first, each at most 300
    /// characters.
    pub(super) fn last_lines(&self, since: u64, count: usize) -> Vec<String> {
        let kept = self.log.since(since);
        let text = String::from_utf8_lossy(&kept);
        let mut lines: Vec<String> = text
            .lines()
            .rev()
            .take(count)
            .map(|line| line.chars().take(300).collect())
            .collect();
        lines.reverse();
        lines
    }
}
