//! Any bytes as `module.json`: no panic, and a start command that can be executed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parachute::modules::manifest;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = manifest::parse(bytes, Path::new("module.json"))
        && let Some(command) = manifest.start_cmd
    {
        assert!(!command[0].is_empty());
        assert!(command.iter().all(|word| !word.contains('\0')));
    }
});
