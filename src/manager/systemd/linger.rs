//! Lingering: whether a user's manager runs without a session of theirs, by logind
//! (org.freedesktop.login1(5)). Always looked up before it is asked for.

use super::{Caller, agent::Agent, bus};
use crate::{
    error::{Code, Error, Result},
    manager::Scope,
};
use std::{path::Path, time::Duration};

/// Where logind keeps who lingers: an empty file each.
const LINGERERS: &str = "/var/lib/systemd/linger";
/// How long a user's manager may take to come up.
const UP: Duration = Duration::from_secs(15);

/// Does a user's manager run without a session.
pub fn lingers(name: &str) -> bool {
    Path::new(LINGERERS).join(name).exists()
}

/// Switches our own user's lingering; once on, waits until their bus is there.
pub(super) async fn set(caller: &Caller, name: &str, on: bool) -> Result<()> {
    let _agent = match caller.terminal && caller.uid != 0 {
        true => Agent::open().await,
        false => None,
    };
    let bus = bus::Bus::connect(Scope::System, caller).await?;
    let body = (caller.uid, on, caller.terminal);
    let asked = bus.ask(
        "org.freedesktop.login1",
        "/org/freedesktop/login1",
        "org.freedesktop.login1.Manager",
        "SetUserLinger",
        &body,
        bus::How::asking(caller.terminal && caller.uid != 0),
    );
    let verb = if on {
        "enable-linger"
    } else {
        "disable-linger"
    };
    match asked.await {
        Ok(_) => {}
        Err(fault) if fault.is_denied() => {
            return Err(Error::new(
                Code::NoPermission,
                format!("logind does not let you switch lingering {}", word(on)),
            )
            .hint(format!("`sudo loginctl {verb} {name}`")));
        }
        Err(bus::Fault::Refused { said, .. }) => {
            return Err(Error::new(
                Code::ManagerUnreachable,
                format!(
                    "lingering cannot be switched {}: {}",
                    word(on),
                    super::plain(&said)
                ),
            )
            .hint(format!("`sudo loginctl {verb} {name}` says more")));
        }
        Err(bus::Fault::Unreachable(error)) => return Err(error),
        Err(bus::Fault::Away(error)) => {
            return Err(Error {
                message: format!("logind is not there to switch lingering {}", word(on)),
                ..error
            });
        }
    }
    if on {
        let by = tokio::time::Instant::now() + UP;
        // logind has no signal for a bus that is there; its file is.
        while !bus::runtime_dir(caller).is_ok_and(|dir| dir.join("bus").exists()) {
            if tokio::time::Instant::now() >= by {
                return Err(Error::new(
                    Code::TimedOut,
                    format!(
                        "lingering is on, but {name}'s manager is not up after {} s",
                        UP.as_secs()
                    ),
                )
                .hint(format!(
                    "`systemctl status user@{}.service` says why",
                    caller.uid
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
