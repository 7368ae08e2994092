//! `parachute auth`: the operator's token and the key behind it. Never shows either.

use crate::{
    api::Time,
    client::{self, TokenState},
    context::Context,
    error::{Code, Error, Exit, Result},
    home::{Home, rel},
    keys::{self, Claims, Key, Loaded, Origins, Refusal, Rotated, ScopeSet},
    lifecycle::{HubFacts, Site},
    os::files,
    output::{Output, Report, SCHEMA, text},
};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    io::{self, Write},
    str::FromStr,
};

/// The operator's token and the key behind it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Issuer, scopes and expiry of the token; never the token
    Status,
    /// Replace the token by a new one
    RotateOperator {
        /// What the new token may do: admin, install, start, expose, auth or vault
        #[arg(long, value_name = "SET", default_value = "admin")]
        scope_set: ScopeSet,
    },
    /// Replace the signing key: every token of the old one ends at once
    RotateKey,
}

impl FromStr for ScopeSet {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        ScopeSet::named(name).ok_or_else(|| {
            let names: Vec<&str> = ScopeSet::ALL.iter().map(|set| set.name()).collect();
            format!("there is no such scope set; they are {}", names.join(", "))
        })
    }
}

#[derive(Serialize)]
struct Token {
    schema: u32,
    issuer: Option<String>,
    subject: Option<String>,
    scope_set: Option<String>,
    scopes: Vec<String>,
    issued: Option<Time>,
    expires: Option<Time>,
    key: Option<String>,
    /// Signed with the key of this home.
    own: bool,
    /// Unknown where only the hub that has signed it could tell.
    valid: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip)]
    said: Vec<String>,
}

impl Report for Token {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        for line in &self.said {
            writeln!(to, "{line}")?;
        }
        let until = self.expires.map(|t| t.to_string());
        let scopes = Some(self.scopes.join(" "));
        for (name, value) in [
            ("issuer", &self.issuer),
            ("set", &self.scope_set),
            ("scopes", &scopes),
            ("expires", &until),
            ("key", &self.key),
        ] {
            let value = value.as_deref().filter(|value| !value.is_empty());
            writeln!(to, "{name:<8} {}", text::visible(value.unwrap_or("-")))?;
        }
        match &self.problem {
            Some(problem) => writeln!(to, "not valid: {problem}"),
            None => Ok(()),
        }
    }

    fn exit(&self) -> Exit {
        match self.valid {
            Some(false) => Exit::Failed,
            Some(true) | None => Exit::Success,
        }
    }
}

/// Carries it out.
pub async fn run(args: &Args, cx: &Context, site: &Site, out: &Output) -> Result<Exit> {
    let home = &site.home;
    let hub = site.hub_facts().await;
    let known = cx.var("PARACHUTE_HUB_ORIGIN").and_then(|v| v.to_str());
    let origins = Origins::new(home.clone(), hub.port, known);
    let now = Timestamp::now();
    let token = match &args.verb {
        Verb::Status => status(home, &hub, &origins, now)?,
        Verb::RotateOperator { scope_set } => {
            ours("rotate-operator", &hub)?;
            let (key, warning) = keys::load_or_make(home)?;
            if let Some(warning) = warning {
                out.warn(&warning);
            }
            let new = keys::rotate(home, &key, &issuer(home, &hub, &origins)?, *scope_set, now)?;
            rotated(new, &key, "the operator token is a new one")
        }
        Verb::RotateKey => {
            ours("rotate-key", &hub)?;
            let (key, new) = keys::rotate_key(home, &issuer(home, &hub, &origins)?, now)?;
            let said = "the key and the operator token are new ones; every earlier token has ended";
            rotated(new, &key, said)
        }
    };
    Ok(out.report(&token))
}

/// A hub of other make takes no token of ours, and nobody here can make its own again.
fn ours(verb: &str, hub: &HubFacts) -> Result<()> {
    let Some(other) = &hub.other else {
        return Ok(());
    };
    Err(Error::new(
        Code::Refused,
        format!(
            "the hub of this box is of other make ({other}): it takes no token and no key of ours"
        ),
    )
    .hint(format!(
        "nothing was changed; that hub's own program has an `auth {verb}` for its own"
    )))
}

fn rotated(new: Rotated, key: &Key, said: &str) -> Token {
    let mut token = of_ours(new.claims, key, None);
    token.said.push(said.to_owned());
    if new.kept {
        let kept =
            "the one before it was not of this home's keys, and is kept as operator.token.old";
        token.said.push(kept.to_owned());
    }
    token
}

