//! Which program a unit runs and what its words say: this one, another build of it, or a hub of
//! other make.

use std::{fs::File, io::Read, path::Path};

/// Is `argv` this program's `serve`? A hub of other make is a script for an interpreter, or lies
/// under another name; another build of ours is native and has our name.
pub(super) fn is_ours(argv: &[String], exe: &Path) -> bool {
    let [program, words @ ..] = argv else {
        return false;
    };
    let path = Path::new(program);
    if !words.iter().any(|word| word == "serve") || !path.is_absolute() {
        return false;
    }
    if let (Ok(theirs), Ok(ours)) = (path.canonicalize(), exe.canonicalize())
        && theirs == ours
    {
        return true;
    }
    path.file_name().is_some_and(|name| name == "parachute") && !is_script(path)
}

/// Begins as a script does; a file that cannot be read is no script.
fn is_script(path: &Path) -> bool {
    let mut head = [0; 2];
    path.metadata().is_ok_and(|meta| meta.is_file())
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok()
        && &head == b"#!"
}

/// The value of `--name X` or `--name=X`.
pub(super) fn flag<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    let mut words = argv.iter().skip(1);
    while let Some(word) = words.next() {
        if word == name {
            return words.next().map(String::as_str);
        }
        if let Some(value) = word
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value);
        }
    }
    None
}
