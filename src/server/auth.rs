//! Who may ask for what: the token first, then where the request says it goes and comes from, then the
//! token's scopes. A token that was verified once is remembered by its hash; its expiry, its issuer and
//! the key are looked at each time.

use super::answer::{Answer, failure};
use crate::keys::{Claims, Keys, Origins, Refusal, verify};
use hyper::{
    HeaderMap, StatusCode, Uri, Version,
    header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE},
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How many verified tokens are remembered.
const REMEMBERED: usize = 64;

/// The judge of one hub.
#[derive(Debug)]
pub(super) struct Guard {
    keys: std::sync::Arc<Keys>,
    origins: std::sync::Arc<Origins>,
    /// By hash: the key it was verified with, and its claims.
    verified: Mutex<HashMap<[u8; 32], (String, Claims)>>,
}

/// What of a request is looked at.
pub(super) struct Caller<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
}

impl Guard {
    pub(super) fn new(keys: std::sync::Arc<Keys>, origins: std::sync::Arc<Origins>) -> Self {
        Self {
            keys,
            origins,
            verified: Mutex::default(),
        }
    }

    /// Lets a request pass that carries one of `scopes`; else the answer that it gets.
    pub(super) fn admit(&self, caller: &Caller<'_>, scopes: &[&str]) -> Result<(), Box<Answer>> {
        let claims = bearer(caller.headers)
            .and_then(|token| self.claims(token).map_err(Refusal::text))
            .map_err(|why| Box::new(unauthenticated(why)))?;
        self.place(caller)?;
        if scopes.iter().any(|scope| claims.may(scope)) {
            return Ok(());
        }
        let needed = scopes.join(" or ");
        Err(Box::new(failure(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            &format!("the token does not carry {needed}"),
        )))
    }

    fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let key = self.keys.current();
        let hash: [u8; 32] = Sha256::digest(token).into();
        let known = {
            let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            verified
                .get(&hash)
                .filter(|(id, _)| id == key.id())
                .map(|(_, claims)| claims.clone())
        };
        let claims = match known {
            Some(claims) => claims,
            None => {
                let claims = verify(&key, token)?;
                let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
                if verified.len() >= REMEMBERED {
                    verified.clear();
                }
                verified.insert(hash, (key.id().to_owned(), claims.clone()));
                claims
            }
        };
        claims.judge(Timestamp::now().as_second(), |iss| self.origins.knows(iss))?;
        Ok(claims)
    }

    /// A page in a browser can make it send requests here: what it cannot do is lie about whom it
    /// takes us for and where it comes from.
    fn place(&self, caller: &Caller<'_>) -> Result<(), Box<Answer>> {
        let refuse = |code, text| Err(Box::new(failure(StatusCode::FORBIDDEN, code, text)));
        let mut hosts = caller.headers.get_all(HOST).iter();
        let host = match (caller.uri.authority(), hosts.next(), hosts.next()) {
            (_, _, Some(_)) => return refuse("forbidden_host", "more than one host is named"),
            (Some(named), _, None) => Some(named.as_str()),
            (None, Some(host), None) => Some(host.to_str().unwrap_or_default()),
            (None, None, None) => None,
        };
        let served = match host {
            Some(host) => self.origins.serves(host),
            // Only HTTP/1.0 may leave it out, and no browser speaks that.
            None => caller.version < Version::HTTP_11,
        };
        if !served {
            return refuse("forbidden_host", "this hub is not known by that host");
        }
        let admitted = |origin: &HeaderValue| {
            let origin = origin.to_str().unwrap_or_default();
            self.origins.admits(origin)
        };
        if !caller.headers.get_all(ORIGIN).iter().all(admitted) {
            return refuse("forbidden_origin", "requests from that origin are refused");
        }
        Ok(())
    }
}

/// The token of an `Authorization: Bearer` header; the scheme is read in any case (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let header = match (all.next(), all.next()) {
        (Some(header), None) => header
            .to_str()
            .map_err(|_| "the authorization is not text")?,
        (None, _) => return Err("a bearer token is needed"),
        (Some(_), Some(_)) => return Err("more than one authorization is given"),
    };
    let (scheme, token) = header.trim().split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("a bearer token is needed");
    }
    match token.trim() {
        "" => Err("the bearer token is empty"),
        token => Ok(token),
    }
}

fn unauthenticated(why: &str) -> Answer {
    let mut answer = failure(StatusCode::UNAUTHORIZED, "unauthenticated", why);
    answer
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_read_in_any_case_and_nothing_else_is() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).ok().map(str::to_owned)
        };
        for good in ["Bearer abc", "bearer abc", "BEARER   abc ", " Bearer abc"] {
            assert_eq!(with(&[good]).as_deref(), Some("abc"), "{good:?}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic abc",
            "abc",
            "Bearerabc",
            "Bearer\tabc",
        ] {
            assert_eq!(with(&[bad]), None, "{bad:?}");
        }
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["Bearer a", "Bearer b"]), None);
    }
}