fn of_ours(claims: Claims, key: &Key, refusal: Option<Refusal>) -> Token {
    Token {
        schema: SCHEMA,
        scopes: claims.scope.split_whitespace().map(str::to_owned).collect(),
        issued: time(claims.iat),
        expires: time(claims.exp),
        issuer: Some(claims.iss),
        subject: Some(claims.sub),
        scope_set: Some(claims.pa_scope_set),
        key: Some(key.id().to_owned()),
        own: true,
        valid: Some(refusal.is_none()),
        problem: refusal.map(|refusal| refusal.text().to_owned()),
        said: Vec::new(),
    }
}

fn time(second: i64) -> Option<Time> {
    Timestamp::from_second(second).ok().map(Time)
}

/// How it stands with the token that is there, whoever has signed it.
fn status(home: &Home, hub: &HubFacts, origins: &Origins, now: Timestamp) -> Result<Token> {
    let claims = match client::read_token(home, now) {
        TokenState::Usable { claims, .. } | TokenState::Expired { claims, .. } => claims,
        state => return Err(missing(&state, home, hub)),
    };
    let key = key(home)?;
    if let Some(key) = &key
        && let Some(claims) = signed(home, key)?
    {
        // The port of a hub that does not run is a guess.
        let known = |iss: &str| origins.knows(iss) || (!hub.runs && Origins::loopback(iss));
        let refusal = claims.judge(now.as_second(), known).err();
        let mut token = of_ours(claims, key, refusal);
        if let Some(other) = &hub.other {
            token.valid = Some(false);
            token.problem = Some(format!(
                "it is of this program's key, and the hub of this box is of other make ({other})"
            ));
        }
        return Ok(token);
    }
    Ok(of_another(claims, hub, key.is_some(), now))
}

/// What a new token says it is from. Where only the token before it says which port the hub had,
/// that is kept.
fn issuer(home: &Home, hub: &HubFacts, origins: &Origins) -> Result<String> {
    let own = origins.own();
    if !hub.guessed || !Origins::loopback(&own) {
        return Ok(own);
    }
    let before = match key(home)? {
        Some(key) => signed(home, &key)?,
        None => None,
    };
    let iss = before.map(|claims| claims.iss);
    Ok(iss.filter(|iss| Origins::loopback(iss)).unwrap_or(own))
}

fn key(home: &Home) -> Result<Option<Key>> {
    Ok(match keys::load(home)? {
        Loaded::Good(key) | Loaded::Exposed(key) => Some(key),
        Loaded::None | Loaded::Broken => None,
    })
}

/// The claims of the token, where this key has signed it.
fn signed(home: &Home, key: &Key) -> Result<Option<Claims>> {
    let bytes = files::read_start(home, rel::TOKEN, 64 * 1024)?.unwrap_or_default();
    Ok(keys::verify(key, String::from_utf8_lossy(&bytes).trim()).ok())
}

/// What a token that is not of this home's key says. A hub of ours takes none of those.
fn of_another(claims: client::Claims, hub: &HubFacts, key: bool, now: Timestamp) -> Token {
    let ours = hub.other.is_none() && (hub.runs || key);
    let expired = claims.expires.is_some_and(|until| until.0 <= now);
    let problem = if expired {
        Some(Refusal::Expired.text().to_owned())
    } else {
        ours.then(|| {
            format!(
                "{}; `parachute auth rotate-operator` makes one",
                Refusal::NotOurs.text()
            )
        })
    };
    let whose = match &hub.other {
        Some(other) => format!("the hub of this box ({other})"),
        None => "another hub".to_owned(),
    };
    Token {
        schema: SCHEMA,
        issuer: claims.issuer,
        subject: claims.subject,
        scope_set: claims.scope_set,
        scopes: claims.scopes,
        issued: claims.issued,
        expires: claims.expires,
        key: claims.key,
        own: false,
        valid: problem.is_some().then_some(false),
        problem,
        said: vec![format!(
            "this is a token of {whose}, which alone can tell whether it is good"
        )],
    }
}

/// There is no token to say anything of.
fn missing(state: &TokenState, home: &Home, hub: &HubFacts) -> Error {
    let other = hub.other.is_some();
    let odd = || Error::new(Code::Unauthorized, "the operator token cannot be read");
    let error = state.problem(home, Some(!other)).unwrap_or_else(odd);
    match state {
        TokenState::Missing | TokenState::Malformed(_) if !other => {
            error.hint("`parachute auth rotate-operator` mints one")
        }
        TokenState::Malformed(_) => {
            error.hint("make a new one with the hub of this box, which is of other make")
        }
        _ => error,
    }
}
