//! The way to systemd: whose bus, and every call under a deadline. Knows D-Bus and its errors,
//! nothing of units; never starts a program.

use super::Caller;
use crate::{
    error::{Code, Error, Result, reason},
    manager::Scope,
};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};
use zbus::{
    Connection, DynamicType, Message, MessageStream,
    export::{futures_core::Stream, serde::Serialize},
    message::{Flags, Type},
};

/// The longest that one call may take. systemd answers in a millisecond; while it reloads its
/// units, it answers afterwards.
pub(super) const CALL: Duration = Duration::from_secs(3);
/// A call for which a person may have to type a password.
const ASKED: Duration = Duration::from_secs(120);
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER: &str = "/org/freedesktop/systemd1";

/// What a call ended in, before it is known what it means to a person.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody answers: no bus, a bus that went away, a manager that hangs.
    Unreachable(Error),
    /// The bus is there and the manager is not, for now: it executes itself anew, or it is gone.
    Away(Error),
    /// An error reply: its D-Bus name and its text.
    Refused { name: String, said: String },
}

impl Fault {
    /// Is it an error reply of this name; without a dot, one of systemd's own.
    pub(super) fn is(&self, wanted: &str) -> bool {
        match self {
            Fault::Unreachable(_) | Fault::Away(_) => false,
            Fault::Refused { name, .. } => {
                name == wanted || name.strip_prefix("org.freedesktop.systemd1.") == Some(wanted)
            }
        }
    }

    /// A refusal for want of rights, with and without polkit on the box. A polkit that cannot be
    /// started answers with systemd's error about its own unit.
    pub(super) fn is_denied(&self) -> bool {
        let polkit = matches!(self, Fault::Refused { said, .. } if said.contains("polkit.service"));
        polkit
            || [
                "org.freedesktop.DBus.Error.AccessDenied",
                "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
                "org.freedesktop.DBus.Error.AuthFailed",
            ]
            .iter()
            .any(|name| self.is(name))
    }
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// polkit may ask a person for a password.
    interactive: bool,
    bound: Duration,
}

impl How {
    /// As everything that only looks.
    pub(super) const QUICK: Self = Self {
        interactive: false,
        bound: CALL,
    };

    /// Something that takes systemd longer.
    pub(super) fn within(bound: Duration) -> Self {
        Self {
            interactive: false,
            bound,
        }
    }

    /// Something that needs rights, with a person there to ask or not.
    pub(super) fn asking(interactive: bool) -> Self {
        Self {
            interactive,
            bound: if interactive { ASKED } else { CALL },
        }
    }
}

/// A connection to one manager.
#[derive(Debug)]
pub(super) struct Bus {
    conn: Connection,
    scope: Scope,
}

impl Bus {
    /// Connects to the manager of this scope.
    pub(super) async fn connect(scope: Scope, caller: &Caller) -> Result<Self> {
        let socket = match scope {
            Scope::System => caller.system_bus.clone().unwrap_or(SYSTEM_BUS.into()),
            Scope::User => user_bus(caller)?,
        };
        if let Err(error) = std::fs::metadata(&socket) {
            return Err(no_socket(scope, &socket, &error));
        }
        let Some(path) = socket.to_str() else {
            return Err(unreachable(scope, "the path of its bus is not text"));
        };
        let connecting = async {
            let address = format!("unix:path={}", escape_address(path));
            zbus::connection::Builder::address(&*address).build().await
        };
        match tokio::time::timeout(CALL, connecting).await {
            Ok(Ok(conn)) => Ok(Self { conn, scope }),
            Ok(Err(error)) => Err(unreachable(scope, &said(&error))),
            Err(_) => Err(unreachable(scope, "its bus does not answer")),
        }
    }

    /// Calls a method of systemd.
    pub(super) async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<Message, Fault>
    where
        B: Serialize + DynamicType,
    {
        self.ask(SYSTEMD, path, interface, member, body, How::QUICK)
            .await
    }

    /// Calls a method of systemd's manager object.
    pub(super) async fn manage<B>(&self, member: &str, body: &B, how: How) -> Result<Message, Fault>
    where
        B: Serialize + DynamicType,
    {
        let interface = "org.freedesktop.systemd1.Manager";
        self.ask(SYSTEMD, MANAGER, interface, member, body, how)
            .await
    }

    /// Calls any method on this bus.
    pub(super) async fn ask<B>(
        &self,
        who: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
        how: How,
    ) -> Result<Message, Fault>
    where
        B: Serialize + DynamicType,
    {
        let calling = async {
            if !how.interactive {
                return (self.conn)
                    .call_method(Some(who), path, Some(interface), member, body)
                    .await;
            }
            let message = Message::method_call(path, member)
                .destination(who)
                .interface(interface)
                .with_flags(Flags::ALLOW_INTERACTIVE_AUTH)
                .build(body)?;
            let serial = message.primary_header().serial_num();
            let mut stream = MessageStream::from(&self.conn);
            self.conn.send(&message).await?;
            loop {
                match next(&mut stream).await {
                    Some(Ok(reply)) if reply.header().reply_serial() == Some(serial) => {
                        return match reply.message_type() {
                            Type::Error => Err(reply.into()),
                            _ => Ok(reply),
                        };
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
                }
            }
        };
        let bound = how.bound;
        match tokio::time::timeout(bound, calling).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(match self.fault(error) {
                // systemd itself waits no longer than 25 s for polkit's answer.
                Fault::Away(error) if how.interactive && error.message.contains("timed out") => {
                    Fault::Refused {
                        name: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired".into(),
                        said: "no password was typed in time".into(),
                    }
                }
                fault => fault,
            }),
            Err(_) => Err(Fault::Unreachable(
                Error::new(
                    Code::ManagerUnreachable,
                    format!(
                        "{} does not answer: {member} took longer than {} s",
                        name(self.scope),
                        bound.as_secs()
                    ),
                )
                .hint(match self.scope {
                    Scope::System => "`systemctl status` shows whether systemd itself is well",
                    Scope::User => "`systemctl --user status` shows whether it is well",
                }),
            )),
        }
    }

