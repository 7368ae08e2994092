//! How this run presents itself to systemd; the manager reads no environment of its own.

use crate::{context::Context, manager::systemd::Caller};
use std::{io::IsTerminal, path::Path};

/// Where root finds programs by name; `sudo` has no other PATH.
const ROOTS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

impl Caller {
    /// From what surrounds this run.
    pub fn of(cx: &Context) -> Self {
        Self {
            uid: cx.uid,
            runtime_dir: cx.var("XDG_RUNTIME_DIR").map(Into::into),
            user_dir: cx.user_dir.clone(),
            system_bus: None,
            // Asked on the terminal itself: what stdout goes to does not matter.
            terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            command: again(cx),
        }
    }
}

/// This command line as it can be typed after `sudo`.
fn again(cx: &Context) -> String {
    let by_name =
        (cx.exe.parent()).is_some_and(|dir| ROOTS.iter().any(|root| dir == Path::new(root)));
    let program = match by_name {
        true => "parachute".into(),
        false => cx.exe.to_string_lossy(),
    };
    let args = cx.args.iter().map(|arg| arg.to_string_lossy());
    let words: Vec<_> = std::iter::once(program).chain(args).collect();
    shlex::try_join(words.iter().map(|word| &**word)).unwrap_or_else(|_| "parachute".into())
}
