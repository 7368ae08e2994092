//! `parachute auth`: the operator's token and the key behind it. Never shows either.

use crate::{
    api::{HUB_PORT, Instance, Time},
    context::Context,
    error::{Code, Error, Exit, Result},
    home::{Home, rel},
    keys::{self, Claims, Key, Loaded, Origins, ScopeSet},
    os::files,
    output::{Output, Report, SCHEMA},
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
    issuer: String,
    subject: String,
    scope_set: String,
    scopes: Vec<String>,
    issued: Option<Time>,
    expires: Option<Time>,
    key: String,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip)]
    said: &'static str,
}

impl Report for Token {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        if !self.said.is_empty() {
            writeln!(to, "{}", self.said)?;
        }
        let until = self.expires.map(|t| t.to_string()).unwrap_or_default();
        writeln!(to, "issuer   {}", self.issuer)?;
        writeln!(to, "set      {}", self.scope_set)?;
        writeln!(to, "scopes   {}", self.scopes.join(" "))?;
        writeln!(to, "expires  {until}")?;
        writeln!(to, "key      {}", self.key)?;
        match self.problem {
            Some(problem) => writeln!(to, "not valid: {problem}"),
            None => Ok(()),
        }
    }

    fn exit(&self) -> Exit {
        match self.valid {
            true => Exit::Success,
            false => Exit::Failed,
        }
    }
}

/// Carries it out.
pub async fn run(args: &Args, cx: &Context, home: &Home, out: &Output) -> Result<Exit> {
    let known = cx.var("PARACHUTE_HUB_ORIGIN").and_then(|v| v.to_str());
    let origins = Origins::new(home.clone(), port(cx, home), known);
    let now = Timestamp::now();
    let (claims, key, said) = match &args.verb {
        Verb::Status => {
            let (claims, key) = read(home)?;
            (claims, key, "")
        }
        Verb::RotateOperator { scope_set } => {
            let (key, warning) = keys::load_or_make(home)?;
            if let Some(warning) = warning {
                out.warn(&warning);
            }
            let claims = keys::rotate(home, &key, &origins.own(), *scope_set, now)?;
            (claims, key, "the operator token is a new one")
        }
        Verb::RotateKey => {
            let set = read(home).map(|(claims, _)| claims.pa_scope_set);
            let set = set.ok().and_then(|name| ScopeSet::named(&name));
            let key = Key::make()?;
            keys::replace(home, &key)?;
            let claims = keys::rotate(home, &key, &origins.own(), set.unwrap_or_default(), now)?;
            (
                claims,
                key,
                "the key and the operator token are new ones; every earlier token has ended",
            )
        }
    };
    let problem = claims
        .judge(now.as_second(), |iss| origins.knows(iss))
        .err()
        .map(keys::Refusal::text);
    let time = |second| Timestamp::from_second(second).ok().map(Time);
    Ok(out.report(&Token {
        schema: SCHEMA,
        scopes: claims.scope.split_whitespace().map(str::to_owned).collect(),
        issued: time(claims.iat),
        expires: time(claims.exp),
        issuer: claims.iss,
        subject: claims.sub,
        scope_set: claims.pa_scope_set,
        key: key.id().to_owned(),
        valid: problem.is_none(),
        problem,
        said,
    }))
}

/// The token's claims and the key that has signed it.
fn read(home: &Home) -> Result<(Claims, Key)> {
    let key = match keys::load(home)? {
        Loaded::Good(key) | Loaded::Exposed(key) => key,
        Loaded::None | Loaded::Broken => {
            return Err(
                Error::new(Code::Unauthorized, "this box has no signing key of ours")
                    .hint("`parachute auth rotate-operator` makes one"),
            );
        }
    };
    let place = home.at(rel::TOKEN);
    let bytes = files::read_start(home, rel::TOKEN, 64 * 1024)?.ok_or_else(|| {
        Error::new(
            Code::Unauthorized,
            format!("there is no {}", place.display()),
        )
        .hint("`parachute auth rotate-operator` mints one")
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let claims = keys::verify(&key, text.trim()).map_err(|refusal| {
        Error::new(
            Code::Unauthorized,
            format!("{}: {}", place.display(), refusal.text()),
        )
        .hint("`parachute auth rotate-operator` mints one that is")
    })?;
    Ok((claims, key))
}

/// The port that the hub of this home has, or would have.
fn port(cx: &Context, home: &Home) -> u16 {
    let running = || {
        let bytes = files::read_start(home, rel::HUB_INSTANCE, 4096).ok()??;
        serde_json::from_slice::<Instance>(&bytes).ok()?.port
    };
    let asked = || cx.var("PORT")?.to_str()?.parse().ok();
    running().or_else(asked).unwrap_or(HUB_PORT)
}
