//! What becomes of a spawned module, as its task sees it: spawned, ready, late, gone. Each turns into
//! facts that everybody may know, a line in the log, and an event for the phase.

use super::{
    super::{
        child::{Child, Left},
        phase::{Event, Phase, READINESS},
        prepare::{self, Prepared},
        ready::{self, Ready},
        reaper::Exit,
    },
    Done, Task,
};
use crate::{
    api::{StartError, StartErrorType, Time},
    modules::registry,
    os::{
        group::SPAWN_ID,
        port::{self, Holder, Listeners},
        process,
    },
};
use std::{sync::Arc, time::Instant};

impl Task {
    pub(super) fn spawn(&mut self, prepared: Result<Prepared, StartError>) {
        self.begun = self.module.log.end();
        let spawned =
            prepared.and_then(|prepared| Child::spawn(&self.shared, prepared, self.sink.clone()));
        match spawned {
            Ok(child) => {
                let child = Arc::new(child);
                tracing::info!(
                    module = self.module.short,
                    pid = child.record.pid,
                    "spawned"
                );
                self.row = child.row.clone();
                self.last_exit = None;
                self.deadline = Some(child.born + READINESS);
                self.exit = Some(child.exit.clone());
                self.ready = Some(Box::pin(ready::watch(self.shared.clone(), child.clone())));
                self.facts(|facts| {
                    facts.pid = Some(child.record.pid);
                    facts.started_at = Some(child.since);
                });
                self.child = Some(child);
                self.publish();
            }
            Err(error) => {
                tracing::error!(module = self.module.short, kind = ?error.error_type,
                    "not started: {}", one_line(&error));
                self.last_exit = None;
                self.facts(|facts| facts.start_error = Some(error));
                self.apply(Event::NotSpawned);
                self.rest_if_settled();
            }
        }
    }

    /// It was to be spawned, and is no module of this box any more.
    pub(super) fn unlisted(&mut self) {
        let short = &self.module.short;
        let text = format!("{short} has no row in services.json any more: it stays down");
        tracing::warn!(module = short, "{text}");
        self.last_exit = None;
        let error = StartError::new(StartErrorType::SpawnFailed, text);
        self.facts(|facts| facts.start_error = Some(error));
        self.apply(Event::Unlisted);
        self.rest_if_settled();
    }

