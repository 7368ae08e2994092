//! Processes as macOS tells of them: libproc, sysctl(3), getsid(2). Zombies are not listed there,
//! which suits: they are not alive. Never signals a pid without looking at its start time.

use super::{Process, Sent, Snapshot};
use crate::os::darwin;
use libproc::{
    bsd_info::BSDInfo,
    proc_pid::pidinfo,
    processes::{ProcFilter, pids_by_type},
    task_info::TaskInfo,
};
use rustix::process::{Pid, Signal};
use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use sysctl::Sysctl;

/// sys/proc.h
const SZOMB: u32 = 5;
/// proc_info.h: `PROC_FLAG_CTTY` (its session has a terminal), `PROC_FLAG_CONTROLT` (it has).
const TERMINAL: u32 = 0x40 | 0x80;

/// Zombies are listed and cannot be looked at, so how many vanished meanwhile is not known.
pub(super) fn all() -> io::Result<Snapshot> {
    let pids = pids_by_type(ProcFilter::All)?;
    Ok(Snapshot {
        processes: pids.into_iter().filter_map(read).collect(),
        vanished: 0,
    })
}

/// libproc gives its errors as text: a process that cannot be looked at is none.
pub(super) fn one(pid: u32) -> io::Result<Option<Process>> {
    Ok(read(pid))
}

fn read(pid: u32) -> Option<Process> {
    let raw = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    let info = pidinfo::<BSDInfo>(raw, 0).ok()?;
    let session = rustix::process::getsid(Pid::from_raw(raw)).ok()?;
    // Only for processes of our own, unless we are root.
    let used = pidinfo::<TaskInfo>(raw, 0).ok();
    Some(Process {
        pid,
        parent: info.pbi_ppid,
        group: info.pbi_pgid,
        session: session.as_raw_pid().unsigned_abs(),
        uid: info.pbi_uid,
        start: info
            .pbi_start_tvsec
            .saturating_mul(1_000_000)
            .saturating_add(info.pbi_start_tvusec),
        zombie: info.pbi_status == SZOMB,
        terminal: info.pbi_flags & TERMINAL != 0,
        cpu: used.as_ref().map_or(Duration::ZERO, |used| {
            machine_time(used.pti_total_user.saturating_add(used.pti_total_system))
        }),
        memory: used.map_or(0, |used| used.pti_resident_size),
    })
}

/// How many files it has open; for [`darwin::listening`].
pub(in crate::os) fn open_files(pid: u32) -> Option<u32> {
    let info = pidinfo::<BSDInfo>(i32::try_from(pid).ok()?, 0).ok()?;
    Some(info.pbi_nfiles)
}

/// Mach time units: nanoseconds on Intel, 24 MHz ticks on Apple silicon.
fn machine_time(units: u64) -> Duration {
    if cfg!(target_arch = "aarch64") {
        let nanos = u128::from(units).saturating_mul(125) / 3;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    } else {
        Duration::from_nanos(units)
    }
}

pub(super) fn argv(pid: u32) -> Option<Vec<OsString>> {
    let block = darwin::strings(pid)?;
    let (arguments, _) = super::args::split(&block)?;
    Some(
        arguments
            .into_iter()
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect(),
    )
}

pub(super) fn env_vars(pid: u32, names: &[&str]) -> Option<Vec<Option<OsString>>> {
    let block = darwin::strings(pid)?;
    let (_, environment) = super::args::split(&block)?;
    Some(super::pick(environment, names))
}

pub(super) fn short_name(pid: u32) -> Option<String> {
    libproc::proc_pid::name(i32::try_from(pid).ok()?).ok()
}

pub(super) fn cwd(pid: u32) -> Option<PathBuf> {
    darwin::cwd(pid)
}

pub(super) fn boot_id() -> io::Result<String> {
    sysctl::Ctl::new("kern.bootsessionuuid")
        .and_then(|control| control.value_string())
        .map_err(io::Error::other)
}

/// `start` is wall-clock time here, in microseconds.
pub(super) fn age(start: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
        .saturating_sub(Duration::from_micros(start))
}

pub(super) fn signal(process: &Process, signal: Signal) -> io::Result<Sent> {
    super::signal_by_pid(process, signal)
}

/// Looks at the process again and again, every 5 ms at first, every 50 ms after a while.
#[derive(Debug)]
pub(super) struct Watch(Process);

impl Watch {
    pub(super) fn new(process: &Process) -> Option<Self> {
        Some(Self(process.clone()))
    }

    pub(super) fn signal(&self, process: &Process, signal: Signal) -> io::Result<Sent> {
        super::signal_by_pid(process, signal)
    }

    pub(super) async fn ended(&self) {
        let mut pause = Duration::from_millis(5);
        while super::still(&self.0) {
            tokio::time::sleep(pause).await;
            pause = (pause + Duration::from_millis(1)).min(Duration::from_millis(50));
        }
    }
}
