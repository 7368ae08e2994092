//! Any bytes as a pidfile: no panic, no impossible process, and what is kept reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parachute::os::pidfile;

fuzz_target!(|bytes: &[u8]| {
    if let Some(record) = pidfile::parse(bytes) {
        assert!(record.pid >= 2 && i32::try_from(record.pid).is_ok());
        let text = pidfile::render(&record);
        assert_eq!(pidfile::parse(text.as_bytes()), Some(record));
    }
});