    pub(super) fn is_ready(&mut self, how: Ready) {
        if !matches!(
            self.phase,
            Phase::Starting { .. } | Phase::Running { unbound: true }
        ) {
            return;
        }
        self.deadline = None;
        self.facts(|facts| facts.start_error = None);
        let short = &self.module.short;
        let port = self.row.port;
        match how {
            Ready::Bound => tracing::info!(module = short, port, "ready: it listens"),
            Ready::Said => tracing::info!(module = short, port, "ready: it said so"),
            Ready::Answers => tracing::warn!(
                module = short,
                port,
                "ready: its health path answers, but who holds its port cannot be looked up"
            ),
        }
        if self.row.last_start_error.is_some() {
            let (home, name) = (self.shared.home.clone(), self.row.name.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(error) = registry::set_start_error(&home, &name, None) {
                    tracing::warn!(%error, "cannot clear an old start error");
                }
            });
        }
        self.apply(Event::Ready);
        if self.outlive.take().is_some() {
            // Who of the group speaks for it is known only now.
            self.look();
        }
    }

    pub(super) fn deadline_passed(&mut self) {
        self.deadline = None;
        match self.phase {
            Phase::Starting { .. } => {
                let error = self.unready();
                tracing::warn!(module = self.module.short, "{}", one_line(&error));
                self.facts(|facts| facts.start_error = Some(error));
                self.apply(Event::Late);
            }
            Phase::Waiting => self.apply(Event::Due),
            _ => {}
        }
    }

    /// Why a live module is not ready.
    fn unready(&self) -> StartError {
        let port = self.row.port;
        let short = &self.module.short;
        let held = Listeners::read().map(|listeners| port::holder(port, &listeners));
        let text = match held {
            Ok(Holder::Process { pid }) if self.carries_its_id(pid) => format!(
                "{short} runs, but what listens on port {port}, pid {pid} ({}), has left its session and cannot be watched\nhave it serve in the session that it is started in: without `setsid`, not as a daemon",
                process::command_line(pid)
            ),
            Ok(Holder::Process { pid }) => {
                return prepare::squatter(&self.shared, &self.row, pid);
            }
            _ => format!(
                "{short} runs, but nothing of it listens on port {port} after {} s",
                READINESS.as_secs()
            ),
        };
        StartError::new(StartErrorType::StartedButUnbound, text)
    }

    /// Was it started by this very spawn?
    fn carries_its_id(&self, pid: u32) -> bool {
        let spawn = self.child.as_ref().and_then(|c| c.record.spawn.as_deref());
        let carried = process::env_var(pid, SPAWN_ID);
        spawn.is_some() && carried.as_deref().and_then(|id| id.to_str()) == spawn
    }

    /// The process that was spawned has ended. What its group is now worth is looked at first, unless
    /// the group is being ended anyway.
    pub(super) fn leader_gone(&mut self, exit: Exit) {
        self.exit = None;
        self.last_exit = Some(exit);
        self.facts(|facts| {
            facts.pid = None;
            facts.last_exit_code = Some(exit.code);
        });
        self.look();
        self.publish();
    }

    /// One of a group without its leader has ended: the same question again.
    pub(super) fn member_gone(&mut self) {
        if let Some(exit) = &mut self.last_exit {
            exit.at = Instant::now();
        }
        self.facts(|facts| {
            let there = facts.pid.and_then(|pid| process::look(pid).ok().flatten());
            facts.pid = there
                .filter(|process| !process.zombie)
                .map(|process| process.pid);
        });
        self.look();
        self.publish();
    }

    /// Looks at what is left of its group, unless that is being ended anyway.
    fn look(&mut self) {
        if let (Phase::Starting { .. } | Phase::Running { .. }, Some(child), Some(exit)) =
            (self.phase, self.child.clone(), self.last_exit)
        {
            let was_ready = self.phase == Phase::Running { unbound: false };
            self.work = Some(Box::pin(async move {
                Done::Looked(exit, child.look_after(was_ready, exit.code).await)
            }));
        }
    }

    pub(super) fn looked(&mut self, exit: Exit, left: Option<Left>) {
        let (Some(Left { pid, members }), Some(child)) = (left, self.child.clone()) else {
            self.last_exit = Some(exit);
            self.ended();
            return;
        };
        tracing::info!(
            module = self.module.short,
            pid,
            "the process that was spawned has ended; its group carries on"
        );
        self.facts(|facts| facts.pid = Some(pid));
        self.outlive = Some(Box::pin(child.outlive(members)));
        self.publish();
    }

    /// It has ended unasked, all of it.
    pub(super) fn ended(&mut self) {
        let early = self.phase != Phase::Running { unbound: false };
        self.ready = None;
        self.outlive = None;
        self.child = None;
        let short = &self.module.short;
        let how = match self.last_exit {
            Some(Exit { code, .. }) if code > 128 => format!("was ended by signal {}", code - 128),
            Some(Exit { code, .. }) => format!("ended with exit code {code}"),
            None => "ended".to_owned(),
        };
        tracing::warn!(module = short, "it {how}, unasked");
        let error = early.then(|| {
            let mut text = format!("{short} {how} before it was ready");
            for line in self.module.last_lines(self.begun, 3) {
                text.push_str("\n  ");
                text.push_str(&line);
            }
            StartError::new(StartErrorType::ExitedEarly, text)
        });
        self.facts(|facts| {
            facts.pid = None;
            facts.last_crash_at = Some(Time::now());
            if error.is_some() {
                facts.start_error = error;
            }
        });
        self.apply(Event::Exited);
        if self.phase == Phase::Crashed {
            tracing::error!(
                module = self.module.short,
                "crashed too often; it stays down until it is started"
            );
        }
        self.rest_if_settled();
    }
}

/// Its description as a log line has it.
fn one_line(error: &StartError) -> String {
    error.error_description.trim_end().replace('\n', "; ")
}
