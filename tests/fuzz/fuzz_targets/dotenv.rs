//! Any bytes as `.env`: no panic, and only variables that an environment can hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parachute::modules::launch::parse_dotenv;
use std::os::unix::ffi::OsStrExt;

fuzz_target!(|bytes: &[u8]| {
    for (name, value) in parse_dotenv(bytes).0 {
        assert!(!name.is_empty() && name != "PORT");
        assert!(!name.as_bytes().iter().any(|b| matches!(b, b'=' | 0)));
        assert!(!value.as_bytes().contains(&0));
    }
});
