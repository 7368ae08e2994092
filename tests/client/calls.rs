//! Hubs 0.6.3, 0.7.5 and 0.7.15: every call, every refusal, and verbs judged by the state reached.

use super::{client, home, until};
use crate::fakes::hub::{Hub, Make, Throw, crashed, jwt, put_token, running};
use parachute::{
    api::ModuleStatus,
    client::{Heard, Identity, Verb, bare, state_of},
    error::Code,
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

#[tokio::test]
async fn every_make_is_driven_as_far_as_it_goes() {
    for make in Make::ALL {
        let home = home();
        let hub = Hub::start(make, home.path());
        let client = client(&home, hub.port());

        let look = client.look().await.unwrap();
        assert!(!look.ours(), "{make:?}");
        assert_eq!(look.health.instance.is_some(), make >= Make::V0_7_15);
        let identity = match make {
            Make::V0_7_15 => Identity::Match,
            _ => Identity::Unknown,
        };
        assert_eq!(look.identity, identity);
        assert!(client.ready().await.unwrap().ready);

        let reached = client.bring_up(Verb::Start, "vault").await.unwrap();
        assert_eq!(reached.pid, Some(4711));
        client.bring_up(Verb::Restart, "vault").await.unwrap();
        hub.module("vault", |vault| vault.lines = vec!["hello".into()]);
        let lines = client.logs("vault").await.unwrap();
        assert_eq!(lines, ["[vault] hello"]);
        assert_eq!(bare("vault", &lines[0]), "hello");
        assert!(client.bring_down("vault").await.unwrap());
        // Stopping leaves it supervised.
        assert!(client.bring_down("vault").await.unwrap());
        assert!(!client.bring_down("scribe").await.unwrap());

        let notes = client.bring_up(Verb::Start, "notes").await;
        match make {
            Make::V0_6_3 => assert_eq!(notes.unwrap_err().code, Code::NotDrivable),
            _ => assert_eq!(notes.unwrap().pid, Some(4711)),
        }
    }
}

#[tokio::test]
async fn note_23_a_module_that_the_api_does_not_list_is_unknown_not_inactive() {
    for make in Make::ALL {
        let home = home();
        let hub = Hub::start(make, home.path());
        hub.module("vault", |vault| vault.state = Some(running(7)));
        hub.module("notes", |notes| notes.state = Some(running(8)));
        let list = client(&home, hub.port()).modules().await.unwrap();
        let vault = state_of(&list, "vault").unwrap();
        assert_eq!((vault.status, vault.pid), (ModuleStatus::Running, Some(7)));
        assert!(state_of(&list, "stranger").is_none());
        assert!(state_of(&list, "scribe").is_none());
        let notes = state_of(&list, "notes").map(|state| state.pid);
        assert_eq!(notes, (make != Make::V0_6_3).then_some(Some(8)), "{make:?}");
    }
}

#[tokio::test]
async fn restart_of_a_module_that_is_not_supervised_starts_it() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    let reached = client.bring_up(Verb::Restart, "notes").await.unwrap();
    assert_eq!(reached.pid, Some(4711));
    assert_eq!(
        hub.seen(),
        [
            "POST /api/modules/notes/restart",
            "POST /api/modules/notes/start"
        ]
    );
}

#[tokio::test]
async fn note_37_a_200_with_a_failed_state_is_a_failure_with_cause_and_lines() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    let error = |kind: &str, text: &str| json!({"error_type": kind, "error_description": text});
    let mut unbound = running(9);
    unbound["startError"] = error("started_but_unbound", "port 1940 is silent");
    for (state, code, exit) in [
        (
            crashed(127, error("missing_dependency", "no parachute-vault")),
            Code::MissingDependency,
            1,
        ),
        (
            crashed(3, error("exited_early", "it ended")),
            Code::ExitedEarly,
            1,
        ),
        (
            crashed(1, error("port_squatter", "pid 9 (python3)")),
            Code::PortSquatter,
            1,
        ),
        (crashed(1, json!(null)), Code::ExitedEarly, 1),
        (unbound, Code::StartedButUnbound, 6),
    ] {
        for verb in [Verb::Start, Verb::Restart] {
            hub.module("vault", |vault| {
                vault.state = Some(json!({"status": "stopped"}));
                vault.becomes = state.clone();
                vault.lines = (1..=30).map(|n| format!("line {n}")).collect();
            });
            let error = client.bring_up(verb, "vault").await.unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
            assert_eq!(error.exit() as i32, exit);
            assert_eq!(error.log.len(), 10);
            assert_eq!(error.log.last().unwrap(), "line 30");
        }
    }
}

