//! What launchctl's exit codes mean. Pure. The code decides; the words decide only where the code
//! is one of those that launchctl gives for anything (1, 5, 64 and the unknown ones).
//! Codes below 107 are errno(2), the others launchd's own (`launchctl error <code>`).

use super::{LABEL, ctl::Answer, domain::Domain};
use crate::{
    error::{Code, Error},
    manager::{Cause, UnitState},
};
use std::path::Path;

/// Why a call did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 1: not for this caller.
    NotPermitted,
    /// 3 (`bootout`) or 113: not loaded in this domain.
    NotLoaded,
    /// 5: anything; for a caller who is not root often a code below in disguise.
    InputOutput,
    /// 36: an earlier call is still being carried out.
    InProgress,
    /// 37: the old job is still there, or it runs already.
    Already,
    /// 64: not a command of this launchctl.
    Usage,
    /// 2, 108: no such property list.
    NoFile,
    /// 109, 110, 111: a property list that cannot be used.
    BadFile,
    /// 112: there is no such domain.
    NoDomain,
    /// 119: a person has switched it off.
    Disabled,
    /// 122: owner or mode of the property list.
    BadOwnership,
    /// 124: the session is ending.
    DomainEnding,
    /// 125: this domain does not do that, as `gui` without a graphical session.
    WrongDomain,
    /// 17, 133 with these words: loaded already.
    Loaded,
    /// 133: see the other lines.
    Multiple,
    /// 134: the property list does not allow this kind of session.
    WrongSession,
    /// 140: the label is not allowed.
    BadLabel,
    /// 150: kept by System Integrity Protection.
    Protected,
    /// 155: quarantined.
    Quarantined,
    /// 159: the caller is sandboxed.
    Sandboxed,
    /// 161: switched off among the login items.
    LoginItem,
    /// A code without a meaning here.
    Other,
}

/// The fault in an answer; `None` when it was done.
pub fn fault(answer: &Answer) -> Option<Fault> {
    let Some(code) = answer.exit else {
        return Some(Fault::Other);
    };
    let words = || by_words(&answer.err);
    Some(match code {
        0 => return None,
        2 | 108 => Fault::NoFile,
        3 | 113 => Fault::NotLoaded,
        17 => Fault::Loaded,
        36 => Fault::InProgress,
        37 => Fault::Already,
        109..=111 => Fault::BadFile,
        112 => Fault::NoDomain,
        119 => Fault::Disabled,
        122 => Fault::BadOwnership,
        124 => Fault::DomainEnding,
        125 => Fault::WrongDomain,
        133 => words().unwrap_or(Fault::Multiple),
        134 => Fault::WrongSession,
        140 => Fault::BadLabel,
        150 => Fault::Protected,
        155 => Fault::Quarantined,
        159 => Fault::Sandboxed,
        161 => Fault::LoginItem,
        1 => words().unwrap_or(Fault::NotPermitted),
        5 => words().unwrap_or(Fault::InputOutput),
        64 => Fault::Usage,
        _ => words().unwrap_or(Fault::Other),
    })
}

/// Older systems say only in words what newer ones say in the code.
fn by_words(text: &str) -> Option<Fault> {
    const WORDS: &[(&str, Fault)] = &[
        ("service already loaded", Fault::Loaded),
        ("Service is disabled", Fault::Disabled),
        ("bad ownership/permissions", Fault::BadOwnership),
        ("Could not find domain", Fault::NoDomain),
        ("Could not find specified domain", Fault::NoDomain),
        ("Could not find service", Fault::NotLoaded),
        ("Could not find specified service", Fault::NotLoaded),
        ("No such process", Fault::NotLoaded),
        ("Domain does not support", Fault::WrongDomain),
        (
            "Service cannot load in requested session",
            Fault::WrongSession,
        ),
        ("Unrecognized subcommand", Fault::Usage),
        ("Invalid property list", Fault::BadFile),
    ];
    WORDS
        .iter()
        .find(|(words, _)| text.contains(words))
        .map(|&(_, fault)| fault)
}

