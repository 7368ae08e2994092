//! Any bytes as `services.json`: no panic, and what is kept reads the same after it was rendered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parachute::modules::registry::{Document, Registry};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let file = Path::new("services.json");
    let read = Registry::parse(bytes, file);
    let document = Document::parse(bytes, file);
    assert_eq!(read.is_ok(), document.is_ok());
    if let (Ok(read), Ok(document)) = (read, document) {
        let text = document.render().expect("what was read can be rendered");
        let again = Registry::parse(&text, file).expect("what was rendered can be read");
        assert_eq!(read.rows, again.rows);
        let twice = Document::parse(&text, file).and_then(|document| document.render());
        assert_eq!(twice.expect("rendered twice"), text);
    }
});
