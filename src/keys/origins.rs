//! Which origins this hub is known by (contract, section 5), and which of them is its own name: what
//! tokens say they are from, and what a request may say it is for. Reads two small files, again when
//! they have changed.

use crate::{
    home::{Home, rel},
    os::files,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Longer files are none of these, in bytes.
const LIMIT: usize = 256 * 1024;
/// How old a reading may be.
const FRESH: Duration = Duration::from_millis(500);

/// The origins of one hub.
#[derive(Debug)]
pub struct Origins {
    home: Home,
    port: u16,
    /// `PARACHUTE_HUB_ORIGIN` of the hub's own environment.
    environment: Option<String>,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    at: Option<Instant>,
    now: Arc<[String]>,
    /// All that the files have said since this was made.
    ever: BTreeSet<String>,
}

impl Origins {
    /// The origins of the hub of this home on this port.
    pub fn new(home: Home, port: u16, environment: Option<&str>) -> Self {
        Self {
            home,
            port,
            environment: environment.and_then(clean),
            read: Mutex::default(),
        }
    }

    /// Its own name: `hub/origin`, else what the box is exposed as, else loopback.
    pub fn own(&self) -> String {
        let files = self.files();
        files.first().cloned().unwrap_or_else(|| self.on_loopback())
    }

    fn on_loopback(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Is this the origin of some hub on loopback, whatever its port?
    pub fn loopback(origin: &str) -> bool {
        let host = clean(origin).and_then(|o| Some(o.strip_prefix("http://")?.to_owned()));
        host.is_some_and(|host| is_loopback(&host))
    }

    /// May a token of ours be from this origin? One of them, or one that was: a token does not end
    /// because the box has got another name. Trailing slashes do not count.
    pub fn knows(&self, origin: &str) -> bool {
        let was = || clean(origin).is_some_and(|origin| self.read().ever.contains(&origin));
        if self.has(origin) || was() {
            return true;
        }
        // The token may be younger than what was read last.
        self.forget();
        self.has(origin)
    }

    fn forget(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.at = None;
    }

    /// Is this origin one of them now?
    pub fn has(&self, origin: &str) -> bool {
        let Some(origin) = clean(origin) else {
            return false;
        };
        let port = self.port;
        origin == self.on_loopback()
            || origin == format!("http://localhost:{port}")
            || origin == format!("http://[::1]:{port}")
            || self.environment.as_deref() == Some(&*origin)
            || self.files().contains(&origin)
    }

    /// May a request say that it is for this host? Loopback, or an origin's.
    pub fn serves(&self, host: &str) -> bool {
        is_loopback(host) || {
            let host = host.to_ascii_lowercase();
            let is = |origin: &String| authority(origin).is_some_and(|known| same(&known, &host));
            self.environment.iter().any(is) || self.files().iter().any(is)
        }
    }

    /// May a page of this origin call us? Loopback, or one of ours.
    pub fn admits(&self, origin: &str) -> bool {
        authority(origin).is_some_and(|host| is_loopback(&host)) || self.has(origin)
    }

    /// The origins in files, the hub's own first.
    pub fn files(&self) -> Arc<[String]> {
        self.read().now.clone()
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.at.is_some_and(|at| at.elapsed() < FRESH) {
            return read;
        }
        let text = |file| files::read_start(&self.home, file, LIMIT).ok().flatten();
        let given = text(rel::HUB_ORIGIN).and_then(|bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            clean(text.lines().next()?)
        });
        let exposed = text(rel::EXPOSE_STATE).map(|bytes| exposed(&bytes));
        read.now = given
            .into_iter()
            .chain(exposed.into_iter().flatten())
            .collect();
        let now = read.now.clone();
        read.ever.extend(now.iter().cloned());
        read.at = Some(Instant::now());
        read
    }
}

/// `hubOrigin` and `https://<canonicalFqdn>`.
fn exposed(bytes: &[u8]) -> Vec<String> {
    let Ok(state) = serde_json::from_slice::<Value>(bytes) else {
        return Vec::new();
    };
    let text = |field: &str| state.get(field).and_then(Value::as_str);
    let host = text("canonicalFqdn").map(|host| format!("https://{}", host.trim_end_matches('.')));
    let both = [text("hubOrigin").map(str::to_owned), host];
    both.into_iter()
        .flatten()
        .filter_map(|o| clean(&o))
        .collect()
}

/// `scheme://host[:port]` in lower case, without slashes behind; `None` for what is no origin.
fn clean(origin: &str) -> Option<String> {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let rest = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))?;
    let fits = !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
    fits.then_some(origin)
}

