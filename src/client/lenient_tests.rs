use super::*;
use serde_json::json;

#[test]
fn one_bad_element_never_takes_the_others_down() {
    let list = list(&json!({
        "modules": [
            {"short": "vault", "supervisor_status": "running", "pid": 7},
            {"short": 5, "supervisor_status": "running"},
            "rubbish", null, [],
            {"short": "scribe", "supervisor_status": {"odd": true}, "pid": "12", "uis": null,
             "installed": "yes", "supervisor_start_error": 3, "novel": [1]},
            {"short": "notes", "supervisor_status": "hibernating"},
        ],
        "supervised": [
            {"short": "scribe", "status": "crashed", "lastExitCode": 3, "startedAt": "yesterday",
             "restartsInWindow": -1, "startError": {"error_description": "no port"}},
            {"status": "running"}, 9,
        ],
        "supervisor_available": "maybe",
    }))
    .unwrap();
    let vault = state_of(&list, "vault").unwrap();
    assert_eq!((vault.status, vault.pid), (ModuleStatus::Running, Some(7)));
    let scribe = state_of(&list, "scribe").unwrap();
    assert_eq!(scribe.status, ModuleStatus::Crashed);
    assert_eq!(scribe.last_exit_code, Some(3));
    assert_eq!(scribe.started_at, None);
    assert_eq!(
        scribe.start_error.unwrap().error_type,
        StartErrorType::Other
    );
    assert_eq!(
        state_of(&list, "notes").unwrap().status,
        ModuleStatus::Unknown
    );
    assert!(state_of(&list, "absent").is_none());
}

#[test]
fn a_hub_without_supervised_still_tells_what_it_lists() {
    let list = list(&json!({"modules": [
        {"short": "vault", "supervisor_status": "running", "pid": 7},
        {"short": "scribe", "supervisor_status": null},
    ]}))
    .unwrap();
    assert!(list.supervised.is_none());
    assert_eq!(state_of(&list, "vault").unwrap().pid, Some(7));
    assert!(state_of(&list, "scribe").is_none());
    assert!(state_of(&list, "notes").is_none());
}

#[test]
fn modules_go_before_supervised_which_fills_the_gaps() {
    let list = list(&json!({
        "modules": [
            {"short": "vault", "supervisor_status": "running", "pid": null},
            {"short": "notes", "supervisor_status": null, "pid": null},
        ],
        "supervised": [
            {"short": "vault", "status": "crashed", "pid": 9, "restartsInWindow": 2,
             "startedAt": "2026-06-01T12:00:00.000Z"},
            {"short": "notes", "status": "stopped"},
            {"short": "mine", "status": "running", "pid": 11},
        ],
    }))
    .unwrap();
    let vault = state_of(&list, "vault").unwrap();
    assert_eq!(vault.status, ModuleStatus::Running);
    assert_eq!((vault.pid, vault.restarts_in_window), (Some(9), 2));
    assert!(vault.started_at.is_some());
    assert_eq!(
        state_of(&list, "notes").unwrap().status,
        ModuleStatus::Stopped
    );
    assert_eq!(state_of(&list, "mine").unwrap().pid, Some(11));
}

#[test]
fn what_lacks_its_heart_is_not_read_at_all() {
    for value in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({"modules": 1}),
    ] {
        assert!(list(&value).is_none(), "{value}");
        assert!(health(&value).is_none(), "{value}");
        assert!(ready(&value).is_none(), "{value}");
        assert!(lines(&value).is_none(), "{value}");
        assert!(operation(&value, "x").is_none(), "{value}");
        assert!(state(&value, Some("x")).is_none(), "{value}");
    }
}

#[test]
fn lines_come_from_either_field() {
    let both = json!({"lines": ["[v] a\n", "[v] b\r\n", 4], "text": "no"});
    assert_eq!(lines(&both).unwrap(), ["[v] a", "[v] b"]);
    assert_eq!(lines(&json!({"text": "a\nb\n"})).unwrap(), ["a", "b"]);
}

proptest::proptest! {
    #[test]
    fn any_json_is_read_without_a_panic(depth in proptest::collection::vec(0_u8..8, 0..12), key in 0_usize..8) {
        let keys = ["modules", "supervised", "short", "status", "state", "startError", "log", "uis"];
        let mut value = json!(-1.5e300);
        for (at, step) in depth.iter().enumerate() {
            let key = keys[(key + at) % keys.len()];
            value = match step {
                0 => json!([value]),
                1 => json!([null, value, "x"]),
                2 => json!({ "short": value.clone(), key: value }),
                3 => json!({ "status": "running", key: value }),
                4 => json!({ "short": "x", "status": value }),
                5 => json!({ "error_description": value, "pid": 99999999999_u64 }),
                _ => json!({ key: [value] }),
            };
        }
        if let Some(list) = list(&value) {
            let _ = state_of(&list, "x");
        }
        let _ = (health(&value), ready(&value), lines(&value), operation(&value, "x"));
        if let Some(state) = state(&value, Some("x")) {
            let _ = crate::client::judge(&state);
        }
    }
}
