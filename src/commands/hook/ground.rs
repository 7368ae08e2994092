//! Where a hook runs: on a machine, in a chroot, in an image that is being built, beside another
//! root; and what the operator's policy allows there. Changes nothing.

use super::tools;
use crate::{context::Context, manager::systemd};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A policy that thinks longer than this has not said no.
const THINKS: Duration = Duration::from_secs(10);

/// What is there to work with.
pub(super) struct Ground {
    /// `/`, or what dpkg calls DPKG_ROOT (dpkg(1)).
    pub(super) root: PathBuf,
    /// systemd runs, and it is this root's.
    pub(super) live: bool,
    /// dpkg calls, and its own tools keep its own books.
    pub(super) deb: bool,
}

impl Ground {
    pub(super) fn of(cx: &Context) -> Self {
        let root = cx.var("DPKG_ROOT").map(PathBuf::from);
        let root = root.filter(|root| root != Path::new("/"));
        let deb = cx.var("DPKG_MAINTSCRIPT_PACKAGE").is_some();
        Self {
            live: root.is_none() && systemd::booted() && !chrooted(),
            root: root.unwrap_or_else(|| "/".into()),
            deb: deb && tools::exists("deb-systemd-helper"),
        }
    }

    /// Why this action is not to be, if the operator says so: `/usr/sbin/policy-rc.d UNIT ACTION`
    /// that exits with 101 (invoke-rc.d(8)).
    pub(super) async fn policy(&self, action: &str) -> Option<String> {
        let policy = self.root.join("usr/sbin/policy-rc.d");
        let argv = [policy.to_str()?, systemd::UNIT, action];
        if !policy.exists() {
            return None;
        }
        let done = tools::run(&argv, THINKS).await.ok()?;
        (done.code == 101).then(|| format!("{} says no to `{action}`", policy.display()))
    }
}

/// Is our root another than PID 1's, as systemd's own tools look at it. Without a /proc there is
/// nothing that could be driven.
fn chrooted() -> bool {
    let place = |path: &str| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    match (place("/proc/1/root"), place("/")) {
        (Ok(theirs), Ok(ours)) => theirs != ours,
        (Err(e), _) => e.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