/// The host, and the port where it is not the scheme's own.
fn authority(origin: &str) -> Option<String> {
    let origin = clean(origin)?;
    let (scheme, host) = origin.split_once("://")?;
    let own = if scheme == "https" { ":443" } else { ":80" };
    Some(host.strip_suffix(own).unwrap_or(host).to_owned())
}

/// Are two hosts one, where a port that is some scheme's own may be left out?
fn same(known: &str, host: &str) -> bool {
    let bare = host.strip_suffix(":443").or(host.strip_suffix(":80"));
    known == host || Some(known) == bare
}

/// Is this `Host` loopback, with any port or none?
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let loopback = name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    port_fits && (loopback || name.eq_ignore_ascii_case("localhost") || name == "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn loopback_is_told_from_what_only_looks_like_it() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:1939",
            "localhost:80",
            "LocalHost",
            "[::1]",
            "[::1]:5",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "::1",
            "127.0.0.1:x",
            "127.0.0.1:99999",
            "evil@127.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "[::1",
            "localhost:1:2",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_hub_is_known_by_its_files_its_environment_and_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().canonicalize().unwrap());
        let make = || Origins::new(home.clone(), 1939, Some("https://env.example/"));
        assert_eq!(make().own(), "http://127.0.0.1:1939");
        fs::write(
            home.at(rel::EXPOSE_STATE),
            r#"{"hubOrigin":"https://box.example:8443/","canonicalFqdn":"box.tail.net"}"#,
        )
        .unwrap();
        assert_eq!(make().own(), "https://box.example:8443");
        fs::create_dir_all(home.at("hub")).unwrap();
        fs::write(home.at(rel::HUB_ORIGIN), "https://Given.example\n").unwrap();
        let origins = make();
        assert_eq!(origins.own(), "https://given.example");
        for known in [
            "https://given.example/",
            "https://box.example:8443",
            "https://box.tail.net",
            "https://env.example",
            "http://localhost:1939",
            "http://[::1]:1939",
        ] {
            assert!(origins.knows(known), "{known}");
        }
        for foreign in [
            "http://127.0.0.1:1940",
            "https://evil.example",
            "http://given.example",
            "",
            "null",
        ] {
            assert!(!origins.knows(foreign), "{foreign}");
        }
        for host in [
            "given.example",
            "GIVEN.example:443",
            "box.example:8443",
            "127.0.0.1:1939",
        ] {
            assert!(origins.serves(host), "{host}");
        }
        for host in [
            "evil.example",
            "box.example",
            "given.example:8080",
            "given.example.evil",
        ] {
            assert!(!origins.serves(host), "{host}");
        }
        assert!(origins.admits("http://localhost:5173"));
        assert!(origins.admits("https://box.tail.net"));
        for origin in ["null", "https://evil.example", "file://", ""] {
            assert!(!origins.admits(origin), "{origin}");
        }
    }

    #[test]
    fn a_token_of_an_earlier_name_is_known_but_nothing_else_is_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().canonicalize().unwrap());
        let origins = Origins::new(home.clone(), 1939, None);
        fs::create_dir_all(home.at("hub")).unwrap();
        fs::write(home.at(rel::HUB_ORIGIN), "https://first.example").unwrap();
        assert_eq!(origins.own(), "https://first.example");
        fs::write(home.at(rel::HUB_ORIGIN), "https://second.example").unwrap();
        assert!(!origins.has("https://second.example"));
        // A token that has just been minted for it.
        assert!(origins.knows("https://second.example"));
        assert_eq!(origins.own(), "https://second.example");
        assert!(origins.knows("https://first.example/"));
        assert!(!origins.has("https://first.example"));
        assert!(!origins.serves("first.example"));
        assert!(!origins.admits("https://first.example"));
        fs::remove_file(home.at(rel::HUB_ORIGIN)).unwrap();
        origins.forget();
        assert_eq!(origins.own(), "http://127.0.0.1:1939");
        assert!(origins.knows("https://second.example") && origins.knows("https://first.example"));
        assert!(!origins.knows("https://third.example"));
        // Another boot has not had them.
        assert!(!Origins::new(home, 1939, None).knows("https://first.example"));
    }
}
