//! What is written down more than once under `packaging/` agrees: versions, times, users, ports.

use super::REPO;
use std::fs;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn read(path: &str) -> String {
    fs::read_to_string(format!("{REPO}/{path}")).unwrap()
}

/// What follows the first `key`, up to white space.
fn after<'a>(text: &'a str, key: &str) -> &'a str {
    let at = text.find(key).unwrap_or_else(|| panic!("no {key}"));
    text[at + key.len()..].split_whitespace().next().unwrap()
}

#[test]
fn every_file_names_the_version_that_is_built() {
    assert_eq!(
        read("packaging/deb/changelog").lines().next(),
        Some(&*format!(
            "parachute ({VERSION}-1) unstable; urgency=medium"
        ))
    );
    let kubernetes = read("packaging/container/kubernetes.yaml");
    assert_eq!(after(&kubernetes, "image: parachute:"), VERSION);
    let formula = read("packaging/homebrew/parachute.rb");
    assert!(formula.contains(&format!("parachute-{VERSION}-source.tar.gz")));
}

/// A container is given longer than the hub takes to stop, and as long as the unit gives it.
#[test]
fn whoever_keeps_the_hub_gives_it_the_same_time_to_end() {
    let unit = read("units/parachute-hub.service");
    let stop: u32 = after(&unit, "TimeoutStopSec=").parse().unwrap();
    assert!(stop > 6);
    let kubernetes = read("packaging/container/kubernetes.yaml");
    let grace = after(&kubernetes, "terminationGracePeriodSeconds: ");
    assert_eq!(grace, stop.to_string());
    let compose = read("packaging/container/compose.yaml");
    assert_eq!(after(&compose, "stop_grace_period: "), format!("{stop}s"));
}

#[test]
fn containers_run_as_the_user_that_the_image_makes() {
    let dockerfile = read("packaging/container/Dockerfile");
    let uid = after(&dockerfile, "useradd --uid ");
    assert_eq!(after(&dockerfile, "USER "), format!("{uid}:{uid}"));
    let kubernetes = read("packaging/container/kubernetes.yaml");
    for key in ["runAsUser: ", "runAsGroup: ", "fsGroup: "] {
        assert_eq!(after(&kubernetes, key), uid, "{key}");
    }
}
