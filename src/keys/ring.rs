//! The hub's signing key: one file under the home, 0600 in 0700, made when there is none, and taken
//! anew whenever somebody has replaced it. A key that others could read is not used again.

use super::es256;
use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
    os::files,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, jwk::Jwk};
use p256::{
    ecdsa::SigningKey,
    elliptic_curve::rand_core::OsRng,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Write},
    io::Read,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Longer files are no key, in bytes.
const LIMIT: u64 = 16 * 1024;

fn file() -> PathBuf {
    PathBuf::from(rel::HUB_KEYS).join("es256.pem")
}

/// A signing key with its id. Shows nothing but the id.
pub struct Key {
    id: String,
    pem: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A new key.
    pub fn make() -> Result<Self> {
        Self::of(&SigningKey::random(&mut OsRng))
    }

    fn of(key: &SigningKey) -> Result<Self> {
        es256::install();
        let failed = |_| Error::new(Code::Io, "cannot encode a signing key");
        let der = key.to_pkcs8_der().map_err(failed)?;
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(failed)?;
        let public = key.verifying_key().to_encoded_point(false);
        let mut id = String::with_capacity(16);
        for byte in Sha256::digest(public.as_bytes()).iter().take(8) {
            let _ = write!(id, "{byte:02x}");
        }
        Ok(Self {
            id,
            pem: pem.to_string(),
            encoding: EncodingKey::from_ec_der(der.as_bytes()),
            decoding: DecodingKey::from_ec_der(public.as_bytes()),
        })
    }

    fn parse(pem: &[u8]) -> Option<Self> {
        let pem = std::str::from_utf8(pem).ok()?;
        let key = SigningKey::from_pkcs8_pem(pem).ok()?;
        Self::of(&key).ok()
    }

    /// The `kid` of its tokens: 16 hex digits of its public half's SHA-256.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Does this `kid` look like one of ours?
    pub(super) fn may_be(id: &str) -> bool {
        id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    pub(super) fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// `{"keys":[…]}` with its public half.
    pub fn public(&self) -> Value {
        es256::install();
        let jwk = Jwk::from_encoding_key(&self.encoding, Algorithm::ES256)
            .ok()
            .and_then(|mut jwk| {
                jwk.common.key_id = Some(self.id.clone());
                jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
                serde_json::to_value(jwk).ok()
            });
        json!({ "keys": jwk.into_iter().collect::<Vec<_>>() })
    }
}

/// What is at the key's place.
#[derive(Debug)]
pub enum Loaded {
    /// Nothing.
    None,
    /// A key that only its owner can read.
    Good(Key),
    /// A key that others can read.
    Exposed(Key),
    /// Something that is no key.
    Broken,
}

/// Looks at the key's place.
pub fn load(home: &Home) -> Result<Loaded> {
    let Some(opened) = files::open(home, file())? else {
        return Ok(Loaded::None);
    };
    let place = home.at(file());
    let failed = |error| Error::io("read", &place, &error);
    let mode = opened.metadata().map_err(failed)?.mode();
    let mut pem = Vec::new();
    opened.take(LIMIT).read_to_end(&mut pem).map_err(failed)?;
    Ok(match Key::parse(&pem) {
        None => Loaded::Broken,
        Some(key) if mode & 0o077 != 0 => Loaded::Exposed(key),
        Some(key) => Loaded::Good(key),
    })
}

/// Writes a key in place of the one that is there.
pub fn replace(home: &Home, key: &Key) -> Result<()> {
    files::replace(home, file(), 0o600, key.pem.as_bytes())
}

/// The key of this home, made when there is none or when the one there cannot be used (one that is no
/// key is kept aside); with what there is to say about that.
pub fn load_or_make(home: &Home) -> Result<(Key, Option<String>)> {
    let place = home.at(file());
    let said = match load(home)? {
        Loaded::Good(key) => return Ok((key, None)),
        Loaded::None => None,
        Loaded::Exposed(_) => {
            files::remove(home, file())?;
            Some(format!(
                "{} could be read by others; it is replaced, and every token of it ends",
                place.display()
            ))
        }
        Loaded::Broken => {
            let aside = file().with_extension("pem.broken");
            files::rename(home, file(), &aside)?;
            Some(format!(
                "{} holds no usable key; it is kept as {}, and a new one is made",
                place.display(),
                home.at(&aside).display()
            ))
        }
    };
    let key = Key::make()?;
    replace(home, &key)?;
    Ok((key, said))
}

/// What tells one state of the key's file from another.
type Stamp = (u64, u64, i64, i64);

/// The key in use by a running hub: replaced as soon as its file is.
#[derive(Debug)]
pub struct Keys {
    home: Home,
    current: Mutex<(Option<Stamp>, Arc<Key>)>,
}

impl Keys {
    /// Begins with a key that has just been loaded or made.
    pub fn new(home: Home, key: Key) -> Self {
        let stamp = stamp(&home);
        Self {
            home,
            current: Mutex::new((stamp, Arc::new(key))),
        }
    }

    /// The key that counts now. A file that is gone or cannot be used changes nothing.
    pub fn current(&self) -> Arc<Key> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.home);
        if now.is_some() && now != current.0 {
            current.0 = now;
            if let Ok(Loaded::Good(key) | Loaded::Exposed(key)) = load(&self.home) {
                current.1 = Arc::new(key);
            }
        }
        current.1.clone()
    }

    /// Writes the key anew when its file is gone.
    pub fn keep(&self) -> Result<()> {
        if stamp(&self.home).is_some() {
            return Ok(());
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        replace(&self.home, &current.1)?;
        current.0 = stamp(&self.home);
        Ok(())
    }
}

fn stamp(home: &Home) -> Option<Stamp> {
    let meta = std::fs::symlink_metadata(home.at(file())).ok()?;
    Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}
