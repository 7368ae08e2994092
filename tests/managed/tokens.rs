//! The operator's token on boxes whose hub is of other make, of another port, or whose token's file
//! is open to others.

use super::{detached, other_make};
use crate::{
    fakes::hub::{Make, jwt, put_token},
    sandbox::{Sandbox, until_true},
};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn the_token_and_the_keys_of_another_hub_are_left_alone() {
    for make in Make::ALL {
        let sandbox = Sandbox::new();
        let (_hub, _kept, _) = other_make(&sandbox, make);
        let theirs = sandbox.text("operator.token");
        for verb in [
            "rotate-operator",
            "rotate-operator --scope-set start",
            "rotate-key",
        ] {
            let ran = sandbox.say(&format!("auth {verb} --json")).expect(1);
            let error = &ran.json()["error"];
            assert_eq!(error["code"], "refused", "{error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("of other make (version 0."), "{error}");
            let hint = error["hint"].as_str().unwrap();
            assert!(hint.contains("that hub's own program"), "{error}");
            assert_eq!(sandbox.text("operator.token"), theirs);
            assert!(!sandbox.at("hub/keys").exists());
        }
        // It still opens that hub.
        sandbox.say("start vault").expect(0);
    }
}

#[test]
fn the_token_of_another_hub_is_shown_and_called_that() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    let ran = sandbox.say("auth status").expect(0);
    for word in [
        "this is a token of the hub of this box (version 0.7.15)",
        "parachute:host:admin",
        "stand-in",
    ] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    let token = sandbox.text("operator.token");
    let status = sandbox.say("auth status --json").expect(0);
    for part in token.trim().split('.') {
        assert!(!ran.out.contains(part) && !status.out.contains(part));
    }
    let status = status.json();
    assert_eq!(status["issuer"], format!("http://127.0.0.1:{}", hub.port()));
    assert_eq!(
        (&status["own"], &status["valid"], &status["key"]),
        (&json!(false), &json!(null), &json!("stand-in"))
    );
    put_token(
        &sandbox.home(),
        &jwt(&json!({"iss": "https://a.example", "exp": 1})),
    );
    let ran = sandbox.say("auth status").expect(1);
    assert!(
        ran.out.contains("not valid: the token has expired"),
        "{ran:?}"
    );
    // Nothing to show: the way out is not ours either.
    for broken in ["", "rubbish"] {
        put_token(&sandbox.home(), broken);
        let ran = sandbox.say("auth status").expect(4);
        assert!(ran.err.contains("of other make"), "{ran:?}");
        assert!(!ran.err.contains("rotate-operator"), "{ran:?}");
    }
}

#[test]
fn advice_on_a_token_that_is_refused_or_too_narrow_is_by_the_hubs_make() {
    let sandbox = Sandbox::new();
    let (hub, _kept, _) = other_make(&sandbox, Make::V0_7_15);
    hub.with(|play| play.narrow = true);
    let ran = sandbox.say("start vault").expect(4);
    assert!(ran.err.contains("of other make"), "{ran:?}");
    assert!(!ran.err.contains("rotate-operator"), "{ran:?}");
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    sandbox
        .say("auth rotate-operator --scope-set vault")
        .expect(0);
    let ran = sandbox.say("stop web").expect(4);
    assert!(
        ran.err
            .contains("`parachute auth rotate-operator --scope-set admin`"),
        "{ran:?}"
    );
    sandbox.say("stop").expect(0);
}

#[test]
fn a_token_that_is_not_of_this_homes_keys_is_kept_when_a_new_one_is_made() {
    let theirs = jwt(&json!({"iss": "https://a.example", "exp": 4_000_000_000_u64}));
    for verb in ["rotate-operator", "rotate-key"] {
        let sandbox = Sandbox::new();
        sandbox.module("web", &[]);
        put_token(&sandbox.home(), &theirs);
        let ran = sandbox.say("auth status").expect(0);
        assert!(ran.out.contains("a token of another hub"), "{ran:?}");
        let ran = sandbox.say(&format!("auth {verb}")).expect(0);
        assert!(ran.out.contains("is kept as operator.token.old"), "{ran:?}");
        let kept = || sandbox.text("operator.token.old").trim().to_owned();
        assert_eq!(kept(), theirs);
        let mode = fs::metadata(sandbox.at("operator.token.old"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        // What comes after it is worth less.
        let ran = sandbox.say("auth rotate-key").expect(0);
        assert!(!ran.out.contains("operator.token.old"), "{ran:?}");
        fs::remove_dir_all(sandbox.at("hub/keys")).unwrap();
        sandbox.say("auth rotate-operator").expect(0);
        sandbox.file("operator.token", "");
        sandbox.say("auth rotate-operator").expect(0);
        assert_eq!(kept(), theirs);
        assert_eq!(
            sandbox.say("auth status --json").expect(0).json()["valid"],
            true
        );
        // With a key of ours here, the next hub of this home takes no other's.
        put_token(&sandbox.home(), &theirs);
        let ran = sandbox.say("auth status").expect(1);
        assert!(ran.out.contains("rotate-operator"), "{ran:?}");
    }
}

#[test]
fn a_hub_that_does_not_run_keeps_its_port() {
    let sandbox = Sandbox::new();
    sandbox.module("web", &[]);
    detached(&sandbox);
    let issuer = || sandbox.say("auth status --json").expect(0).json()["issuer"].clone();
    let running = issuer();
    assert_ne!(running, "http://127.0.0.1:1939");
    sandbox.say("stop").expect(0);
    assert_eq!(issuer(), running);
    // Nothing else says which port it had.
    for verb in ["rotate-operator", "rotate-key"] {
        sandbox.say(&format!("auth {verb}")).expect(0);
        assert_eq!(issuer(), running);
    }
    sandbox.file("hub/origin", "https://box.example\n");
    sandbox.say("auth rotate-operator").expect(0);
    assert_eq!(issuer(), "https://box.example");
}

#[test]
fn a_token_that_others_may_read_is_used_with_one_warning() {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        sandbox.module(name, &[]);
    }
    detached(&sandbox);
    until_true("both to be up", || sandbox.row("two")["state"] == "active");
    let token = sandbox.at("operator.token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    for line in [
        "start one two",
        "restart one two",
        "stop one two",
        "start one --json",
    ] {
        let ran = sandbox.say(line).expect(0);
        assert_eq!(ran.err.matches("chmod 600").count(), 1, "{line}: {ran:?}");
        assert!(ran.err.contains("warning: "), "{line}: {ran:?}");
        assert!(!ran.out.contains("chmod"), "{line}: {ran:?}");
    }
    // There it is a note, and what is quiet stays so.
    let status = sandbox.say("status").expect(0);
    assert!(status.out.contains("chmod 600"), "{status:?}");
    assert_eq!(status.err, "");
    let quiet = sandbox.say("is-active one").expect(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        sandbox
            .say("stop one")
            .expect(0)
            .err
            .matches("chmod")
            .count(),
        0
    );
    sandbox.say("stop").expect(0);
}
