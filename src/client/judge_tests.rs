use super::*;

fn state(status: ModuleStatus) -> ModuleState {
    ModuleState {
        short: "vault".into(),
        status,
        pid: Some(7),
        started_at: None,
        restarts_in_window: 0,
        last_crash_at: None,
        last_exit_code: None,
        start_error: None,
    }
}

fn failed(state: &ModuleState) -> Error {
    match judge(state) {
        Verdict::Failed(error) => {
            assert!(error.hint.is_some(), "{error:?}");
            assert!(error.message.contains("vault"), "{error:?}");
            assert!(!error.message.ends_with('.'), "{error:?}");
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn running_without_a_start_error_is_ready_and_starting_is_on_its_way() {
    assert!(matches!(
        judge(&state(ModuleStatus::Running)),
        Verdict::Ready { pid: Some(7), .. }
    ));
    assert!(matches!(
        judge(&state(ModuleStatus::Starting)),
        Verdict::Pending
    ));
}

#[test]
fn every_start_error_has_its_code_whatever_the_status_says() {
    for (kind, code) in [
        (StartErrorType::MissingDependency, Code::MissingDependency),
        (StartErrorType::NonExecutable, Code::NonExecutable),
        (StartErrorType::PortSquatter, Code::PortSquatter),
        (StartErrorType::ExitedEarly, Code::ExitedEarly),
        (StartErrorType::SpawnFailed, Code::SpawnFailed),
        (StartErrorType::Other, Code::SpawnFailed),
    ] {
        for status in [
            ModuleStatus::Running,
            ModuleStatus::Starting,
            ModuleStatus::Crashed,
            ModuleStatus::Restarting,
            ModuleStatus::Stopped,
            ModuleStatus::Unknown,
        ] {
            let mut state = state(status);
            state.start_error = Some(StartError::new(kind, "because of this."));
            let error = failed(&state);
            assert_eq!(error.code, code, "{status:?}");
            assert!(error.message.contains("because of this"), "{error:?}");
            // A description may be empty; the sentence still stands.
            state.start_error = Some(StartError::new(kind, ""));
            assert_eq!(failed(&state).code, code);
        }
    }
}

#[test]
fn unbound_is_a_timeout_while_it_runs_and_a_crash_once_it_ended() {
    let mut unbound = state(ModuleStatus::Running);
    unbound.start_error = Some(StartError::new(
        StartErrorType::StartedButUnbound,
        "port 1940 is silent",
    ));
    let error = failed(&unbound);
    assert_eq!(error.code, Code::StartedButUnbound);
    assert_eq!(error.exit() as i32, 6);

    unbound.status = ModuleStatus::Crashed;
    unbound.last_exit_code = Some(1);
    let error = failed(&unbound);
    assert_eq!(error.code, Code::ExitedEarly);
    assert!(error.message.contains("exit code 1"), "{error:?}");
}

#[test]
fn a_crash_without_a_word_names_its_exit_code_or_signal() {
    let mut crashed = state(ModuleStatus::Crashed);
    crashed.last_exit_code = Some(3);
    assert!(failed(&crashed).message.contains("exit code 3"));
    crashed.last_exit_code = Some(137);
    assert!(failed(&crashed).message.contains("signal 9"));
    crashed.last_exit_code = None;
    assert_eq!(failed(&crashed).code, Code::ExitedEarly);
    assert!(
        failed(&state(ModuleStatus::Restarting))
            .message
            .contains("tries again")
    );
    failed(&state(ModuleStatus::Stopped));
    assert_eq!(failed(&state(ModuleStatus::Unknown)).code, Code::OddHub);
}

#[test]
fn the_advice_of_a_missing_program_reaches_the_person() {
    let mut missing = state(ModuleStatus::Crashed);
    let mut error = StartError::new(
        StartErrorType::MissingDependency,
        "parachute-vault is not there\nget it first",
    );
    error.install = Some(Install {
        darwin: Some("brew install vault".into()),
        linux: Some("npm i -g vault".into()),
        generic: None,
    });
    error.docs_url = Some("https://example.org".into());
    missing.start_error = Some(error.clone());
    let hint = failed(&missing).hint.unwrap();
    let here = match std::env::consts::OS {
        "macos" => "brew install vault",
        _ => "npm i -g vault",
    };
    assert_eq!(hint, format!("{here} (https://example.org)"));

    error.install = None;
    missing.start_error = Some(error);
    let told = failed(&missing);
    assert!(told.message.ends_with("parachute-vault is not there"));
    assert_eq!(told.hint.unwrap(), "get it first");
}

#[test]
fn control_characters_of_a_hub_do_not_reach_the_terminal() {
    let mut odd = state(ModuleStatus::Crashed);
    odd.start_error = Some(StartError::new(
        StartErrorType::SpawnFailed,
        "\u{1b}[2Jgone\u{7}",
    ));
    let error = failed(&odd);
    assert!(!error.message.contains(char::is_control), "{error:?}");
}
