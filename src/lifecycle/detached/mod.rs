//! The detached way: modules as processes of their own with pidfiles, nothing that watches them.
//! Signals only what is proven to be of this home.

mod failure;
mod observe;
mod ready;
mod record;
mod start;
mod startable;
mod stop;

use super::{
    Change, Did, Targets,
    follow::{Files, Stream},
    resolve, since,
    status::BoxStatus,
};
use crate::{
    context::{Context, Teller},
    error::Result,
    home::{Home, rel},
    manager::{Tail, pidfile::Pidfile},
    modules::{
        launch::Spawner,
        logfile,
        registry::{Registry, Row},
    },
    os::files,
};
use std::{collections::HashMap, fs::File, sync::Arc, time::Duration};

/// Stop: SIGKILL this long after SIGTERM (contract, section 7).
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long one operation on a module waits for another one on it.
const TURN: Duration = Duration::from_secs(30);

/// A box without a hub.
pub struct Detached {
    home: Home,
    owner: u32,
    spawner: Spawner,
    hub: Pidfile,
    tell: Arc<dyn Teller>,
}

impl Detached {
    /// For this home, whose owner has that uid.
    pub fn new(cx: &Context, home: Home, owner: u32, hub: Pidfile) -> Self {
        let spawner = Spawner {
            env: cx.env.clone(),
            user_dir: cx.user_dir.clone(),
            ..Spawner::default()
        };
        Self {
            home,
            owner,
            spawner,
            hub,
            tell: cx.tell.clone(),
        }
    }

    /// Starts modules side by side. Everything: rows without a start command are passed over.
    pub async fn start(&self, targets: &Targets) -> Result<Vec<Change>> {
        let (rows, mut changes) = self.targets(targets)?;
        let rows = self.startable(rows, &changes, targets)?;
        self.announce("starting", &rows, targets);
        changes.extend(start::start(self, rows).await);
        Ok(self.in_order(changes, targets))
    }

    /// Stops modules side by side, each with its whole group.
    pub async fn stop(&self, targets: &Targets) -> Result<Vec<Change>> {
        let (rows, mut changes) = self.targets(targets)?;
        self.announce("stopping", &rows, targets);
        changes.extend(stop::stop(self, &rows).await);
        Ok(self.in_order(changes, targets))
    }

    /// Stops everything without a word about it: a hub takes over.
    pub async fn stop_quietly(&self) -> Result<Vec<Change>> {
        let (rows, _) = self.targets(&Targets::Everything)?;
        Ok(stop::stop(self, &rows).await)
    }

    /// Stops, then starts; a module that would not stop is not started.
    pub async fn restart(&self, targets: &Targets) -> Result<Vec<Change>> {
        let (rows, mut changes) = self.targets(targets)?;
        let rows = self.startable(rows, &changes, targets)?;
        self.announce("restarting", &rows, targets);
        let stopped = stop::stop(self, &rows).await;
        let ran: HashMap<String, bool> = stopped
            .iter()
            .map(|c| (c.who.clone(), matches!(c.what, Ok(Did::Stopped))))
            .collect();
        let stuck: Vec<Change> = stopped.into_iter().filter(|c| c.what.is_err()).collect();
        let rows = rows
            .into_iter()
            .filter(|row| stuck.iter().all(|c| c.who != row.short()))
            .collect();
        changes.extend(stuck);
        changes.extend(
            start::start(self, rows)
                .await
                .into_iter()
                .map(|mut change| {
                    if let Ok(Did::Started { pid }) = change.what
                        && ran.get(&change.who).copied().unwrap_or_default()
                    {
                        change.what = Ok(Did::Restarted { pid });
                    }
                    change
                }),
        );
        Ok(self.in_order(changes, targets))
    }

    /// How everything stands; never fails for what it finds.
    pub async fn observe(&self) -> BoxStatus {
        observe::observe(self).await
    }

    /// What `start` would do, in order.
    pub fn plan_start(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        let (rows, failed) = self.targets(targets)?;
        let rows = self.startable(rows, &failed, targets)?;
        let now = start::snapshot()?;
        let mut plan = not_planned(failed);
        plan.extend(
            rows.iter()
                .map(|row| (row.short().to_owned(), start::would(self, row, &now, false))),
        );
        Ok(plan)
    }

    /// What `restart` would do, in order.
    pub fn plan_restart(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        let (rows, failed) = self.targets(targets)?;
        let rows = self.startable(rows, &failed, targets)?;
        let now = start::snapshot()?;
        let mut plan = not_planned(failed);
        plan.extend(
            rows.iter()
                .map(|row| (row.short().to_owned(), stop::would(self, row, &now))),
        );
        plan.extend(
            rows.iter()
                .map(|row| (row.short().to_owned(), start::would(self, row, &now, true))),
        );
        Ok(plan)
    }

    /// What `stop` would do, in order.
    pub fn plan_stop(&self, targets: &Targets) -> Result<Vec<(String, Result<String>)>> {
        let (rows, failed) = self.targets(targets)?;
        let now = start::snapshot()?;
        let mut plan = not_planned(failed);
        plan.extend(
            rows.iter()
                .map(|row| (row.short().to_owned(), stop::would(self, row, &now))),
        );
        Ok(plan)
    }

