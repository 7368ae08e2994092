use super::*;
use proptest::prelude::*;

fn line(name: &str, state: char, threads: u32) -> String {
    format!(
        "4711 ({name}) {state} 1 4711 4710 34816 -1 4194304 101 0 0 0 150 50 0 0 20 0 {threads} 0 \
         122817 3133440 394 18446744073709551615 1 1 0"
    )
}

#[test]
fn names_may_hold_anything() {
    let plain = parse(line("cat", 'S', 1).as_bytes()).unwrap();
    for name in ["a b", "a) R 9 9 9", "((", ")", "a\nb", ""] {
        assert_eq!(
            parse(line(name, 'S', 1).as_bytes()),
            Some(plain),
            "{name:?}"
        );
    }
    let mut odd = b"1 (\xff\xfe".to_vec();
    odd.extend(&line("", 'S', 1).into_bytes()[6..]);
    assert_eq!(parse(&odd), Some(plain));
    let p = plain.into_process(4711, 7);
    assert_eq!((p.parent, p.group, p.session, p.uid), (1, 4711, 4710, 7));
    assert_eq!((p.start, p.terminal, p.zombie), (122_817, true, false));
    assert_eq!(p.cpu, ticks(200));
}

#[test]
fn a_zombie_has_no_threads_left() {
    let p = |state, threads| {
        parse(line("x", state, threads).as_bytes())
            .unwrap()
            .into_process(1, 0)
    };
    assert!(p('Z', 1).zombie && p('X', 1).zombie);
    assert!(!p('Z', 4).zombie, "its main thread alone has ended");
    assert!(!p('D', 1).zombie);
}

#[test]
fn half_a_line_is_no_process() {
    let whole = line("cat", 'S', 1);
    for cut in 0..whole.find("122817").unwrap() {
        assert_eq!(parse(&whole.as_bytes()[..cut]), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_name_is_passed_over(name in "[ -~\n]{0,15}") {
        prop_assert_eq!(
            parse(line(&name, 'S', 1).as_bytes()),
            parse(line("cat", 'S', 1).as_bytes())
        );
    }
}
