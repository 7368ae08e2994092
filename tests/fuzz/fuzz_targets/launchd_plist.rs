//! Any bytes as a property list: no panic, bounded work, and what is written again reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parachute::manager::launchd::plist;

fuzz_target!(|bytes: &[u8]| {
    let Ok(dict) = plist::read(bytes) else {
        return;
    };
    let job = plist::job(&dict);
    if let Ok(job) = &job {
        assert!(!job.arguments.is_empty() && !job.arguments[0].is_empty());
    }
    if let Ok(xml) = plist::xml(&dict)
        && let Ok(again) = plist::read(&xml)
    {
        plist::job(&again).ok();
    }
});
