//! Which tokens open the hub, and which do not.

use super::{Hub, ask};
use crate::sandbox::{Sandbox, until_true};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::DecodePrivateKey,
};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .try_into()
        .unwrap()
}

/// The parts of a token.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| BASE64.decode(part).unwrap());
    let mut json = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (json(), json())
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims.to_string())
    );
    let signature = BASE64.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[test]
fn only_a_good_token_of_this_hub_opens_it() {
    let sandbox = Sandbox::new();
    let hub = Hub::serve(&sandbox);
    let good = hub.token();
    let pem = fs::read_to_string(sandbox.at("hub/keys/es256.pem")).unwrap();
    let key = SigningKey::from_pkcs8_pem(&pem).unwrap();
    let es256 = |message: &[u8]| {
        let signature: Signature = key.sign(message);
        signature.to_vec()
    };
    let (header, claims) = parts(&good);
    assert_eq!(
        (&header["alg"], claims["iss"].as_str()),
        (
            &json!("ES256"),
            Some(&*format!("http://127.0.0.1:{}", hub.port))
        )
    );
    let refused = |authorization: &str| {
        let answer = ask(
            hub.port,
            "GET",
            "/api/modules",
            &[("Authorization", authorization)],
        );
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!answer.to_string().contains(&good[..20]));
    };
    let taken = |authorization: &str| {
        ask(
            hub.port,
            "GET",
            "/api/modules",
            &[("Authorization", authorization)],
        )
        .expect(200);
    };
    let change = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(&header, &claims, es256)
    };

    taken(&format!("Bearer {good}"));
    taken(&format!("bearer {good}"));
    taken(&format!("BEARER {}", change("jti", json!("another"))));
    taken(&format!(
        "Bearer {}",
        change("iss", json!(format!("http://localhost:{}", hub.port)))
    ));
    taken(&format!("Bearer {}", change("nbf", json!(now() - 1))));

    for odd in [
        "",
        "Bearer",
        "Bearer ",
        "Basic Zm9vOmJhcg==",
        &good,
        "Bearer a.b.c",
        "Bearer ..",
        &format!("Token {good}"),
        &format!("Bearer {good}x"),
        &format!("Bearer {good} {good}"),
    ] {
        refused(odd);
    }
    ask(hub.port, "GET", "/api/modules", &[]).refused(401, "unauthenticated");
    let twice = format!("Bearer {good}");
    ask(
        hub.port,
        "GET",
        "/api/modules",
        &[("Authorization", &twice), ("Authorization", &twice)],
    )
    .refused(401, "unauthenticated");

    for (name, value) in [
        ("exp", json!(now() - 1)),
        ("exp", json!(0)),
        ("exp", json!("soon")),
        ("exp", json!(null)),
        ("nbf", json!(now() + 600)),
        ("iss", json!("https://evil.example")),
        (
            "iss",
            json!(format!("http://127.0.0.1:{}", hub.port.wrapping_add(1))),
        ),
        ("aud", json!("vault")),
    ] {
        refused(&format!("Bearer {}", change(name, value)));
    }
    let wrong = change("scope", json!("vault:read"));
    let answer = ask(
        hub.port,
        "GET",
        "/api/modules",
        &[("Authorization", &format!("Bearer {wrong}"))],
    );
    answer.refused(403, "insufficient_scope");

    // A header that demands something of its reader, or names no key.
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("kid", json!(null)),
    ] {
        let mut header = header.clone();
        header[name] = value;
        refused(&format!("Bearer {}", signed(&header, &claims, es256)));
    }
    // Another key, with our key's id.
    let other = SigningKey::from_slice(&[7; 32]).unwrap();
    let foreign = signed(&header, &claims, |message| {
        let signature: Signature = other.sign(message);
        signature.to_vec()
    });
    refused(&format!("Bearer {foreign}"));
    // No signature at all, and our public key taken for a secret.
    let with = |alg: &str| json!({"typ": "JWT", "alg": alg, "kid": header["kid"]});
    refused(&format!(
        "Bearer {}",
        signed(&with("none"), &claims, |_| Vec::new())
    ));
    refused(&format!("Bearer {}", signed(&with("None"), &claims, es256)));
    let public = key.verifying_key().to_encoded_point(false);
    for secret in [public.as_bytes(), pem.as_bytes()] {
        let mac = |message: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        };
        for alg in ["HS256", "RS256", "ES256"] {
            refused(&format!("Bearer {}", signed(&with(alg), &claims, mac)));
        }
    }
    refused(&format!(
        "Bearer {}",
        signed(&with("RS256"), &claims, es256)
    ));
    refused(&format!(
        "Bearer {}",
        signed(&with("ES384"), &claims, es256)
    ));
    // Its payload changed under its signature.
    let mut pieces: Vec<&str> = good.split('.').collect();
    let changed = BASE64.encode(
        json!({"iss": claims["iss"], "aud": "operator", "exp": now() + 99,
        "scope": "hub:admin parachute:host:admin"})
        .to_string(),
    );
    pieces[1] = &changed;
    refused(&format!("Bearer {}", pieces.join(".")));
}

