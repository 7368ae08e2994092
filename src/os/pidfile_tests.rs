use super::*;
use proptest::prelude::*;

fn pid_of(text: &str) -> Option<u32> {
    parse(text.as_bytes()).map(|record| record.pid)
}

#[test]
fn a_bare_pid_of_another_program_is_read_up_to_the_first_non_digit() {
    assert_eq!(pid_of("4711"), Some(4711));
    assert_eq!(pid_of("4711\n"), Some(4711));
    assert_eq!(pid_of("4711 vault\r\n"), Some(4711));
    assert_eq!(pid_of("  4711x"), Some(4711));
}

#[test]
fn impossible_pids_are_none() {
    for text in [
        "",
        "\n",
        "0",
        "1",
        "-5",
        "+5",
        "vault",
        "99999999",
        "4294967298",
        "99999999999999999999",
        "\0\0\0",
    ] {
        assert_eq!(parse(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(pid_of(&std::process::id().to_string()), None, "our own");
}

#[test]
fn line_ends_of_other_systems_and_unknown_lines_are_tolerated() {
    let record = parse(b"4711\r\nstart=99\r\nnew=1\r\nboot=b-1\r\nspawn=s-1\r\n").unwrap();
    assert_eq!(
        record,
        Record {
            pid: 4711,
            start: Some(99),
            boot: Some("b-1".into()),
            spawn: Some("s-1".into()),
        }
    );
}

#[test]
fn a_broken_start_is_no_start() {
    let record = parse(b"4711\nstart=-1\nboot=\nspawn=").unwrap();
    assert_eq!(
        (record.start, record.boot, record.spawn),
        (None, None, None)
    );
}

#[test]
fn it_lives_under_the_home_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path());
    let path = crate::home::rel::pidfile("vault");
    assert_eq!(read(&home, &path).unwrap(), None);
    let record = parse(b"4711\nstart=99\nboot=b\nspawn=s").unwrap();
    write(&home, &path, &record).unwrap();
    assert_eq!(read(&home, &path).unwrap(), Some(record));
    remove(&home, &path).unwrap();
    remove(&home, &path).unwrap();
    assert_eq!(read(&home, &path).unwrap(), None);
}

#[test]
fn a_huge_one_is_read_to_its_start_only() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path());
    std::fs::write(
        dir.path().join("a.pid"),
        format!("4711\n{}", "x".repeat(1 << 20)),
    )
    .unwrap();
    let record = read(&home, Path::new("a.pid")).unwrap().unwrap();
    assert_eq!(record.pid, 4711);
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>) {
        if let Some(record) = parse(&bytes) {
            prop_assert!(record.pid >= 2);
        }
    }

    #[test]
    fn what_is_rendered_is_read(pid in 2u32..=HIGHEST, start: Option<u64>, word in "[a-f0-9-]{1,36}") {
        prop_assume!(pid != std::process::id());
        let record = Record { pid, start, boot: Some(word.clone()), spawn: Some(word) };
        prop_assert_eq!(parse(render(&record).as_bytes()), Some(record));
    }
}