/// The fault as a person meets it. `doing` is `start`, `stop`, `restart` or `remove`.
pub fn explain(doing: &str, fault: Fault, answer: &Answer, domain: Domain, plist: &Path) -> Error {
    let shown = plist.display();
    let target = domain.target();
    let said = answer.said();
    let error =
        |code, message: String| Error::new(code, format!("cannot {doing} the hub: {message}"));
    let failed = |message: String| error(Code::UnitFailed, message);
    match fault {
        Fault::NotPermitted => error(Code::NoPermission, format!("launchd refuses this user in {domain}"))
            .hint(match domain {
                Domain::System => format!("it belongs to the machine: `sudo parachute {doing}`"),
                Domain::Gui(uid) | Domain::User(uid) => format!("run it as the user with uid {uid}, or with `sudo`"),
            }),
        Fault::NotLoaded => failed(format!("launchd lost {LABEL} while it was being driven")).hint(format!("run `parachute {doing}` again")),
        Fault::InputOutput => failed(format!("launchd answers 5, which may mean anything: {said}")).hint(format!(
            "run `sudo launchctl bootstrap {domain} {shown}` to see the reason; 134 there means that its LimitLoadToSessionType leaves this session out, 119 that it is disabled"
        )),
        Fault::InProgress | Fault::Already => error(Code::TimedOut, "launchd is still at the call before".into())
            .hint(format!("look with `launchctl print {target}`, then try again")),
        Fault::Usage => error(Code::ManagerUnreachable, format!("this `launchctl` does not know the call: {said}")),
        Fault::NoFile => failed(format!("launchd does not find {shown}")).hint("run `parachute init`"),
        Fault::BadFile => failed(format!("launchd cannot use {shown}: {said}"))
            .hint(format!("run `plutil -lint {shown}`, or `parachute init` to write it anew")),
        Fault::NoDomain | Fault::WrongDomain => error(Code::ManagerUnreachable, format!("there is no {domain} to run it in"))
            .hint("log in as that user first, over ssh or at the screen"),
        Fault::Disabled => disabled(doing, domain),
        Fault::BadOwnership => failed(format!("launchd does not trust the owner or mode of {shown}"))
            .hint(format!("it must be its user's (root's in /Library) and writable by nobody else: `chmod 644 {shown}`")),
        Fault::DomainEnding => failed(format!("{domain} is being shut down")).hint("log in again, then try again"),
        Fault::Loaded => failed("launchd has it loaded already".into()).hint(format!("look with `launchctl print {target}`")),
        Fault::Multiple | Fault::Other => failed(format!("launchctl says {said}")),
        Fault::WrongSession => failed(format!("the LimitLoadToSessionType of {shown} leaves the session of {domain} out"))
            .hint("run `parachute init`, which allows graphical and background sessions"),
        Fault::BadLabel => failed(format!("launchd reserves the label {LABEL}")),
        Fault::Protected => error(Code::NoPermission, "System Integrity Protection guards it".into()),
        Fault::Quarantined => failed("macOS holds the program in quarantine".into())
            .hint("run `xattr -d com.apple.quarantine \"$(command -v parachute)\"`"),
        Fault::Sandboxed => error(Code::NoPermission, "a sandbox keeps this process from launchd".into())
            .hint("run it from Terminal or over ssh"),
        Fault::LoginItem => failed("it is switched off in System Settings".into())
            .hint("allow it under General, Login Items & Extensions, then try again"),
    }
}

/// A person has switched the hub off: that is respected.
pub fn disabled(doing: &str, domain: Domain) -> Error {
    let target = domain.target();
    Error::new(
        Code::Refused,
        format!("cannot {doing} the hub: somebody has disabled it in launchd"),
    )
    .hint(format!(
        "when that is over, `launchctl enable {target}`, then `parachute {doing}`"
    ))
}

/// The hub ended instead of running.
pub fn failed(doing: &str, cause: &Cause) -> Error {
    let (why, hint) = match cause {
        Cause::Exit(code) => (format!("it exited with {code}"), None),
        Cause::Signal(number) => (format!("signal {number} ended it"), None),
        Cause::CodeSigning => (
            "macOS refuses its binary".to_owned(),
            Some("install the binary anew by renaming it into place, then `parachute restart`"),
        ),
        Cause::OutOfMemory => ("macOS ended it for want of memory".to_owned(), None),
        Cause::Watchdog => ("the watchdog ended it".to_owned(), None),
        Cause::Timeout => ("it took too long".to_owned(), None),
        Cause::StartLimit => ("it failed too often".to_owned(), None),
        Cause::Other(said) => (format!("launchd says {said}"), None),
    };
    Error::new(Code::UnitFailed, format!("cannot {doing} the hub: {why}"))
        .hint(hint.unwrap_or("run `parachute logs hub`"))
}

/// It was spawned, and is neither up nor down.
pub fn not_yet(doing: &str, domain: Domain, now: &UnitState) -> Error {
    let said = match now {
        UnitState::Unknown { said } => said.clone(),
        other => format!("{other:?}").to_lowercase(),
    };
    Error::new(
        Code::TimedOut,
        format!("cannot {doing} the hub: launchd has not got it running in time ({said})"),
    )
    .hint(format!("look with `launchctl print {}`", domain.target()))
}

/// It was loaded, and then it was not.
pub fn lost(doing: &str, domain: Domain) -> Error {
    Error::new(
        Code::UnitFailed,
        format!("cannot {doing} the hub: {domain} no longer has it"),
    )
    .hint("somebody else may have stopped it; try again")
}
