use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

/// Nobody verifies its signature.
fn jwt(claims: Value) -> String {
    let header = BASE64.encode(json!({"typ": "JWT", "alg": "HS256"}).to_string());
    format!("{header}.{}.AAAA", BASE64.encode(claims.to_string()))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn judged(bytes: &[u8], mode: u32) -> TokenState {
    judge(bytes, Path::new("/h/operator.token"), mode, at(1_000))
}

#[test]
fn a_good_token_is_usable_and_says_what_it_is() {
    let text = jwt(
        json!({"iss": "http://127.0.0.1:1939", "scope": "hub:admin  vault:admin",
        "exp": 2000, "iat": 500, "sub": "operator", "pa_scope_set": "admin"}),
    );
    let TokenState::Usable {
        claims, warning, ..
    } = judged(format!(" {text}\n\n").as_bytes(), 0o100600)
    else {
        panic!("not usable");
    };
    assert_eq!(claims.issuer.as_deref(), Some("http://127.0.0.1:1939"));
    assert_eq!(claims.scopes, ["hub:admin", "vault:admin"]);
    assert_eq!(claims.expires, Some(Time(at(2000))));
    assert_eq!(claims.issued, Some(Time(at(500))));
    assert_eq!(claims.scope_set.as_deref(), Some("admin"));
    assert_eq!(warning, None);
}

#[test]
fn a_token_that_others_can_read_is_used_with_a_warning() {
    let text = jwt(json!({}));
    for mode in [0o640, 0o604, 0o666, 0o620] {
        let TokenState::Usable { warning, .. } = judged(text.as_bytes(), mode) else {
            panic!("not usable");
        };
        let warning = warning.unwrap();
        assert!(
            warning.contains("`chmod 600 /h/operator.token`"),
            "{warning}"
        );
    }
}

#[test]
fn expiry_counts_to_the_second_and_fractions_are_numbers_too() {
    for exp in [json!(1000), json!(999), json!(999.5), json!(0), json!(-1)] {
        let text = jwt(json!({ "exp": exp }));
        assert!(
            matches!(judged(text.as_bytes(), 0o600), TokenState::Expired { .. }),
            "{exp}"
        );
    }
    for exp in [json!(1001), json!(1e9), json!("soon"), json!(null)] {
        let text = jwt(json!({ "exp": exp }));
        assert!(
            matches!(judged(text.as_bytes(), 0o600), TokenState::Usable { .. }),
            "{exp}"
        );
    }
}

#[test]
fn rubbish_is_malformed_and_never_a_panic() {
    let long = "a".repeat(LIMIT as usize + 1);
    let two_lines = format!("{}\n{}", jwt(json!({})), jwt(json!({})));
    let array = jwt(json!([1]));
    for text in [
        "",
        " \n",
        "a",
        "a.b",
        "a.b.c",
        "..",
        "a.b.c.d",
        "a b.c.d",
        "\u{7f}.a.b",
        "é.é.é",
        &long,
        &two_lines,
        &array,
    ] {
        assert!(
            matches!(judged(text.as_bytes(), 0o600), TokenState::Malformed(_)),
            "{text:.40}"
        );
    }
    assert!(matches!(
        judged(b"\xff\xfe", 0o600),
        TokenState::Malformed(_)
    ));
}

#[test]
fn the_token_is_in_no_debug_and_no_message() {
    let text = jwt(json!({"exp": 2000}));
    let secret = text.rsplit('.').next().unwrap().to_owned();
    let state = judged(text.as_bytes(), 0o644);
    assert!(!format!("{state:?}").contains(&secret));
    let TokenState::Usable { token, .. } = &state else {
        panic!("not usable");
    };
    assert!(!format!("{token:?} {:?}", token.authorization()).contains(&secret));
    assert!(token.authorization().to_str().unwrap().contains(&secret));

    let expired = judged(jwt(json!({"exp": 1})).as_bytes(), 0o600);
    let home = Home::new("/h");
    let error = expired.problem(&home, None).unwrap();
    assert!(!format!("{error:?}").contains("eyJ"), "{error:?}");
}

#[test]
fn every_problem_says_what_to_do() {
    let home = Home::new("/h");
    let expired = judged(jwt(json!({"exp": 1})).as_bytes(), 0o600);
    for state in [TokenState::Missing, TokenState::Malformed("x"), expired] {
        for ours in [None, Some(true), Some(false)] {
            let error = state.problem(&home, ours).unwrap();
            assert_eq!(error.code, Code::Unauthorized);
            assert!(error.message.contains("/h/operator.token"), "{error:?}");
            let hint = error.hint.unwrap();
            assert_eq!(
                hint.contains("rotate-operator") || hint.contains("`parachute restart hub`"),
                ours != Some(false),
                "{hint}"
            );
        }
    }
    let good = judged(jwt(json!({})).as_bytes(), 0o600);
    assert!(good.problem(&home, None).is_none());
}
