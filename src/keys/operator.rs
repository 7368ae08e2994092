//! The operator's token in the home: minted by the hub when there is none or when it is of other keys,
//! and minted again in time. Its text goes into the file and nowhere else.

use super::{AUDIENCE, Claims, Key, ScopeSet, sign, verify};
use crate::{
    error::Result,
    home::{Home, rel},
    os::files,
};
use jiff::Timestamp;

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
    /// It was to expire soon, or was of an origin that is no longer this hub's.
    Renewed,
}

/// Makes sure that there is a token that this hub takes.
pub fn ensure(
    home: &Home,
    key: &Key,
    issuer: &str,
    known: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Kept> {
    let Some(bytes) = files::read_start(home, rel::TOKEN, LIMIT as usize)? else {
        mint(home, key, issuer, ScopeSet::Admin, now)?;
        return Ok(Kept::Minted);
    };
    let text = String::from_utf8_lossy(&bytes);
    let Ok(claims) = verify(key, text.trim()) else {
        files::replace(home, rel::TOKEN_OLD, 0o600, &bytes)?;
        mint(home, key, issuer, ScopeSet::Admin, now)?;
        return Ok(Kept::Replaced);
    };
    if claims.exp - now.as_second() > RENEW && known(&claims.iss) {
        return Ok(Kept::AsItWas);
    }
    let set = ScopeSet::named(&claims.pa_scope_set).unwrap_or_default();
    mint(home, key, issuer, set, now)?;
    Ok(Kept::Renewed)
}

/// Mints a token with this scope set in place of the one that is there.
pub fn rotate(
    home: &Home,
    key: &Key,
    issuer: &str,
    set: ScopeSet,
    now: Timestamp,
) -> Result<Claims> {
    mint(home, key, issuer, set, now)
}

fn mint(home: &Home, key: &Key, issuer: &str, set: ScopeSet, now: Timestamp) -> Result<Claims> {
    let claims = Claims {
        iss: issuer.to_owned(),
        sub: "operator".to_owned(),
        aud: AUDIENCE.to_owned(),
        scope: set.scopes().to_owned(),
        client_id: "parachute-hub".to_owned(),
        vault_scope: Vec::new(),
        pa_scope_set: set.name().to_owned(),
        jti: uuid::Uuid::new_v4().to_string(),
        iat: now.as_second(),
        nbf: None,
        exp: now.as_second() + LIFE,
    };
    let token = sign(key, &claims)?;
    files::replace(home, rel::TOKEN, 0o600, format!("{token}\n").as_bytes())?;
    Ok(claims)
}