    /// Messages that match a rule, from the moment this returns.
    pub(super) async fn listen(&self, rule: zbus::MatchRule<'_>) -> Result<MessageStream, Fault> {
        let rule: zbus::OwnedMatchRule = rule.into();
        match tokio::time::timeout(
            CALL,
            MessageStream::for_match_rule(rule, &self.conn, std::num::NonZeroUsize::new(256)),
        )
        .await
        {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.fault(error)),
            Err(_) => Err(Fault::Unreachable(unreachable(
                self.scope,
                "its bus does not answer",
            ))),
        }
    }

    fn fault(&self, error: zbus::Error) -> Fault {
        let (name, said) = match &error {
            zbus::Error::MethodError(name, text, _) => (
                name.as_str().to_owned(),
                text.clone().unwrap_or_else(|| name.as_str().to_owned()),
            ),
            zbus::Error::FDO(inner) if !matches!(**inner, zbus::fdo::Error::ZBus(_)) => {
                use zbus::DBusError;
                (
                    inner.name().as_str().to_owned(),
                    inner.description().unwrap_or_default().to_owned(),
                )
            }
            _ => return Fault::Unreachable(unreachable(self.scope, &said(&error))),
        };
        let gone = [
            "NoReply",
            "Disconnected",
            "ServiceUnknown",
            "NameHasNoOwner",
            "Timeout",
        ];
        match name.strip_prefix("org.freedesktop.DBus.Error.") {
            Some(short) if gone.contains(&short) => Fault::Away(unreachable(self.scope, &said)),
            _ => Fault::Refused { name, said },
        }
    }
}

/// The next message of a stream; `None` once the connection is closed.
pub(super) async fn next(stream: &mut MessageStream) -> Option<zbus::Result<Message>> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
}

/// How people call the manager of a scope.
pub(super) fn name(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "systemd",
        Scope::User => "systemd's user manager",
    }
}

fn unreachable(scope: Scope, why: &str) -> Error {
    Error::new(
        Code::ManagerUnreachable,
        format!("{} cannot be reached: {why}", name(scope)),
    )
    .hint(match scope {
        Scope::System => "`systemctl status dbus.service` shows whether the bus is up",
        Scope::User => "`systemctl --user status` shows whether your manager is up",
    })
}

fn no_socket(scope: Scope, socket: &Path, error: &io::Error) -> Error {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let why = match missing {
        true => format!("there is no {}", socket.display()),
        false => format!("{}: {}", socket.display(), reason(error)),
    };
    let error = unreachable(scope, &why);
    match (missing, scope) {
        (true, Scope::System) => {
            error.hint("is dbus installed? `systemctl start dbus.socket` brings the bus up")
        }
        (true, Scope::User) => {
            error.hint("install `dbus-user-session`, then `systemctl --user start dbus.socket`")
        }
        _ => error,
    }
}

/// The socket of our own user's bus. `XDG_RUNTIME_DIR` counts when it is ours: plain `su` leaves
/// the one of somebody else, cron and ssh may leave none.
fn user_bus(caller: &Caller) -> Result<PathBuf> {
    Ok(runtime_dir(caller)?.join("bus"))
}

/// Our user's runtime folder.
pub(super) fn runtime_dir(caller: &Caller) -> Result<PathBuf> {
    let ours = |dir: &Path| match std::fs::metadata(dir) {
        Ok(meta) => meta.uid() == caller.uid,
        Err(_) => false,
    };
    let usual = PathBuf::from(format!("/run/user/{}", caller.uid));
    let candidates = caller.runtime_dir.iter().chain([&usual]);
    match candidates.into_iter().find(|dir| ours(dir)) {
        Some(dir) => Ok(dir.clone()),
        None => Err(Error::new(
            Code::ManagerUnreachable,
            format!(
                "uid {} has no session and no lingering: there is no {}",
                caller.uid,
                usual.display()
            ),
        )
        .hint("log in, or keep your services running without a session: `loginctl enable-linger`")),
    }
}

fn said(error: &zbus::Error) -> String {
    match error {
        zbus::Error::InputOutput(error) => reason(error),
        zbus::Error::Connection(error, _) => reason(error),
        other => other.to_string().to_lowercase(),
    }
}

/// D-Bus addresses escape everything outside this set (D-Bus specification, server addresses).
fn escape_address(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' | b'/' | b'.' | b'\\' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}