#[tokio::test]
async fn a_module_that_is_still_starting_is_watched_until_it_is_not() {
    let home = home();
    let hub = Hub::start(Make::V0_7_5, home.path());
    let client = client(&home, hub.port());
    hub.module("vault", |vault| {
        vault.becomes = json!({"status": "starting", "pid": 5});
        vault.then = Some(running(5));
    });
    let reached = client.bring_up(Verb::Start, "vault").await.unwrap();
    assert_eq!(reached.pid, Some(5));

    hub.module("scribe", |scribe| {
        scribe.becomes = json!({"status": "starting", "pid": 6});
        scribe.then = Some(crashed(2, json!(null)));
    });
    let error = client.bring_up(Verb::Start, "scribe").await.unwrap_err();
    assert_eq!(error.code, Code::ExitedEarly);
}

#[tokio::test]
async fn a_start_of_a_running_module_says_that_it_ran_already() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    let mut old = running(7);
    old["startedAt"] = "2026-01-01T00:00:00.000Z".into();
    let mut new = running(8);
    new["startedAt"] = "2999-01-01T00:00:00.000Z".into();
    hub.module("vault", |vault| {
        vault.state = Some(old);
        vault.becomes = new;
    });
    let reached = client.bring_up(Verb::Start, "vault").await.unwrap();
    assert_eq!((reached.pid, reached.already), (Some(7), true));
    let reached = client.bring_up(Verb::Restart, "vault").await.unwrap();
    assert_eq!((reached.pid, reached.already), (Some(8), false));
}

#[tokio::test]
async fn note_10_the_reason_that_an_operation_threw_reaches_the_person() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    hub.module("vault", |vault| {
        vault.throws = Some(Throw::Reason("its folder /srv/vault is gone"));
    });
    for verb in [Verb::Start, Verb::Restart] {
        let error = client.bring_up(verb, "vault").await.unwrap_err();
        assert_eq!(error.code, Code::ModuleOpFailed);
        assert!(error.message.contains("/srv/vault is gone"), "{error:?}");
    }
}

#[tokio::test]
async fn note_42_an_html_page_is_called_one_and_not_shown() {
    let home = home();
    let hub = Hub::start(Make::V0_6_3, home.path());
    hub.module("vault", |vault| vault.throws = Some(Throw::Html));
    let client = client(&home, hub.port());
    let error = client.bring_up(Verb::Start, "vault").await.unwrap_err();
    assert_eq!(error.code, Code::OddHub);
    assert!(error.message.contains("500 with an HTML page"), "{error:?}");
    assert!(!error.message.contains("TypeError"), "{error:?}");
}

#[tokio::test]
async fn note_50_no_two_situations_share_their_words() {
    let home = home();
    let old = Hub::start(Make::V0_6_3, home.path());
    let to_old = client(&home, old.port());
    let mut told = vec![to_old.start("notes").await.unwrap_err()];
    drop(old);

    let hub = Hub::start(Make::V0_7_15, home.path());
    let to_new = client(&home, hub.port());
    told.push(to_new.start("nobody").await.unwrap_err());
    hub.module("vault", |vault| vault.throws = Some(Throw::Html));
    told.push(to_new.start("vault").await.unwrap_err());
    hub.module("scribe", |scribe| scribe.startable = false);
    told.push(to_new.start("scribe").await.unwrap_err());
    told.push(to_new.restart("notes").await.unwrap_err());
    hub.with(|play| play.narrow = true);
    told.push(to_new.start("notes").await.unwrap_err());
    hub.with(|play| play.setup = true);
    told.push(to_new.start("notes").await.unwrap_err());

    let codes: Vec<Code> = told.iter().map(|e| e.code).collect();
    assert_eq!(
        codes,
        [
            Code::NotDrivable,
            Code::NotInstalled,
            Code::OddHub,
            Code::NoStartCommand,
            Code::NotSupervised,
            Code::Unauthorized,
            Code::SetupRequired,
        ]
    );
    for error in &told {
        assert!(error.hint.is_some(), "{error:?}");
        assert!(!error.message.contains("request failed"), "{error:?}");
        let same = told.iter().filter(|e| e.message == error.message).count();
        assert_eq!(same, 1, "{error:?}");
    }
}

