//! Where the hub listens: read from the environment, bound before anything else, and when somebody is
//! there already, who that is.

use crate::{
    context::Context,
    error::{Code, Error, Result, reason},
    os::{
        port::{self, Holder, Listeners},
        process,
    },
};
use std::{
    ffi::OsStr,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};
use tokio::net::{TcpListener, lookup_host};

/// Where the hub is to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// `PARACHUTE_BIND_HOST` and `PORT`.
    pub(super) fn read(cx: &Context) -> Result<Self> {
        let host = match cx.var("PARACHUTE_BIND_HOST") {
            None => "127.0.0.1".to_owned(),
            Some(host) => host
                .to_str()
                .map(|host| {
                    host.trim_start_matches('[')
                        .trim_end_matches(']')
                        .to_owned()
                })
                .ok_or_else(|| Error::new(Code::Usage, "PARACHUTE_BIND_HOST is not text"))?,
        };
        Ok(Self {
            host,
            port: port(cx.var("PORT").map(|port| &**port))?,
        })
    }

    /// Binds it.
    pub(super) async fn bind(&self) -> Result<TcpListener> {
        let host = &self.host;
        let address = match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, self.port),
            Err(_) => lookup_host((&**host, self.port))
                .await
                .ok()
                .and_then(|mut all| all.next())
                .ok_or_else(|| {
                    Error::new(
                        Code::Usage,
                        format!("PARACHUTE_BIND_HOST is {host:?}, which is no address"),
                    )
                    .hint("leave it out, or give it an address of this machine, as 127.0.0.1")
                })?,
        };
        TcpListener::bind(address)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => taken(address),
                ErrorKind::PermissionDenied => {
                    Error::new(Code::NoPermission, format!("may not listen on {address}"))
                        .hint("choose a PORT above 1023")
                }
                _ => Error::new(
                    Code::Io,
                    format!("cannot listen on {address}: {}", reason(&error)),
                ),
            })
    }
}

/// `PORT` as a number; none is the hub's own.
fn port(text: Option<&OsStr>) -> Result<u16> {
    let Some(text) = text else {
        return Ok(crate::api::HUB_PORT);
    };
    let digits = text
        .to_str()
        .filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            Error::new(Code::Usage, format!("PORT is {text:?}, which is no port"))
                .hint("give it a number from 0 to 65535, or leave it out")
        })
}

/// Names who is there.
fn taken(address: SocketAddr) -> Error {
    let port = address.port();
    let holder = Listeners::read().map(|listeners| port::holder(port, &listeners));
    let who = match holder {
        Ok(Holder::Process { pid }) => format!("pid {pid} ({})", process::command_line(pid)),
        Ok(Holder::Hidden { uid }) => format!("a process of uid {uid}"),
        _ => "another process".to_owned(),
    };
    let at = if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        format!("port {port}")
    } else {
        address.to_string()
    };
    Error::new(Code::PortTaken, format!("{at} is held by {who}"))
        .hint("stop that first, or choose another PORT; nothing was touched")
}

#[cfg(test)]
mod tests {
    use super::port;
    use std::ffi::OsStr;

    #[test]
    fn only_a_port_is_a_port() {
        let read = |text: &str| port(Some(OsStr::new(text))).ok();
        assert_eq!(port(None).ok(), Some(1939));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("65535"), Some(65535));
        for bad in ["abc", "65536", "-1", "+80", "80 ", "", "0x50", "1e3", "٣"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
