use super::{super::http::Head, *};
use std::time::Duration;

fn asked(short: Option<&str>) -> Asked<'_> {
    Asked {
        verb: "start",
        short,
        port: 1939,
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Answer {
    Answer {
        head: Head {
            status,
            kind: kind.into(),
            location: (status == 302).then(|| "http://evil.example/\u{1b}[2J".into()),
        },
        body: body.to_owned().into(),
    }
}

fn json(status: u16, code: &str) -> Answer {
    answer(
        status,
        "application/json",
        &format!(r#"{{"error":"{code}","error_description":"the very reason"}}"#),
    )
}

#[test]
fn every_refusal_of_the_contract_has_its_code() {
    let html = "<!doctype html><h1>TypeError</h1>";
    for (given, expected) in [
        (json(400, "not_installed"), Code::NotInstalled),
        (json(401, "unauthenticated"), Code::Unauthorized),
        (json(403, "insufficient_scope"), Code::Unauthorized),
        (json(403, "foreign_host"), Code::Refused),
        (json(404, "not_supervised"), Code::NotSupervised),
        (json(404, "not_found"), Code::NotDrivable),
        (answer(404, "text/plain", "not found"), Code::NotDrivable),
        (answer(404, "text/html", html), Code::OddHub),
        (json(409, "busy"), Code::Refused),
        (json(422, "no_start_cmd"), Code::NoStartCommand),
        (json(500, "module_op_failed"), Code::ModuleOpFailed),
        (json(500, "surprise"), Code::OddHub),
        (answer(500, "text/html", html), Code::OddHub),
        (answer(500, "", ""), Code::OddHub),
        (json(501, "not_implemented"), Code::NotImplemented),
        (answer(501, "", ""), Code::NotImplemented),
        (json(503, "setup_required"), Code::SetupRequired),
        (json(503, "supervisor_unavailable"), Code::NotDrivable),
        (answer(302, "", ""), Code::OddHub),
        (answer(101, "", ""), Code::OddHub),
        (answer(999, "", ""), Code::OddHub),
    ] {
        let error = refusal(&given, asked(Some("vault")));
        assert_eq!(error.code, expected, "{given:?}");
        assert!(!error.message.contains(char::is_control), "{error:?}");
        assert!(!error.message.contains("request failed"), "{error:?}");
    }
}

#[test]
fn the_hubs_reason_reaches_the_person() {
    for given in [
        json(500, "module_op_failed"),
        json(500, "surprise"),
        json(409, "busy"),
        json(422, "no_start_cmd"),
        json(501, "not_implemented"),
    ] {
        let error = refusal(&given, asked(Some("vault")));
        assert!(error.message.contains("the very reason"), "{error:?}");
    }
}

#[test]
fn odd_answers_say_what_was_odd() {
    let html = answer(500, "text/html", "<h1>x</h1>");
    let error = refusal(&html, asked(Some("vault")));
    assert!(error.message.contains("500 with an HTML page"), "{error:?}");
    let away = refusal(&answer(302, "", ""), asked(None));
    assert!(away.message.contains("redirect"), "{away:?}");
    assert!(away.message.contains("evil.example"), "{away:?}");
}

#[test]
fn a_route_without_a_module_that_is_not_there_is_not_implemented() {
    for given in [
        answer(404, "text/plain", "not found"),
        json(404, "not_found"),
        json(405, "method_not_allowed"),
    ] {
        assert_eq!(refusal(&given, asked(None)).code, Code::NotImplemented);
    }
}

#[test]
fn no_answer_is_told_apart_by_how_it_is_missing() {
    for (given, expected) in [
        (Trouble::Refused, Code::HubUnreachable),
        (Trouble::Closed, Code::HubUnreachable),
        (Trouble::Silent(Duration::from_secs(3)), Code::HubWedged),
        (Trouble::Odd("x".into()), Code::OddHub),
        (Trouble::Local("no sockets".into()), Code::Io),
    ] {
        assert_eq!(trouble(&given, asked(None)).code, expected);
    }
}

#[test]
fn a_200_that_cannot_be_read_says_how() {
    for (kind, body, words) in [
        ("text/html", "<h1>", "an HTML page"),
        ("application/json", "{\"short\":", "broken"),
        ("application/json", "{}", "lacks"),
        ("", "", "nothing"),
    ] {
        let error = unreadable(&answer(200, kind, body), asked(None));
        assert_eq!(error.code, Code::OddHub);
        assert!(error.message.contains(words), "{error:?}");
    }
}
