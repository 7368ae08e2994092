//! What is done to all modules at once: boot, reload, shutdown, and the end of what an earlier life of
//! the hub has left behind. Waits for no single module longer than its own bound.

use super::{STOP_BOUND, Supervisor, module::Module, phase::GRACE, prepare, task::Message};
use crate::{
    api::{ModuleState, Reloaded},
    error::{Code, Error, Result},
    modules::registry::{Registry, Row},
    os::{
        group::{self, Proof},
        process,
    },
};
use rustix::process::Signal;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

impl Supervisor {
    /// Starts every row that can be started, all at once; returns when the starts are under way. One
    /// row that cannot be started never keeps another from it.
    pub async fn boot(&self) {
        self.reclaim().await;
        let registry = match self.0.rows.load(&self.0.home) {
            Ok(registry) => registry,
            Err(error) => {
                tracing::error!("no module is started: {error}");
                return;
            }
        };
        for warning in &registry.warnings {
            tracing::warn!("{warning}");
        }
        for row in processes(&registry) {
            self.begin(row);
        }
    }

    /// Stops what a hub of this home has left behind, however it died.
    async fn reclaim(&self) {
        let now = self.0.snapshots.fresh().await;
        let mut seen = Vec::new();
        for process in &now.processes {
            if process.terminal || seen.contains(&process.session) {
                continue;
            }
            if let Some(group) = prepare::stray(&self.0, &self.0.claim(), process, &now) {
                seen.push(process.session);
                tracing::warn!(
                    pid = process.pid,
                    command = process::command_line(process.pid),
                    "an earlier life of this hub has left it behind; it is stopped"
                );
                let shared = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = group::stop(group, GRACE).await {
                        tracing::error!(%error, "cannot stop it");
                    }
                    drop(shared);
                });
            }
        }
    }

    /// Starts a row at boot or at reload, without waiting.
    fn begin(&self, row: &Row) {
        if let Err(Error {
            code: Code::NoStartCommand,
            message,
            ..
        }) = self.command(row)
        {
            tracing::warn!(module = row.short(), "not started: {message}");
            return;
        }
        let module = self.module(row);
        let (answer, _) = oneshot::channel();
        let _ = module.mailbox.send(Message::Start(answer));
    }

    /// Reads the registry again: rows that are new start, rows that went stop, rows that read
    /// differently are reported.
    pub async fn reload(&self) -> Result<Reloaded> {
        let (before, after) = self.0.rows.reload(&self.0.home)?;
        let mut reloaded = Reloaded::default();
        for row in &after.rows {
            match before.find(row.short()) {
                None => reloaded.added.push(row.short().to_owned()),
                Some(old) if differ(old, row) => reloaded.changed.push(row.short().to_owned()),
                Some(_) => {}
            }
        }
        for row in &before.rows {
            if after.find(row.short()).is_none() {
                reloaded.removed.push(row.short().to_owned());
            }
        }
        let gone: Vec<Arc<Module>> = {
            let mut modules = self.0.modules();
            let gone = |short: &&String| after.find(short).is_none();
            let names: Vec<String> = modules.keys().filter(gone).cloned().collect();
            names
                .iter()
                .filter_map(|short| modules.remove(short))
                .collect()
        };
        self.0.changed();
        all(gone, Message::Remove).await;
        for row in processes(&after) {
            // A row is new as a process also when it was a view of one that went.
            let known = processes(&before).any(|old| old.short() == row.short());
            if !known && !self.0.is_closing() {
                self.begin(row);
            }
        }
        tracing::info!(added = ?reloaded.added, removed = ?reloaded.removed,
            changed = ?reloaded.changed, "the registry was read again");
        Ok(reloaded)
    }

    /// Stops every module, all at once, within the longest bound and a second; nothing starts any
    /// more.
    pub async fn shutdown(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
        let modules: Vec<Arc<Module>> = self.0.modules().values().cloned().collect();
        if timeout(
            GRACE + Duration::from_millis(900),
            all(modules, Message::Stop),
        )
        .await
        .is_err()
        {
            self.kill_all();
        }
        if let Some(folder) = &self.0.sockets {
            folder.end();
        }
    }

    /// Kills every group at once, without waiting.
    pub fn kill_all(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
        let Ok(now) = process::Snapshot::take() else {
            return;
        };
        for record in self.0.groups.all() {
            if let Proof::Alive(group) = group::prove(&record, &self.0.claim(), &now) {
                for member in &group.members {
                    let _ = process::signal(member, Signal::KILL);
                }
            }
        }
    }
}

/// Rows that are processes of their own.
fn processes(registry: &Registry) -> impl Iterator<Item = &Row> {
    registry
        .rows
        .iter()
        .filter(|row| registry.process_of(row).name == row.name)
}

/// Do two readings of a row differ in what a person has written?
fn differ(old: &Row, new: &Row) -> bool {
    let mut old = old.clone();
    old.last_start_error.clone_from(&new.last_start_error);
    old != *new
}

/// Asks all of them at once and waits for all.
async fn all(modules: Vec<Arc<Module>>, message: impl Fn(oneshot::Sender<ModuleState>) -> Message) {
    let answers: Vec<_> = modules
        .iter()
        .map(|module| {
            let (answer, answered) = oneshot::channel();
            let _ = module.mailbox.send(message(answer));
            answered
        })
        .collect();
    for answer in answers {
        let _ = timeout(STOP_BOUND, answer).await;
    }
}
