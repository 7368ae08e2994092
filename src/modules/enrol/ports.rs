//! May a new row have this port? Looks, touches nothing.

use super::Addition;
use crate::{
    error::{Code, Error, Result},
    modules::{
        known::{RESERVED, known},
        registry::{Name, Registry, Row, is_vault},
    },
    os::{
        port::{self, Holder, Listeners},
        process,
    },
};

/// Refuses a port of another row, a reserved one, and one that somebody listens on. The last two
/// can be forced; the last is fine where the row, or the vault that it is a view of, has the port already.
pub(super) fn check(
    name: &Name,
    addition: &Addition,
    old: Option<&Row>,
    rows: &Registry,
    listeners: &Listeners,
) -> Result<()> {
    let number = addition.port;
    let others = || {
        rows.rows
            .iter()
            .filter(|row| row.port == number && row.short() != name.short())
    };
    if let Some(other) = others().find(|row| !(is_vault(&row.name) && is_vault(&name.service()))) {
        return Err(Error::new(
            Code::PortTaken,
            format!("port {number} is that of {}", other.short()),
        )
        .hint("choose another port"));
    }
    if old.is_some_and(|row| row.port == number) || others().next().is_some() || addition.force {
        return Ok(());
    }
    let own = known(name.short()).is_some_and(|known| known.port == number);
    if RESERVED.contains(&number) && !own {
        return Err(Error::new(
            Code::PortReserved,
            format!(
                "port {number} is kept for the hub and its first-party modules, as all from {} to {} are",
                RESERVED.start(),
                RESERVED.end()
            ),
        )
        .hint("choose another port, or give `--force`"));
    }
    if listeners.on(number).next().is_none() {
        return Ok(());
    }
    let who = match port::holder(number, listeners) {
        Holder::Nobody => return Ok(()),
        Holder::Process { pid } => format!("pid {pid} ({})", process::command_line(pid)),
        Holder::Hidden { uid } => format!("a process of uid {uid}"),
    };
    Err(Error::new(
        Code::PortTaken,
        format!("port {number} is in use: {who} listens on it"),
    )
    .hint("stop that process, choose another port, or give `--force` if it is the module itself"))
}
