//! A hub that nothing keeps but its pidfile: a detached process that can be started, stopped and
//! restarted, and that nobody brings back. Signals only what the record proves.

use super::{Cause, Follow, Installed, Scope, ServiceManager, Tail, UnitState};
use crate::{
    api::Time,
    error::{Code, Error, Result},
    home::{Home, rel},
    os::{
        files,
        group::{self, Claim, Ended, Proof},
        pidfile::{self, Record},
        process::{self, Process, Snapshot},
        spawn,
    },
};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Longer than the hub's own stop: its modules' bound, a second, and some.
const GRACE: Duration = Duration::from_secs(20);
/// A hub that dies this soon has failed.
const SETTLE: Duration = Duration::from_millis(250);
/// How long one operation on the hub waits for another.
const TURN: Duration = Duration::from_secs(30);
/// How much of the log's end is read for its last lines, in bytes.
const LOG_END: u64 = 256 * 1024;

/// The hub of a home, kept by its pidfile.
#[derive(Clone, Debug)]
pub struct Pidfile {
    /// The home.
    pub home: Home,
    /// The uid of the home's owner.
    pub owner: u32,
    /// The hub's port.
    pub port: u16,
    /// This program, which is run with `serve`.
    pub exe: PathBuf,
    /// The environment that the hub is given.
    pub env: BTreeMap<OsString, OsString>,
}

impl Pidfile {
    /// The record and what of it lives.
    fn recorded(&self) -> Result<Option<(Record, Proof)>> {
        let Some(record) = pidfile::read(&self.home, Path::new(rel::HUB_PID))? else {
            return Ok(None);
        };
        let now = Snapshot::take()
            .map_err(|e| Error::new(Code::Io, format!("cannot read the process table: {e}")))?;
        let proof = self.prove(&record, &now);
        Ok(Some((record, proof)))
    }

    fn prove(&self, record: &Record, now: &Snapshot) -> Proof {
        // A hub of another make has a folder of its own: its name is what counts.
        let name = self.exe.file_name().unwrap_or_default().to_string_lossy();
        let claim = Claim {
            owner: self.owner,
            home: Some(self.home.root().to_owned()),
            port: Some(self.port),
            argv: Some(vec![name.into_owned(), "serve".to_owned()]),
            ..Claim::default()
        };
        group::prove(record, &claim, now)
    }

    /// As [`Pidfile::recorded`], for those who ask only whether it lives: while its leader does, the
    /// process table need not be read, and the leader stands for all of it.
    fn glance(&self) -> Result<Option<(Record, Proof)>> {
        let Some(record) = pidfile::read(&self.home, Path::new(rel::HUB_PID))? else {
            return Ok(None);
        };
        let leader = process::look(record.pid).ok().flatten();
        let leader = Snapshot {
            processes: leader.into_iter().collect(),
            ..Snapshot::default()
        };
        match self.prove(&record, &leader) {
            Proof::Alive(group) => Ok(Some((record, Proof::Alive(group)))),
            _ => self.recorded(),
        }
    }

    /// Does it run, proven.
    pub fn runs(&self) -> Result<bool> {
        Ok(matches!(self.glance()?, Some((_, Proof::Alive(_)))))
    }

    fn turn(&self) -> Result<File> {
        files::lock(&self.home, rel::turn("hub"), TURN)
    }