#[tokio::test]
async fn note_24_no_token_is_a_message_that_says_what_can_be_done() {
    for make in Make::ALL {
        let home = home();
        let hub = Hub::start(make, home.path());
        let client = client(&home, hub.port());
        fs::remove_file(home.path().join("operator.token")).unwrap();
        let error = client.modules().await.unwrap_err();
        assert_eq!(error.code, Code::Unauthorized);
        assert!(error.message.contains("operator.token"), "{error:?}");
        // A hub of other make does not know our commands.
        assert!(!error.hint.unwrap().contains("rotate-operator"));

        // Before its first user there is no token, and making one is not the first step.
        hub.with(|play| play.setup = true);
        for error in [
            client.modules().await.unwrap_err(),
            client.start("vault").await.unwrap_err(),
        ] {
            assert_eq!(error.code, Code::SetupRequired, "{make:?}");
        }
        assert!(
            !hub.seen().iter().any(|line| line.starts_with("POST")),
            "{:?}",
            hub.seen()
        );
    }
}

#[tokio::test]
async fn an_expired_or_broken_token_is_not_sent_at_all() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    for (token, words) in [
        (jwt(&json!({"exp": 1_000_000_000})), "2001-09-09"),
        ("not a token".into(), "of no use"),
        (String::new(), "empty"),
    ] {
        put_token(home.path(), &token);
        let error = client.start("vault").await.unwrap_err();
        assert_eq!(error.code, Code::Unauthorized);
        assert!(error.message.contains(words), "{error:?}");
        assert!(error.hint.is_some());
    }
    hub.with(|play| assert!(play.modules["vault"].state.is_none()));
    assert!(!hub.seen().iter().any(|line| line.starts_with("POST")));
}

#[tokio::test]
async fn a_token_that_may_not_be_read_says_as_whom_to_run() {
    if parachute::os::identity::euid() == 0 {
        eprintln!("skipped: root may read everything");
        return;
    }
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let path = home.path().join("operator.token");
    fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
    let error = client(&home, hub.port()).modules().await.unwrap_err();
    assert_eq!(error.code, Code::NoPermission);
    assert!(error.hint.unwrap().contains("`sudo -u "));
}

#[tokio::test]
async fn note_28_a_token_of_another_origin_is_never_a_bare_401() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    // With the loopback origin as issuer it works, because the request names that very origin.
    client.modules().await.unwrap();
    let later = SystemTime::now() + Duration::from_secs(3600);
    let later = later
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let token = jwt(&json!({"iss": "https://box.example", "exp": later}));
    put_token(home.path(), &token);
    let error = client.start("vault").await.unwrap_err();
    assert_eq!(error.code, Code::Unauthorized);
    assert!(error.message.contains("https://box.example"), "{error:?}");
    assert!(error.hint.unwrap().contains("`parachute auth status`"));
    assert!(!format!("{client:?}").contains(&token));
}

#[tokio::test]
async fn installing_is_polled_and_an_operation_may_be_forgotten() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    let step = |status: &str, log: &[&str]| {
        json!({"id": "op-1", "kind": "install", "short": "notes", "status": status,
            "log": log, "startedAt": "2026-06-01T12:00:00.000Z"})
    };
    let mut failed = step("failed", &["a", "b"]);
    failed["error"] = "no such package".into();
    hub.with(|play| play.operation = vec![step("running", &["a"]), failed]);
    let id = client.install("notes").await.unwrap();
    assert_eq!(id, "op-1");
    let first = client.operation(&id).await.unwrap().unwrap();
    assert_eq!((first.status.as_str(), first.log.len()), ("running", 1));
    let last = client.operation(&id).await.unwrap().unwrap();
    assert_eq!(last.error.as_deref(), Some("no such package"));
    hub.with(|play| play.operation.clear());
    assert!(client.operation(&id).await.unwrap().is_none());
    client.upgrade("notes").await.unwrap();
    client.uninstall("notes").await.unwrap();
    hub.with(|play| assert!(!play.modules.contains_key("notes")));
    // Only ours reads its registry again.
    let error = client.reload().await.unwrap_err();
    assert_eq!(error.code, Code::NotImplemented);
}

