//! The operator's token (contract, section 5): read from the home, looked into without judging
//! its signature, and kept where no message or log can show it. Never mints, never sends.

use crate::{
    api::Time,
    error::{Code, Error},
    home::{Home, rel},
    os::{files, identity},
};
use hyper::header::HeaderValue;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::{fmt, io::Read, os::unix::fs::MetadataExt, path::Path};

/// Longer files are no token, in bytes.
const LIMIT: u64 = 64 << 10;

/// A token. Shows itself to nobody but the header it is sent in.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// The value of an `Authorization` header; marked sensitive, so that its Debug hides it.
    pub(super) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// What a token says of itself; nobody has verified it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The origin that issued it.
    pub issuer: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Until when.
    pub expires: Option<Time>,
    /// Since when.
    pub issued: Option<Time>,
    /// Whose.
    pub subject: Option<String>,
    /// The name of its scope set.
    pub scope_set: Option<String>,
    /// The id of the key that has signed it, as its header says.
    pub key: Option<String>,
}

/// How it stands with the token of a home.
#[derive(Clone, Debug)]
pub enum TokenState {
    /// There is no file.
    Missing,
    /// The file cannot be read; mostly for want of permission.
    Unreadable(Error),
    /// What is in the file is no token; says why.
    Malformed(&'static str),
    /// It was good until then.
    Expired {
        /// Until when.
        since: Time,
        /// What it says.
        claims: Claims,
    },
    /// It can be sent.
    Usable {
        /// The token.
        token: Token,
        /// What it says.
        claims: Claims,
        /// Who else may read the file, for people.
        warning: Option<String>,
    },
}

/// Reads the token of a home. `now` decides what is expired.
pub fn read(home: &Home, now: Timestamp) -> TokenState {
    let unreadable =
        |e: std::io::Error| TokenState::Unreadable(Error::io("read", &home.at(rel::TOKEN), &e));
    let file = match files::open(home, rel::TOKEN) {
        Ok(Some(file)) => file,
        Ok(None) => return TokenState::Missing,
        Err(e) => return TokenState::Unreadable(e),
    };
    let meta = match file.metadata() {
        Ok(meta) => meta,
        Err(e) => return unreadable(e),
    };
    if !meta.is_file() {
        return TokenState::Malformed("it is not a regular file");
    }
    let mut bytes = Vec::new();
    if let Err(e) = file.take(LIMIT + 1).read_to_end(&mut bytes) {
        return unreadable(e);
    }
    judge(&bytes, &home.at(rel::TOKEN), meta.mode(), now)
}

/// What a file of these bytes and this mode is worth.
fn judge(bytes: &[u8], path: &Path, mode: u32, now: Timestamp) -> TokenState {
    if bytes.len() as u64 > LIMIT {
        return TokenState::Malformed("it is longer than 64 KiB");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return TokenState::Malformed("it is not text");
    };
    let text = text.trim();
    if text.is_empty() {
        return TokenState::Malformed("it is empty");
    }
    if text.split('.').count() != 3 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return TokenState::Malformed("it is not one JWT");
    }
    let Ok(claims) = jsonwebtoken::dangerous::insecure_decode_claims::<Map<String, Value>>(text)
    else {
        return TokenState::Malformed("its claims cannot be read");
    };
    let claims = Claims {
        key: jsonwebtoken::decode_header(text).ok().and_then(|h| h.kid),
        ..look(&claims)
    };
    if let Some(since) = claims.expires
        && since.0 <= now
    {
        return TokenState::Expired { since, claims };
    }
    let Some(token) = Token::new(text) else {
        return TokenState::Malformed("it is not one JWT");
    };
    let warning = (mode & 0o077 != 0).then(|| {
        format!(
            "the operator token is open to others than its owner (mode {:04o}): `chmod 600 {}`",
            mode & 0o7777,
            path.display()
        )
    });
    TokenState::Usable {
        token,
        claims,
        warning,
    }
}

/// Takes what is there; a claim of another type counts as absent.
fn look(claims: &Map<String, Value>) -> Claims {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    // Seconds since 1970; RFC 7519 allows fractions.
    let time = |name: &str| {
        let seconds = claims.get(name)?.as_f64()?;
        Timestamp::from_second(seconds as i64).ok().map(Time)
    };
    Claims {
        issuer: text("iss"),
        scopes: text("scope")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        expires: time("exp"),
        issued: time("iat"),
        subject: text("sub"),
        scope_set: text("pa_scope_set"),
        key: None,
    }
}

impl TokenState {
    /// Why it cannot be sent and what to do; `None` when it can. `ours`: the hub it is for is of
    /// this make, where that is known.
    pub fn problem(&self, home: &Home, ours: Option<bool>) -> Option<Error> {
        let path = home.at(rel::TOKEN);
        let path = path.display();
        let again = fresh(ours);
        Some(match self {
            TokenState::Usable { .. } => return None,
            TokenState::Missing => Error::new(
                Code::Unauthorized,
                format!("there is no operator token at {path}"),
            )
            .hint(match ours {
                Some(false) => {
                    "the hub of this box writes it once its first user exists: set that up in its \
                     web interface"
                }
                _ => "the hub writes one when it starts: `parachute restart hub`",
            }),
            TokenState::Unreadable(e) if e.code == Code::NoPermission => {
                let who = identity::owner(home.root())
                    .ok()
                    .and_then(identity::user)
                    .map_or_else(|| "OWNER".to_owned(), |user| user.name);
                Error::new(
                    Code::NoPermission,
                    format!("the operator token at {path} may not be read by this user"),
                )
                .hint(format!(
                    "run it as the one whose home it is: `sudo -u {who} parachute …`"
                ))
            }
            TokenState::Unreadable(e) => e.clone(),
            TokenState::Malformed(why) => Error::new(
                Code::Unauthorized,
                format!("the operator token at {path} is of no use: {why}"),
            )
            .hint(again),
            TokenState::Expired { since, .. } => Error::new(
                Code::Unauthorized,
                format!("the operator token at {path} expired at {since}"),
            )
            .hint(again),
        })
    }
}

/// How a person comes by a new token.
pub(super) fn fresh(ours: Option<bool>) -> &'static str {
    match ours {
        Some(false) => {
            "make a new one with the hub of this box, which is of other make; \
             `parachute auth status` shows the one there is"
        }
        _ => {
            "`parachute auth rotate-operator` makes a new one; \
             `parachute auth status` shows the one there is"
        }
    }
}

/// How a person comes by a token for more.
pub(super) fn wider(ours: Option<bool>) -> &'static str {
    match ours {
        Some(false) => {
            "`parachute auth status` shows its scopes; one for everything is made with the hub of \
             this box, which is of other make"
        }
        _ => {
            "`parachute auth status` shows its scopes; \
             `parachute auth rotate-operator --scope-set admin` makes one for everything"
        }
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
