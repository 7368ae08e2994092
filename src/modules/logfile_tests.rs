use super::*;
use crate::home::rel;
use std::{fs, io::Write, os::unix::fs::PermissionsExt};

struct Box_ {
    _dir: tempfile::TempDir,
    home: Home,
    path: PathBuf,
}

fn log_of(text: impl AsRef<[u8]>) -> Box_ {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().canonicalize().unwrap());
    let path = rel::log("m");
    open(&home, &path)
        .unwrap()
        .write_all(text.as_ref())
        .unwrap();
    Box_ {
        _dir: dir,
        home,
        path,
    }
}

impl Box_ {
    fn tail(&self, count: usize) -> Vec<String> {
        tail(&self.home, &self.path, count).unwrap()
    }

    fn put(&self, number: usize, text: impl AsRef<[u8]>) {
        fs::write(self.home.at(rotated(&self.path, number)), text).unwrap();
    }
}

#[test]
fn last_lines() {
    let none: &[&str] = &[];
    let cases: &[(&str, usize, &[&str])] = &[
        ("", 5, none),
        ("a\nb\nc\n", 0, none),
        ("a\nb\nc\n", 2, &["b", "c"]),
        ("a\nb\nc\n", 9, &["a", "b", "c"]),
        ("a\nb\nc", 2, &["b", "c"]),
        ("\n", 3, &[""]),
        ("\n\na\n\n", 9, &["", "", "a", ""]),
        ("a\r\n", 1, &["a\r"]),
    ];
    for (text, count, wanted) in cases {
        assert_eq!(log_of(text).tail(*count), *wanted, "{text:?} {count}");
    }
    assert_eq!(log_of(b"a\xffb\n").tail(1), ["a\u{fffd}b"]);
}

#[test]
fn last_lines_whatever_the_chunks() {
    let text: String = (0..40_000)
        .map(|n| format!("line {n} {}\n", "x".repeat(n % 37)))
        .collect();
    let all: Vec<_> = text.lines().map(str::to_owned).collect();
    let it = log_of(&text);
    for count in [1, 7, 1999, 39_999, 40_000, 50_000] {
        assert_eq!(
            it.tail(count),
            all[all.len().saturating_sub(count)..],
            "{count}"
        );
    }
}

#[test]
fn last_lines_over_rotated_files() {
    let it = log_of("e\n");
    it.put(1, "c\nd\n");
    it.put(3, "a\nb\n");
    assert_eq!(it.tail(2), ["d", "e"]);
    assert_eq!(it.tail(4), ["b", "c", "d", "e"]);
    assert_eq!(it.tail(99), ["a", "b", "c", "d", "e"]);
}

/// A file of one endless line is not read whole.
#[test]
fn a_line_without_end_comes_in_pieces() {
    let it = log_of("");
    let file = File::options()
        .write(true)
        .open(it.home.at(&it.path))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    let lines = it.tail(3);
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.len() == LONGEST_LINE));

    let it = log_of(format!("a\n{}\nb\n", "x".repeat(LONGEST_LINE * 2 + 10)));
    let lengths: Vec<_> = it.tail(9).iter().map(String::len).collect();
    assert_eq!(lengths, [1, 10, LONGEST_LINE, LONGEST_LINE, 1]);
}

#[test]
fn rotation_keeps_five() {
    let it = log_of("small\n");
    assert!(!rotate_if_due(&it.home, &it.path).unwrap());
    for round in 0..8_u8 {
        let mut file = open(&it.home, &it.path).unwrap();
        file.set_len(0).unwrap();
        file.write_all(&[b'0' + round]).unwrap();
        file.set_len(ROTATE_AT).unwrap();
        assert!(rotate_if_due(&it.home, &it.path).unwrap());
        assert!(!it.home.at(&it.path).exists());
    }
    let mut names: Vec<_> = fs::read_dir(it.home.at("m/logs"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["m.log.1", "m.log.2", "m.log.3", "m.log.4", "m.log.5"]
    );
    assert_eq!(fs::read(it.home.at("m/logs/m.log.1")).unwrap()[0], b'7');
    assert_eq!(fs::read(it.home.at("m/logs/m.log.5")).unwrap()[0], b'3');
    assert!(!rotate_if_due(&it.home, &it.path).unwrap());
}

#[test]
fn a_log_is_not_for_everybody_and_no_link_is_followed() {
    let it = log_of("a\n");
    let mode = fs::metadata(it.home.at(&it.path))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o137, 0);
    fs::remove_file(it.home.at(&it.path)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", it.home.at(&it.path)).unwrap();
    assert!(tail(&it.home, &it.path, 5).is_err());
    assert!(open(&it.home, &it.path).is_err());
    assert!(rotate_if_due(&it.home, &it.path).is_err());
}

#[test]
fn newer_goes_by_the_times_that_lines_begin_with() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let since = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut some = lines(
        "from before\n2026-06-01T11:59:59.9Z a\n  of a\n[2026-06-01T14:00:00+02:00] b\n  of b\n2026-06-02T00:00:00Z c",
    );
    assert!(newer(&mut some, since));
    assert_eq!(
        some,
        lines("from before\n[2026-06-01T14:00:00+02:00] b\n  of b\n2026-06-02T00:00:00Z c")
    );
    let mut none = lines("listening\n12:00 told to end");
    assert!(!newer(&mut none, since));
    assert_eq!(none.len(), 2);
    assert!(newer(&mut Vec::new(), since));
}