#[tokio::test]
async fn a_followed_log_brings_old_and_new_lines_and_ends_with_its_module() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    let long = "x".repeat(200_000);
    hub.module("vault", |vault| {
        vault.state = Some(running(7));
        vault.lines = vec!["old".into()];
    });
    let mut follow = client.follow("vault").await.unwrap();
    assert_eq!(follow.next().await, Heard::Line("[vault] old".into()));
    hub.module("vault", |vault| {
        vault
            .lines
            .extend(["new".into(), long.clone(), "last".into()]);
    });
    assert_eq!(follow.next().await, Heard::Line("[vault] new".into()));
    let mut pieces = String::new();
    loop {
        match follow.next().await {
            Heard::Line(line) if line == "[vault] last" => break,
            Heard::Line(line) => {
                assert!(line.len() <= (64 << 10) + 1, "{}", line.len());
                pieces += &line;
            }
            end => panic!("{end:?}"),
        }
    }
    assert_eq!(pieces, format!("[vault] {long}"));
    hub.with(|play| play.modules.remove("vault"));
    assert_eq!(follow.next().await, Heard::End);
    assert_eq!(follow.next().await, Heard::End);

    hub.module("notes", |notes| {
        notes.state = Some(running(8));
        notes.lines = vec!["here".into()];
    });
    let mut follow = client.follow("notes").await.unwrap();
    assert_eq!(follow.next().await, Heard::Line("[notes] here".into()));
    hub.cut();
    assert_eq!(follow.next().await, Heard::Broken);
    let error = client.follow("scribe").await.unwrap_err();
    assert_eq!(error.code, Code::NotSupervised);
}

#[tokio::test]
async fn a_hub_that_is_busy_with_one_module_is_late_and_not_wedged() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    hub.module("vault", |vault| {
        vault.throws = Some(Throw::Late(Duration::from_secs(3600)));
    });
    let mut short = super::bounds(super::PATIENCE);
    short.start = Duration::from_millis(100);
    let client = client(&home, hub.port()).bounds(short);
    let error = client.bring_up(Verb::Start, "vault").await.unwrap_err();
    assert_eq!(error.code, Code::TimedOut, "{error:?}");
    assert_eq!(error.exit() as i32, 6);
}

#[tokio::test]
async fn names_that_are_no_path_segment_are_asked_of_nobody() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    for name in ["", ".", "..", "a/b", "../../health", "a\r\nx: y", "\0"] {
        let error = client.start(name).await.unwrap_err();
        assert_eq!(error.code, Code::NotInstalled, "{name:?}");
    }
    assert!(hub.seen().is_empty());
    for name in ["a b", "ü", "a?b", "%2e%2e", "a#b"] {
        let error = client.start(name).await.unwrap_err();
        assert_eq!(error.code, Code::NotInstalled, "{name:?}");
    }
    assert!(
        hub.seen()
            .contains(&"POST /api/modules/%252e%252e/start".to_owned())
    );
}

#[tokio::test]
async fn note_47_waiting_for_health_waits_for_the_new_hub_not_the_old_one() {
    let home = home();
    let hub = Hub::start(Make::V0_7_15, home.path());
    let client = client(&home, hub.port());
    let old = client.own_health().await.unwrap().health.instance.unwrap();
    let waiting = tokio::spawn({
        let (client, old) = (client.clone(), old.clone());
        async move { client.wait_healthy(super::PATIENCE, Some(&old)).await }
    });
    let asked = hub.seen().len();
    until("the old hub is asked", || hub.seen().len() > asked + 1).await;
    assert!(!waiting.is_finished());
    fs::write(
        home.path().join("hub-instance.json"),
        r#"{"instance":"the next boot"}"#,
    )
    .unwrap();
    hub.with(|play| play.instance = "the next boot".into());
    let look = waiting.await.unwrap().unwrap();
    assert_eq!(look.health.instance.as_deref(), Some("the next boot"));
}
