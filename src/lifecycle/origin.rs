//! The origin that a person gives a box with `--hub-origin`, kept in `hub/origin`.

use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
    os::files,
};
use std::net::Ipv6Addr;

/// Scheme, host and perhaps a port; nothing behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads one; trailing slashes do not count, and nothing at all is none.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let text = text.trim().trim_end_matches('/');
        if text.is_empty() {
            return Ok(None);
        }
        if !is_origin(text) {
            return Err(Error::new(Code::Usage, format!("`{text}` is no origin"))
                .hint("an origin reads like `https://box.example.org`, with no path behind"));
        }
        Ok(Some(Self(text.to_owned())))
    }

    pub(super) fn keep(&self, home: &Home) -> Result<()> {
        let line = format!("{}\n", self.0);
        files::replace(home, rel::HUB_ORIGIN, 0o644, line.as_bytes())
    }
}

fn is_origin(text: &str) -> bool {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest else { return false };
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let named = |host: &str| {
        !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))
    };
    let numbered = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => named(host),
    };
    host && port.is_none_or(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in [
            "https://box.example.org",
            "http://127.0.0.1:1939",
            "http://[::1]:1939",
            "http://[::1]",
            "https://b\u{fc}cher.example",
            "https://box_1:443",
        ] {
            let kept = Origin(good.to_owned());
            assert_eq!(Origin::parse(good).unwrap(), Some(kept.clone()), "{good}");
            assert_eq!(Origin::parse(&format!(" {good}// ")).unwrap(), Some(kept));
        }
        for none in ["", " ", "/"] {
            assert_eq!(Origin::parse(none).unwrap(), None);
        }
        for bad in [
            "box.example.org",
            "ftp://x",
            "https://",
            "https://:80",
            "https://x/path",
            "https://x?y",
            "https://x/path?x",
            "https://x#y",
            "https://me@x",
            "https://me:secret@x",
            "https://x y",
            "https://x\\y",
            "https://x:0",
            "https://x:+80",
            "https://x:",
            "https://x:70000",
            "https://::1",
            "https://[nope]",
            "https://x\u{7}",
        ] {
            assert_eq!(Origin::parse(bad).unwrap_err().code, Code::Usage, "{bad}");
        }
    }
}