#[test]
fn rotating_the_key_ends_every_token_at_once() {
    let sandbox = Sandbox::new();
    let hub = Hub::serve(&sandbox);
    let before = format!("Bearer {}", hub.token());
    let get = |token: &str| ask(hub.port, "GET", "/api/modules", &[("Authorization", token)]);
    get(&before).expect(200);
    let said = sandbox.say("auth rotate-key").expect(0);
    get(&before).refused(401, "unauthenticated");
    let after = hub.token();
    get(&format!("Bearer {after}")).expect(200);
    let jwks = ask(hub.port, "GET", "/.well-known/jwks.json", &[]).expect(200);
    assert_eq!(jwks["keys"][0]["kid"], parts(&after).0["kid"]);
    // Neither is shown to anybody.
    let secret = after.rsplit('.').next().unwrap();
    let status = sandbox.say("auth status").expect(0);
    let shown = [
        said.out,
        said.err,
        status.out.clone(),
        status.err,
        hub.out(),
        hub.err(),
    ]
    .concat();
    assert!(
        !shown.contains(secret) && !shown.contains("PRIVATE"),
        "{shown}"
    );
    assert!(
        status.out.contains("parachute:host:admin"),
        "{}",
        status.out
    );
}

#[test]
fn a_rotated_token_keeps_within_its_scope_set() {
    let sandbox = Sandbox::new();
    let hub = Hub::serve(&sandbox);
    let first = hub.token();
    let done = sandbox
        .run(["--json", "auth", "rotate-operator", "--scope-set", "start"])
        .expect(0)
        .json();
    assert_eq!(done["scopes"], json!(["parachute:host:start"]));
    let (_, claims) = parts(&hub.token());
    assert_eq!(
        (&claims["pa_scope_set"], &claims["vault_scope"]),
        (&json!("start"), &json!([]))
    );
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        90 * 24 * 3600
    );
    assert_ne!(first, hub.token());
    // The one before it is good until it expires.
    ask(
        hub.port,
        "GET",
        "/api/modules",
        &[("Authorization", &format!("Bearer {first}"))],
    )
    .expect(200);
    sandbox
        .say("auth rotate-operator --scope-set everything")
        .expect(2);
}

#[test]
fn a_token_of_another_hub_is_kept_aside() {
    let sandbox = Sandbox::new();
    let theirs = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4IiwiZXhwIjo5OTk5OTk5OTk5fQ.c2ln";
    sandbox.file("operator.token", theirs);
    let hub = Hub::serve(&sandbox);
    hub.ask("GET", "/api/modules").expect(200);
    assert_eq!(sandbox.text("operator.token.old"), theirs);
    use std::os::unix::fs::PermissionsExt;
    for file in ["operator.token", "operator.token.old", "hub/keys/es256.pem"] {
        let mode = fs::metadata(sandbox.at(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(hub.err().contains("operator.token.old"), "{}", hub.err());
}

#[test]
fn a_key_that_is_truncated_or_open_to_others_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    drop(Hub::serve(&sandbox));
    let key = sandbox.at("hub/keys/es256.pem");
    let before = fs::read(&key).unwrap();
    fs::write(&key, &before[..100]).unwrap();
    let hub = Hub::serve(&sandbox);
    hub.ask("GET", "/api/modules").expect(200);
    assert!(hub.err().contains("holds no usable key"), "{}", hub.err());
    drop(hub);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let open = fs::read(&key).unwrap();
    let hub = Hub::serve(&sandbox);
    hub.ask("GET", "/api/modules").expect(200);
    assert!(
        hub.err().contains("could be read by others"),
        "{}",
        hub.err()
    );
    assert_ne!(fs::read(&key).unwrap(), open);
}

/// Note 28.
#[test]
fn an_origin_that_changes_shuts_nobody_out() {
    let sandbox = Sandbox::new();
    let exposed = r#"{"version":1,"layer":"tailnet","canonicalFqdn":"box.tail.net","port":443}"#;
    sandbox.file("expose-state.json", exposed);
    let hub = Hub::serve(&sandbox);
    let issuer = |token: &str| parts(token).1["iss"].as_str().unwrap().to_owned();
    assert_eq!(issuer(&hub.token()), "https://box.tail.net");
    let mut seen = vec![hub.token()];
    let mut until_of = |origin: &str| {
        until_true("a token of the new origin", || {
            hub.ask("GET", "/api/modules").expect(200);
            issuer(&hub.token()) == origin
        });
        seen.push(hub.token());
        for token in &seen {
            let authorization = format!("Bearer {token}");
            let headers = [("Authorization", &*authorization)];
            ask(hub.port, "GET", "/api/modules", &headers).expect(200);
        }
    };
    fs::remove_file(sandbox.at("expose-state.json")).unwrap();
    until_of(&format!("http://127.0.0.1:{}", hub.port));
    for origin in ["https://x.example", "https://y.example"] {
        sandbox.file("hub/origin", format!("{origin}\n"));
        // A token of loopback is still good, and left alone.
        if origin == "https://x.example" {
            sandbox.say("auth rotate-operator").expect(0);
        }
        until_of(origin);
    }
    fs::remove_file(sandbox.at("hub/origin")).unwrap();
    until_of(&format!("http://127.0.0.1:{}", hub.port));
    assert!(!sandbox.at("operator.token.old").exists());
}
