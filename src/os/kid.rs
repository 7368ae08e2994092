//! A real process for tests: a shell script in a session of its own, with a spawn id, that tells
//! what it is up to line by line. Goes with its whole session when dropped.

use super::{
    group,
    pidfile::Record,
    process::{self, Process, Snapshot},
    spawn::{Output, Plan, spawn},
};
use std::{
    io::{BufRead, BufReader, PipeReader},
    process::Child,
    time::{Duration, Instant},
};

pub(crate) struct Kid {
    pub(crate) child: Child,
    pub(crate) spawn: String,
    out: BufReader<PipeReader>,
}

impl Kid {
    pub(crate) fn new(script: &str) -> Self {
        Self::with(script, &[])
    }

    pub(crate) fn with(script: &str, env: &[(&str, &str)]) -> Self {
        let spawn_id = uuid::Uuid::new_v4().to_string();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut all = vec![
            ("PATH".into(), std::env::var_os("PATH").unwrap()),
            (group::SPAWN_ID.into(), spawn_id.clone().into()),
        ];
        all.extend(env.iter().map(|(n, v)| (n.into(), v.into())));
        let plan = Plan {
            program: "/bin/sh".into(),
            argv: vec!["sh".into(), "-c".into(), script.into()],
            cwd: None,
            env: all,
        };
        let child = spawn(&plan, Output::Both(writer.into()), false).unwrap();
        Self {
            child,
            spawn: spawn_id,
            out: BufReader::new(reader),
        }
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub(crate) fn number(&mut self) -> u32 {
        let line = self.line();
        line.parse()
            .unwrap_or_else(|_| panic!("a number: {line:?}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn process(&self) -> Process {
        process::look(self.pid()).unwrap().unwrap()
    }

    pub(crate) fn record(&self) -> Record {
        Record::of(self.pid(), &self.spawn).unwrap()
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        let left = |now: &Snapshot| {
            let ours = |p: &&Process| p.session == self.child.id() && p.alive();
            now.processes
                .iter()
                .filter(ours)
                .cloned()
                .collect::<Vec<_>>()
        };
        while let Ok(now) = Snapshot::take()
            && let left = left(&now)
            && !left.is_empty()
        {
            for p in left {
                let _ = process::signal(&p, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.wait();
    }
}

/// Looks until it is so; half a minute is for ever.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn lives(pid: u32) -> bool {
    matches!(process::look(pid), Ok(Some(p)) if p.alive())
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What a user without any rights finds: on a thread of that user, where only root can make one;
/// `None` where that cannot be.
#[cfg(target_os = "linux")]
pub(crate) fn as_nobody<T: Send>(look: impl FnOnce() -> T + Send) -> Option<T> {
    use rustix::thread::{Uid, set_thread_res_uid};
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // On Linux an identity is a thread's own, and goes with it.
    let nobody = Uid::from_raw(65534);
    let found = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            look()
        });
        looking.join()
    });
    Some(found.unwrap())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn as_nobody<T: Send>(_look: impl FnOnce() -> T + Send) -> Option<T> {
    None
}
