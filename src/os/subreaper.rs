//! Whose children orphans become.

/// Makes this process the parent of every orphan among its descendants (prctl(2),
/// PR_SET_CHILD_SUBREAPER), so that it reaps them; as PID 1 it is that anyway. Where there is no
/// such thing the system's first process keeps them.
pub fn become_subreaper() {
    #[cfg(target_os = "linux")]
    {
        // Fails on no kernel since 3.4.
        let _ = rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1));
    }
}
