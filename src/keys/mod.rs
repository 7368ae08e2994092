//! Signing keys, minting and judging tokens (contract, section 5). Never prints and never logs what is
//! secret: keys and tokens show themselves to nobody.

mod es256;
mod operator;
mod origins;
mod ring;
mod scopes;
#[cfg(test)]
mod tests;

pub use operator::{Kept, Rotated, ensure, rotate, rotate_key};
pub use origins::Origins;
pub use ring::{Key, Keys, Loaded, load, load_or_make, replace};
pub use scopes::ScopeSet;

use crate::error::{Code, Error, Result};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

/// `aud` of an operator's token.
pub const AUDIENCE: &str = "operator";

/// The claims of an operator's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The origin that issued it.
    pub iss: String,
    /// Whose it is.
    #[serde(default)]
    pub sub: String,
    /// Whom it is for.
    #[serde(default)]
    pub aud: String,
    /// Scopes, separated by spaces.
    #[serde(default)]
    pub scope: String,
    /// Which client it was issued to.
    #[serde(default)]
    pub client_id: String,
    /// Vaults that it is limited to.
    #[serde(default)]
    pub vault_scope: Vec<String>,
    /// The name of its scope set.
    #[serde(default)]
    pub pa_scope_set: String,
    /// Its own id.
    #[serde(default)]
    pub jti: String,
    /// Seconds since 1970: since when.
    #[serde(default)]
    pub iat: i64,
    /// Seconds since 1970: not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Seconds since 1970: until when.
    pub exp: i64,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a token of this key: malformed, another algorithm, another key, changed.
    NotOurs,
    /// It was good once.
    Expired,
    /// It will be good one day.
    NotYet,
    /// It is for somebody else.
    Audience,
    /// It is of an origin that this hub is not known by.
    Issuer,
}

impl Refusal {
    /// For people; says nothing of the token's content.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::NotOurs => "the token is not one that this hub has issued",
            Refusal::Expired => "the token has expired",
            Refusal::NotYet => "the token is not valid yet",
            Refusal::Audience => "the token is for another audience",
            Refusal::Issuer => "the token is of an origin that this hub is not known by",
        }
    }
}

impl Claims {
    /// Is it good at this second, for this hub? `known` says whether an issuer is one of its origins.
    pub fn judge(&self, now: i64, known: impl Fn(&str) -> bool) -> Result<(), Refusal> {
        if self.exp <= now {
            Err(Refusal::Expired)
        } else if self.nbf.is_some_and(|nbf| nbf > now) {
            Err(Refusal::NotYet)
        } else if self.aud != AUDIENCE {
            Err(Refusal::Audience)
        } else if !known(&self.iss) {
            Err(Refusal::Issuer)
        } else {
            Ok(())
        }
    }

    /// Does it carry this scope?
    pub fn may(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|has| has == scope)
    }
}

/// Signs claims.
pub fn sign(key: &Key, claims: &Claims) -> Result<String> {
    es256::install();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(key.id().to_owned());
    jsonwebtoken::encode(&header, claims, key.encoding())
        .map_err(|error| Error::new(Code::Io, format!("cannot sign a token: {error}")))
}

/// The claims of a token whose signature is this key's. Judges nothing but that: see
/// [`Claims::judge`]. A token has to name its key, and nothing that `crit` could demand of its reader
/// is understood here (RFC 7515, 4.1.11).
pub fn verify(key: &Key, token: &str) -> Result<Claims, Refusal> {
    es256::install();
    let mut only_signature = Validation::new(Algorithm::ES256);
    only_signature.required_spec_claims.clear();
    only_signature.validate_exp = false;
    only_signature.validate_nbf = false;
    only_signature.validate_aud = false;
    jsonwebtoken::decode::<Claims>(token, key.decoding(), &only_signature)
        .ok()
        .filter(|data| data.header.kid.as_deref() == Some(key.id()))
        .filter(|data| data.header.crit.is_none())
        .map(|data| data.claims)
        .ok_or(Refusal::NotOurs)
}
