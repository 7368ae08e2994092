use super::*;
use crate::home::{Home, rel};
use jiff::Timestamp;
use std::{fs, os::unix::fs::PermissionsExt};

const ORIGIN: &str = "http://127.0.0.1:1939";

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().canonicalize().unwrap());
    (dir, home)
}

fn claims(now: i64) -> Claims {
    Claims {
        iss: ORIGIN.into(),
        sub: "operator".into(),
        aud: AUDIENCE.into(),
        scope: ScopeSet::Admin.scopes().into(),
        client_id: "parachute-hub".into(),
        vault_scope: vec![],
        pa_scope_set: "admin".into(),
        jti: "1".into(),
        iat: now,
        nbf: None,
        exp: now + 60,
    }
}

#[test]
fn a_key_is_made_once_and_kept_for_its_owner_alone() {
    let (_dir, home) = home();
    let (first, said) = load_or_make(&home).unwrap();
    assert_eq!(said, None);
    let (second, _) = load_or_make(&home).unwrap();
    assert_eq!(first.id(), second.id());
    let mode = |path: &str| fs::metadata(home.at(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("hub/keys"), 0o700);
    assert_eq!(mode("hub/keys/es256.pem"), 0o600);
}

#[test]
fn a_truncated_key_is_kept_aside_and_replaced() {
    let (_dir, home) = home();
    let (first, _) = load_or_make(&home).unwrap();
    let file = home.at("hub/keys/es256.pem");
    let pem = fs::read(&file).unwrap();
    fs::write(&file, &pem[..pem.len() / 2]).unwrap();
    let (second, said) = load_or_make(&home).unwrap();
    assert_ne!(first.id(), second.id());
    assert!(said.unwrap().contains("holds no usable key"));
    assert_eq!(
        fs::read(home.at("hub/keys/es256.pem.broken")).unwrap(),
        pem[..pem.len() / 2]
    );
}

#[test]
fn a_key_that_others_could_read_is_replaced() {
    let (_dir, home) = home();
    let (first, _) = load_or_make(&home).unwrap();
    let file = home.at("hub/keys/es256.pem");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (second, said) = load_or_make(&home).unwrap();
    assert_ne!(first.id(), second.id());
    assert!(said.unwrap().contains("could be read by others"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_replaced_key_counts_at_once() {
    let (_dir, home) = home();
    let (first, _) = load_or_make(&home).unwrap();
    let token = sign(&first, &claims(0)).unwrap();
    let keys = Keys::new(home.clone(), first);
    assert!(verify(&keys.current(), &token).is_ok());
    replace(&home, &Key::make().unwrap()).unwrap();
    assert_eq!(verify(&keys.current(), &token), Err(Refusal::NotOurs));
}

#[test]
fn a_key_whose_file_is_gone_is_used_and_written_anew() {
    let (_dir, home) = home();
    let (key, _) = load_or_make(&home).unwrap();
    let id = key.id().to_owned();
    let keys = Keys::new(home.clone(), key);
    fs::remove_dir_all(home.at("hub")).unwrap();
    assert_eq!(keys.current().id(), id);
    keys.keep().unwrap();
    assert_eq!(load_or_make(&home).unwrap().0.id(), id);
}

#[test]
fn claims_are_judged_by_the_second() {
    let known = |iss: &str| iss == ORIGIN;
    let good = claims(1000);
    assert_eq!(good.judge(1059, known), Ok(()));
    assert_eq!(good.judge(1060, known), Err(Refusal::Expired));
    let later = Claims {
        nbf: Some(1030),
        ..good.clone()
    };
    assert_eq!(later.judge(1029, known), Err(Refusal::NotYet));
    assert_eq!(later.judge(1030, known), Ok(()));
    let other = Claims {
        aud: "vault".into(),
        ..good.clone()
    };
    assert_eq!(other.judge(1000, known), Err(Refusal::Audience));
    let foreign = Claims {
        iss: "https://evil.example".into(),
        ..good
    };
    assert_eq!(foreign.judge(1000, known), Err(Refusal::Issuer));
}

#[test]
fn scopes_are_whole_words() {
    let some = Claims {
        scope: "parachute:host:authority vault:read".into(),
        ..claims(0)
    };
    assert!(some.may("vault:read"));
    assert!(!some.may("parachute:host:auth"));
    assert!(!some.may("vault"));
}

#[test]
fn rubbish_is_no_token() {
    let key = Key::make().unwrap();
    let good = sign(&key, &claims(0)).unwrap();
    assert!(verify(&key, &good).is_ok());
    let mut cut = good.clone();
    cut.truncate(good.len() - 1);
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        &cut,
        &format!("{good}x"),
        &good[1..],
        "\0",
        "é.é.é",
    ] {
        assert_eq!(verify(&key, bad), Err(Refusal::NotOurs), "{bad:?}");
    }
    let other = Key::make().unwrap();
    assert_eq!(verify(&other, &good), Err(Refusal::NotOurs));
}

#[test]
fn the_operators_token_is_minted_renewed_and_replaced() {
    let (_dir, home) = home();
    let (key, _) = load_or_make(&home).unwrap();
    let known = |iss: &str| iss == ORIGIN;
    let at = |second| Timestamp::from_second(second).unwrap();
    let read = || fs::read_to_string(home.at(rel::TOKEN)).unwrap();

    assert_eq!(
        ensure(&home, &key, ORIGIN, known, at(0)).unwrap(),
        Kept::Minted
    );
    let first = read();
    assert!(first.ends_with('\n') && first.lines().count() == 1);
    let mode = fs::metadata(home.at(rel::TOKEN))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        ensure(&home, &key, ORIGIN, known, at(1)).unwrap(),
        Kept::AsItWas
    );
    assert_eq!(read(), first);

    rotate(&home, &key, ORIGIN, ScopeSet::Start, at(0)).unwrap();
    let almost = operator::LIFE - operator::RENEW;
    assert_eq!(
        ensure(&home, &key, ORIGIN, known, at(almost - 1)).unwrap(),
        Kept::AsItWas
    );
    assert_eq!(
        ensure(&home, &key, ORIGIN, known, at(almost)).unwrap(),
        Kept::Renewed
    );
    let renewed = verify(&key, read().trim()).unwrap();
    assert_eq!(renewed.pa_scope_set, "start");
    assert_eq!(renewed.scope, "parachute:host:start");
    assert_eq!(renewed.exp, almost + operator::LIFE);

    let moved = |iss: &str| iss == "https://box.example";
    assert_eq!(
        ensure(&home, &key, "https://box.example", moved, at(almost)).unwrap(),
        Kept::Renewed
    );

    let theirs = read();
    let other = Key::make().unwrap();
    assert_eq!(
        ensure(&home, &other, ORIGIN, known, at(almost)).unwrap(),
        Kept::Replaced
    );
    assert_eq!(fs::read_to_string(home.at(rel::TOKEN_OLD)).unwrap(), theirs);
    let mode = fs::metadata(home.at(rel::TOKEN_OLD))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(verify(&other, read().trim()).unwrap().pa_scope_set, "admin");
}

#[test]
fn the_public_half_is_all_that_is_published() {
    let key = Key::make().unwrap();
    let jwks = key.public();
    let jwk = jwks["keys"][0].as_object().unwrap();
    assert_eq!(jwk["kid"], key.id());
    assert_eq!(
        (&jwk["kty"], &jwk["crv"], &jwk["alg"]),
        (&"EC".into(), &"P-256".into(), &"ES256".into())
    );
    assert!(!jwk.contains_key("d"));
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

#[test]
fn what_is_kept_aside_never_gives_way_to_what_is_worth_less() {
    let (_dir, home) = home();
    let (key, _) = load_or_make(&home).unwrap();
    let known = |iss: &str| iss == ORIGIN;
    let at = Timestamp::UNIX_EPOCH;
    // RS256, and a signature that nobody checks.
    let foreign = |name: &str| {
        let mut theirs = claims(0);
        theirs.iss = name.into();
        let signed = sign(&key, &theirs).unwrap();
        let claims = signed.split('.').nth(1).unwrap();
        format!("eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.{claims}.c2ln")
    };
    let put = |text: &str| fs::write(home.at(rel::TOKEN), text).unwrap();
    let old = || fs::read_to_string(home.at(rel::TOKEN_OLD)).ok();
    let renew = || ensure(&home, &key, ORIGIN, known, at).unwrap();
    let ours = sign(&Key::make().unwrap(), &claims(0)).unwrap();
    for (there, became, kept) in [
        ("", Kept::Minted, None),
        (" \n", Kept::Minted, None),
        (&*ours, Kept::Replaced, Some(&*ours)),
        ("rubbish", Kept::Replaced, Some("rubbish")),
        (&foreign("a"), Kept::Replaced, Some(&*foreign("a"))),
        ("rubbish", Kept::Ended, Some(&foreign("a"))),
        (&ours, Kept::Ended, Some(&foreign("a"))),
        ("", Kept::Minted, Some(&foreign("a"))),
        (&foreign("b"), Kept::Replaced, Some(&foreign("b"))),
    ] {
        put(there);
        assert_eq!(renew(), became, "{there}");
        assert_eq!(old().as_deref(), kept, "{there}");
        assert_eq!(renew(), Kept::AsItWas);
    }
}

#[test]
fn a_renewed_token_may_do_what_it_could_and_no_more() {
    let (_dir, home) = home();
    let (key, _) = load_or_make(&home).unwrap();
    let narrow = Claims {
        scope: "parachute:host:start".into(),
        pa_scope_set: "bogus".into(),
        vault_scope: vec!["work".into()],
        ..claims(0)
    };
    let put = || fs::write(home.at(rel::TOKEN), sign(&key, &narrow).unwrap()).unwrap();
    let same = |renewed: &Claims| {
        assert_eq!(
            (&renewed.scope, &renewed.pa_scope_set, &renewed.vault_scope),
            (&narrow.scope, &narrow.pa_scope_set, &narrow.vault_scope)
        );
    };
    put();
    let done = ensure(&home, &key, ORIGIN, |_| true, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(done, Kept::Renewed);
    let text = fs::read_to_string(home.at(rel::TOKEN)).unwrap();
    same(&verify(&key, text.trim()).unwrap());
    put();
    let (_, rotated) = rotate_key(&home, ORIGIN, Timestamp::UNIX_EPOCH).unwrap();
    same(&rotated.claims);
    assert!(!rotated.kept && !home.at(rel::TOKEN_OLD).exists());
}

#[test]
fn a_header_that_demands_something_or_names_no_key_is_refused() {
    let key = Key::make().unwrap();
    let signed = |change: fn(&mut Header)| {
        es256::install();
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key.id().to_owned());
        change(&mut header);
        jsonwebtoken::encode(&header, &claims(0), key.encoding()).unwrap()
    };
    assert!(verify(&key, &signed(|_| ())).is_ok());
    assert!(verify(&key, &signed(|h| h.cty = Some("x".into()))).is_ok());
    let refused: [fn(&mut Header); 5] = [
        |h| h.crit = Some(vec!["exp".into()]),
        |h| h.crit = Some(vec![]),
        |h| h.kid = None,
        |h| h.kid = Some(String::new()),
        |h| h.kid = Some("another".into()),
    ];
    for change in refused {
        assert_eq!(verify(&key, &signed(change)), Err(Refusal::NotOurs));
    }
}