    /// The last lines of each target's log.
    pub fn logs(&self, targets: &Targets, tail: &Tail) -> Result<Vec<(String, Vec<String>)>> {
        let names = match targets {
            Targets::Everything => self
                .registry()?
                .rows
                .iter()
                .map(|row| row.short().to_owned())
                .collect(),
            Targets::Named(names) => self.shorts(names)?,
        };
        names
            .into_iter()
            .map(|short| {
                let lines = logfile::tail(&self.home, &rel::log(&short), tail.lines)?;
                let lines = since(lines, &short, tail, &*self.tell);
                Ok((short, lines))
            })
            .collect()
    }

    /// Follows the logs of these short names.
    pub fn follow(&self, names: &[String], tail: &Tail) -> Result<Stream> {
        let logs: Vec<_> = names
            .iter()
            .map(|short| (short.clone(), rel::log(short)))
            .collect();
        let mut stream = Stream::new();
        stream.files(Files::new(&self.home, &logs, tail)?);
        Ok(stream)
    }

    /// Modules of this box that run without a hub.
    pub fn running(&self) -> Result<Vec<String>> {
        let now = start::snapshot()?;
        let mut running = Vec::new();
        for row in &self.registry()?.rows {
            if let record::Standing::Alive(_) | record::Standing::Apart { .. } =
                record::standing(self, row, &now)?
            {
                running.push(row.short().to_owned());
            }
        }
        Ok(running)
    }

    /// What would keep a hub of this home.
    pub fn hub(&self) -> &Pidfile {
        &self.hub
    }

    /// The short names that names mean, none twice; the hub has a log even where none runs.
    fn shorts(&self, names: &[String]) -> Result<Vec<String>> {
        let registry = self.registry()?;
        let mut shorts: Vec<String> = Vec::new();
        for (name, row) in resolve(&registry, names) {
            let short = match row {
                _ if name == "hub" => name,
                Ok(row) => registry.process_of(&row).short().to_owned(),
                Err(error) => return Err(error),
            };
            if !shorts.contains(&short) {
                shorts.push(short);
            }
        }
        Ok(shorts)
    }

    fn registry(&self) -> Result<Registry> {
        let registry = Registry::read(&self.home)?;
        for warning in &registry.warnings {
            self.tell.warn(warning);
        }
        Ok(registry)
    }

    /// Rows to act on, views replaced by the process they are a view of, none twice.
    fn targets(&self, targets: &Targets) -> Result<(Vec<Row>, Vec<Change>)> {
        let registry = self.registry()?;
        let mut rows: Vec<Row> = Vec::new();
        let mut failed = Vec::new();
        for (name, row) in self.plan_of(&registry, targets) {
            match row {
                Ok(row) => {
                    let row = registry.process_of(&row);
                    if rows.iter().all(|r| r.name != row.name) {
                        rows.push(row.clone());
                    }
                }
                Err(error) => failed.push(Change::failed(name, error)),
            }
        }
        Ok((rows, failed))
    }

    fn plan_of(&self, registry: &Registry, targets: &Targets) -> Vec<(String, Result<Row>)> {
        match targets {
            Targets::Everything => registry
                .rows
                .iter()
                .map(|row| (row.short().to_owned(), Ok(row.clone())))
                .collect(),
            Targets::Named(names) => resolve(registry, names),
        }
    }

    /// A verb says what it is about to act on when no name was given.
    fn announce(&self, doing: &str, rows: &[Row], targets: &Targets) {
        if *targets == Targets::Everything && !rows.is_empty() {
            let names: Vec<&str> = rows.iter().map(Row::short).collect();
            self.tell.say(&format!("{doing} {}", names.join(", ")));
        }
    }

    /// In the order of the names given, else of the registry.
    fn in_order(&self, mut changes: Vec<Change>, targets: &Targets) -> Vec<Change> {
        let registry = Registry::read(&self.home).unwrap_or_default();
        let order: Vec<String> = match targets {
            Targets::Named(names) => names
                .iter()
                .map(|name| {
                    registry
                        .find(name)
                        .map_or(name.as_str(), Row::short)
                        .to_owned()
                })
                .collect(),
            Targets::Everything => registry
                .rows
                .iter()
                .map(|row| row.short().to_owned())
                .collect(),
        };
        let place = |who: &str| {
            order
                .iter()
                .position(|name| name == who)
                .unwrap_or(order.len())
        };
        changes.sort_by_key(|change| place(&change.who));
        changes
    }

    /// One operation on a module at a time, whoever does it.
    fn turn(&self, row: &Row) -> Result<File> {
        files::lock(&self.home, rel::turn(row.short()), TURN)
    }
}

/// Targets that failed before anything could be planned for them.
fn not_planned(failed: Vec<Change>) -> Vec<(String, Result<String>)> {
    failed
        .into_iter()
        .filter_map(|c| Some((c.who, Err(c.what.err()?))))
        .collect()
}
