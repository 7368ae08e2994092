//! Exit codes and words, as real Macs gave them.

use super::super::{
    answer::{Fault, explain, fault},
    ctl::Answer,
    domain::Domain,
};
use crate::error::Code;
use std::path::Path;

fn said(exit: i32, err: &str) -> Answer {
    Answer {
        exit: Some(exit),
        out: String::new(),
        err: err.into(),
        cut: false,
    }
}

const TABLE: &[(i32, &str, Option<Fault>)] = &[
    (0, "", None),
    (
        1,
        "Boot-out failed: 1: Operation not permitted\n",
        Some(Fault::NotPermitted),
    ),
    (
        3,
        "Boot-out failed: 3: No such process\n",
        Some(Fault::NotLoaded),
    ),
    (
        5,
        "Boot-out failed: 5: Input/output error\n",
        Some(Fault::InputOutput),
    ),
    (
        36,
        "Boot-out failed: 36: Operation now in progress\n",
        Some(Fault::InProgress),
    ),
    (
        37,
        "Bootstrap failed: 37: Operation already in progress\n",
        Some(Fault::Already),
    ),
    (37, "", Some(Fault::Already)),
    (
        64,
        "Unrecognized target specifier, did you mean gui/<uid>/x\n",
        Some(Fault::Usage),
    ),
    (
        112,
        "Could not find domain for user gui: 502\n",
        Some(Fault::NoDomain),
    ),
    (
        113,
        "Bad request.\nCould not find service \"x\" in domain for user gui: 501\n",
        Some(Fault::NotLoaded),
    ),
    (
        119,
        "/Library/LaunchDaemons/x.plist: Service is disabled\nBootstrap failed: 119: Service is disabled\n",
        Some(Fault::Disabled),
    ),
    (
        122,
        "Bootstrap failed: 122: Path had bad ownership/permissions\n",
        Some(Fault::BadOwnership),
    ),
    (
        1,
        "/usr/local/x.plist: Path had bad ownership/permissions\n",
        Some(Fault::BadOwnership),
    ),
    (
        125,
        "Bootstrap failed: 125: Domain does not support specified action\n",
        Some(Fault::WrongDomain),
    ),
    (
        133,
        "/Users/ada/Library/LaunchAgents/x.plist: service already loaded\n",
        Some(Fault::Loaded),
    ),
    (133, "", Some(Fault::Multiple)),
    (134, "", Some(Fault::WrongSession)),
    (
        5,
        "Bootstrap failed: 134: Service cannot load in requested session\n",
        Some(Fault::WrongSession),
    ),
    (
        150,
        "Could not kickstart service: 150: Operation not permitted while System Integrity Protection is engaged\n",
        Some(Fault::Protected),
    ),
    (161, "", Some(Fault::LoginItem)),
    (255, "", Some(Fault::Other)),
    (255, "Could not find domain for \n", Some(Fault::NoDomain)),
    (5, "Démarrage impossible\n", Some(Fault::InputOutput)),
];

#[test]
fn the_code_decides_and_the_words_help() {
    for (exit, err, wanted) in TABLE {
        assert_eq!(fault(&said(*exit, err)), *wanted, "{exit} {err}");
    }
    let killed = Answer {
        exit: None,
        ..said(0, "")
    };
    assert_eq!(fault(&killed), Some(Fault::Other));
}

#[test]
fn every_fault_is_explained() {
    let plist = Path::new("/Users/ada/Library/LaunchAgents/computer.parachute.hub.plist");
    for (exit, err, wanted) in TABLE {
        let Some(fault) = *wanted else { continue };
        let error = explain("start", fault, &said(*exit, err), Domain::Gui(501), plist);
        assert!(
            error.message.starts_with("cannot start the hub: ") || fault == Fault::Disabled,
            "{error}"
        );
        assert!(
            !error.message.ends_with('.') && !error.message.ends_with('\n'),
            "{error}"
        );
        let wants_hint = !matches!(
            fault,
            Fault::Multiple | Fault::Other | Fault::Usage | Fault::BadLabel | Fault::Protected
        );
        assert_eq!(error.hint.is_some(), wants_hint, "{error}");
    }
}

#[test]
fn a_refusal_is_no_permission_and_a_missing_session_is_unreachable() {
    let plist = Path::new("/x.plist");
    let code = |fault| explain("stop", fault, &said(1, ""), Domain::System, plist).code;
    assert_eq!(code(Fault::NotPermitted), Code::NoPermission);
    assert_eq!(code(Fault::WrongDomain), Code::ManagerUnreachable);
    assert_eq!(code(Fault::Disabled), Code::Refused);
    assert_eq!(code(Fault::Already), Code::TimedOut);
}

#[test]
fn a_session_that_the_plist_leaves_out_is_explained_though_launchd_says_5() {
    let error = explain(
        "start",
        Fault::InputOutput,
        &said(5, "Bootstrap failed: 5: Input/output error"),
        Domain::User(501),
        Path::new("/x.plist"),
    );
    assert!(error.hint.unwrap().contains("134"));
}
