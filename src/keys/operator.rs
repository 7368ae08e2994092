//! The operator's token in the home: minted by the hub when there is none or when it is of other keys,
//! and minted again in time. Its text goes into the file and nowhere else.

use super::{AUDIENCE, Claims, Key, Loaded, ScopeSet, load, replace, sign, verify};
use crate::{
    error::Result,
    home::{Home, rel},
    os::files,
};
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

/// How long a token is good, in seconds.
pub(super) const LIFE: i64 = 90 * 24 * 3600;
/// A token that has less than this left is minted again, in seconds.
pub(super) const RENEW: i64 = 7 * 24 * 3600;
/// Longer files are no token, in bytes.
const LIMIT: u64 = 64 * 1024;

/// What became of the operator's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is good as it is.
    AsItWas,
    /// There was none.
    Minted,
    /// It was of other keys: kept aside, and minted.
    Replaced,
    /// It was of a key that this hub no longer has, and is not worth keeping: minted.
    Ended,
    /// It was to expire soon, or was of an origin that is no longer this hub's.
    Renewed,
}

/// A token that was asked for.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// What it says.
    pub claims: Claims,
    /// The one before it was not of this home's keys, and is kept aside.
    pub kept: bool,
}

/// Makes sure that there is a token that this hub takes.
pub fn ensure(
    home: &Home,
    key: &Key,
    issuer: &str,
    known: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Kept> {
    let there = there(home)?;
    let Some(claims) = own(key, &there) else {
        let kept = match (set_aside(home, &there)?, worth(&there)) {
            (true, _) => Kept::Replaced,
            (false, Worth::Nothing) => Kept::Minted,
            (false, _) => Kept::Ended,
        };
        mint(home, key, issuer, Grant::of(ScopeSet::Admin), now)?;
        return Ok(kept);
    };
    if claims.exp - now.as_second() > RENEW && known(&claims.iss) {
        return Ok(Kept::AsItWas);
    }
    mint(home, key, issuer, Grant::as_in(claims), now)?;
    Ok(Kept::Renewed)
}

/// Mints a token with this scope set in place of the one that is there.
pub fn rotate(
    home: &Home,
    key: &Key,
    issuer: &str,
    set: ScopeSet,
    now: Timestamp,
) -> Result<Rotated> {
    let there = there(home)?;
    let kept = own(key, &there).is_none() && set_aside(home, &there)?;
    let claims = mint(home, key, issuer, Grant::of(set), now)?;
    Ok(Rotated { claims, kept })
}

/// Makes a new key, and mints a token of it that may do what the one of the key before could.
pub fn rotate_key(home: &Home, issuer: &str, now: Timestamp) -> Result<(Key, Rotated)> {
    let there = there(home)?;
    let before = match load(home)? {
        Loaded::Good(key) | Loaded::Exposed(key) => own(&key, &there),
        Loaded::None | Loaded::Broken => None,
    };
    let kept = before.is_none() && set_aside(home, &there)?;
    let grant = before.map_or_else(|| Grant::of(ScopeSet::Admin), Grant::as_in);
    let key = Key::make()?;
    replace(home, &key)?;
    let claims = mint(home, &key, issuer, grant, now)?;
    Ok((key, Rotated { claims, kept }))
}

/// What is in the token's file; nothing when there is none.
fn there(home: &Home) -> Result<Vec<u8>> {
    let bytes = files::read_start(home, rel::TOKEN, LIMIT as usize)?;
    Ok(bytes.unwrap_or_default())
}

fn own(key: &Key, bytes: &[u8]) -> Option<Claims> {
    verify(key, String::from_utf8_lossy(bytes).trim()).ok()
}

/// How much would be lost with the content of a token's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// It is empty.
    Nothing,
    /// Rubbish, or a token that a hub of ours has signed with a key that is gone.
    Little,
    /// A token of a hub of other make, which nobody here can make again.
    Much,
}

/// Hubs of other make sign with RS256 (contract, section 5).
pub(super) fn worth(bytes: &[u8]) -> Worth {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() {
        return Worth::Nothing;
    }
    if jsonwebtoken::dangerous::insecure_decode_claims::<Map<String, Value>>(text).is_err() {
        return Worth::Little;
    }
    let ours = jsonwebtoken::decode_header(text).is_ok_and(|header| {
        header.alg == Algorithm::ES256 && header.kid.is_some_and(|kid| Key::may_be(&kid))
    });
    match ours {
        true => Worth::Little,
        false => Worth::Much,
    }
}

/// Keeps beside what is about to be replaced, unless what is kept there already is worth more. Says
/// whether it did.
fn set_aside(home: &Home, bytes: &[u8]) -> Result<bool> {
    let new = worth(bytes);
    if new == Worth::Nothing {
        return Ok(false);
    }
    let old = files::read_start(home, rel::TOKEN_OLD, LIMIT as usize)?;
    if old.is_some_and(|old| worth(&old) > new) {
        return Ok(false);
    }
    files::replace(home, rel::TOKEN_OLD, 0o600, bytes)?;
    Ok(true)
}

/// What a token may do.
struct Grant {
    scope: String,
    set: String,
    vaults: Vec<String>,
}

impl Grant {
    fn of(set: ScopeSet) -> Self {
        Self {
            scope: set.scopes().to_owned(),
            set: set.name().to_owned(),
            vaults: Vec::new(),
        }
    }

    /// No more and no less, also where the name of its set is not known here.
    fn as_in(claims: Claims) -> Self {
        Self {
            scope: claims.scope,
            set: claims.pa_scope_set,
            vaults: claims.vault_scope,
        }
    }
}

fn mint(home: &Home, key: &Key, issuer: &str, grant: Grant, now: Timestamp) -> Result<Claims> {
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: "operator".to_owned(),
        aud: AUDIENCE.to_owned(),
        scope: grant.scope,
        client_id: "parachute-hub".to_owned(),
        vault_scope: grant.vaults,
        pa_scope_set: grant.set,
        jti: uuid::Uuid::new_v4().to_string(),
        iat: now.as_second(),
        nbf: None,
        exp: now.as_second() + LIFE,
    };
    let token = sign(key, &claims)?;
    files::replace(home, rel::TOKEN, 0o600, format!("{token}\n").as_bytes())?;
    Ok(claims)
}