    async fn up(&self) -> Result<()> {
        if self.runs()? {
            return Ok(());
        }
        let log = files::append(&self.home, rel::HUB_LOG, 0o640)?;
        let log_from = log.metadata().map(|m| m.len()).unwrap_or_default();
        let spawn_id = uuid::Uuid::new_v4().to_string();
        let mut env = self.env.clone();
        env.insert("PARACHUTE_HOME".into(), self.home.root().into());
        env.insert("PORT".into(), self.port.to_string().into());
        env.insert(group::SPAWN_ID.into(), spawn_id.clone().into());
        let plan = spawn::Plan {
            program: self.exe.clone(),
            argv: vec!["parachute".into(), "serve".into()],
            cwd: Some(self.home.root().to_owned()),
            env: env.into_iter().collect(),
        };
        let mut child = spawn::spawn(&plan, spawn::Output::Both(log.into()), false)
            .map_err(|e| Error::io("run", &self.exe, &e))?;
        let record = Record::of(child.id(), &spawn_id).map_err(|e| {
            Error::new(
                Code::Io,
                format!("cannot look at the hub just started: {e}"),
            )
        });
        let kept = record.and_then(|record| {
            pidfile::write(&self.home, Path::new(rel::HUB_PID), &record)?;
            let port = format!("{}\n", self.port);
            files::replace(&self.home, rel::HUB_PORT, 0o644, port.as_bytes())
        });
        if let Err(error) = kept {
            // Our own child, not reaped yet: without a record nobody could stop it again.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        let since = Instant::now();
        while since.elapsed() < SETTLE {
            if let Ok(Some(status)) = child.try_wait() {
                self.forget()?;
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("signal {signal}"),
                    (None, None) => "an unknown reason".to_owned(),
                };
                return Err(
                    Error::new(Code::UnitFailed, format!("the hub ended at once: {how}"))
                        .log(self.lines(log_from, 20)?),
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn down(&self) -> Result<()> {
        match self.recorded()? {
            None | Some((_, Proof::Gone)) => {}
            Some((_, Proof::Unprovable { pid, why })) => {
                self.forget()?;
                return Err(Error::new(
                    Code::NotProven,
                    format!("the hub's pidfile names process {pid}, which is left alone: {why}"),
                )
                .hint("the pidfile is cleared; a hub that runs in a terminal is stopped there"));
            }
            Some((_, Proof::Alive(hub))) => {
                let pid = hub.leader;
                let ended = group::stop(hub, GRACE).await.map_err(|e| {
                    Error::new(
                        Code::StillRunning,
                        format!("cannot stop the hub (pid {pid}): {e}"),
                    )
                })?;
                if ended == Ended::Survived {
                    return Err(Error::new(
                        Code::StillRunning,
                        format!("the hub (pid {pid}) still runs after SIGKILL"),
                    ));
                }
            }
        }
        self.forget()
    }

    fn forget(&self) -> Result<()> {
        pidfile::remove(&self.home, Path::new(rel::HUB_PID))?;
        files::remove(&self.home, rel::HUB_PORT)
    }

    /// The last `count` lines that were written from byte `from` on.
    fn lines(&self, from: u64, count: usize) -> Result<Vec<String>> {
        let Some(mut file) = files::open(&self.home, rel::HUB_LOG)? else {
            return Ok(Vec::new());
        };
        let mut bytes = Vec::new();
        let mut read = || -> std::io::Result<()> {
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(
                from.min(end).max(end.saturating_sub(LOG_END)),
            ))?;
            (&mut file).take(LOG_END).read_to_end(&mut bytes)?;
            Ok(())
        };
        read().map_err(|e| Error::io("read", &self.home.at(rel::HUB_LOG), &e))?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(count)..]
            .iter()
            .map(|&l| l.to_owned())
            .collect())
    }
}

#[async_trait]
impl ServiceManager for Pidfile {
    fn name(&self) -> &'static str {
        "pidfile"
    }

    async fn look(&self) -> Result<Installed> {
        let state = match self.glance()? {
            Some((_, Proof::Alive(hub))) => {
                let oldest = hub.members.iter().map(Process::age).max();
                let since = jiff::Timestamp::now().checked_sub(oldest.unwrap_or_default());
                UnitState::Running {
                    pid: hub.leader,
                    since: since.ok().map(Time),
                }
            }
            Some((_, Proof::Gone)) => UnitState::Failed {
                cause: Cause::Other("it ended, and nothing keeps it".to_owned()),
            },
            Some((_, Proof::Unprovable { .. })) | None => UnitState::Stopped,
        };
        Ok(Installed {
            scope: Scope::User,
            path: None,
            enabled: None,
            home: Some(self.home.clone()),
            port: self.port,
            uid: Some(self.owner),
            ours: true,
            drop_ins: Vec::new(),
            state,
            restarts: None,
            // Whoever reads the process table adds its group up.
            cpu: None,
            memory: None,
            notes: Vec::new(),
        })
    }

    async fn start(&self) -> Result<()> {
        let _turn = self.turn()?;
        self.up().await
    }

    async fn stop(&self) -> Result<()> {
        let _turn = self.turn()?;
        self.down().await
    }

    async fn restart(&self) -> Result<()> {
        let _turn = self.turn()?;
        self.down().await?;
        self.up().await
    }

    async fn logs(&self, tail: &Tail) -> Result<Vec<String>> {
        self.lines(0, tail.lines)
    }

    fn follow(&self, _: &Tail) -> Follow {
        Follow::File(self.home.at(rel::HUB_LOG))
    }
}
