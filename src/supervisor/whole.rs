//! What is done to all modules at once: boot, reload, shutdown, and the end of what an earlier life of
//! the hub has left behind. Waits for no single module longer than its own bound.

use super::{STOP_BOUND, Supervisor, module::Module, phase::GRACE, prepare, task::Message};
use crate::{
    api::{ModuleState, Reloaded},
    error::{Code, Error, Result},
    home::rel,
    modules::registry::{Registry, Row},
    os::{
        group::{self, Group, Proof},
        pidfile::{self, Record},
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
        let mut recorded = None;
        for process in &now.processes {
            if process.terminal || seen.contains(&process.session) {
                continue;
            }
            if let Some(group) = prepare::stray(&self.0, &self.0.claim(), process, &now) {
                seen.push(process.session);
                let recorded = recorded.get_or_insert_with(|| self.recorded());
                let detached = recorded
                    .iter()
                    .find(|(_, record)| is_of(record, &group))
                    .map(|(short, _)| short.clone());
                let command = process::command_line(process.pid);
                match &detached {
                    Some(short) => tracing::warn!(
                        module = short,
                        pid = process.pid,
                        command,
                        "it runs detached, without a hub; it is stopped, and is this hub's to start"
                    ),
                    None => tracing::warn!(
                        pid = process.pid,
                        command,
                        "an earlier life of this hub has left it behind; it is stopped"
                    ),
                }
                let shared = self.0.clone();
                tokio::spawn(async move {
                    if let Err(error) = group::stop(group, GRACE).await {
                        tracing::error!(%error, "cannot stop it");
                    }
                    if let Some(short) = detached {
                        let _ = pidfile::remove(&shared.home, &rel::pidfile(&short));
                    }
                });
            }
        }
    }

    /// What the pidfiles of detached modules say.
    fn recorded(&self) -> Vec<(String, Record)> {
        let registry = self.0.rows.latest(&self.0.home);
        let record = |row: &Row| {
            let short = row.short().to_owned();
            let record = pidfile::read(&self.0.home, &rel::pidfile(&short)).ok()??;
            Some((short, record))
        };
        registry.rows.iter().filter_map(record).collect()
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
    /// differently are reported. It is finished also when whoever asks leaves midway.
    pub async fn reload(&self) -> Result<Reloaded> {
        let supervisor = self.clone();
        let reloading = tokio::spawn(async move { supervisor.read_again().await });
        reloading
            .await
            .unwrap_or_else(|error| Err(Error::new(Code::Io, format!("cannot reload: {error}"))))
    }

    /// One at a time: what starts may need the port of what goes.
    async fn read_again(&self) -> Result<Reloaded> {
        let _turn = self.0.reloading.lock().await;
        let (before, after) = self.0.rows.reload(&self.0.home)?;
        for warning in &after.warnings {
            tracing::warn!("{warning}");
        }
        for short in &after.left_out {
            if after.find(short).is_some() {
                tracing::warn!(
                    module = short,
                    "its row cannot be read: the module is kept as it was"
                );
            }
        }
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
        let stays = |module: &Module| processes(&after).any(|row| row.short() == module.short);
        let mut gone: Vec<Arc<Module>> = self.0.modules().values().cloned().collect();
        gone.retain(|module| !stays(module));
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
        let strays = self.0.end_strays(self.0.groups.all(), GRACE);
        let all = async { tokio::join!(all(modules, Message::Stop), strays) };
        if timeout(GRACE + Duration::from_millis(900), all)
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
        let records = self.0.groups.all();
        let mut groups = group::strays(&records, &records, self.0.owner, &now);
        for record in &records {
            if let Proof::Alive(group) = group::prove(record, &self.0.claim(), &now) {
                groups.push(group);
            }
        }
        for member in groups.iter().flat_map(|group| &group.members) {
            let _ = process::signal(member, Signal::KILL);
        }
    }
}

/// Is this the group that a pidfile records?
fn is_of(record: &Record, group: &Group) -> bool {
    record.pid == group.leader && (record.spawn.is_none() || record.spawn == group.spawn)
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
