use super::*;
use proptest::prelude::*;

#[test]
fn a_line_of_each_table() {
    let v4 = b"   0: 0100007F:0793 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0";
    let Line::Listening(listener) = parse(v4) else {
        panic!()
    };
    assert_eq!(listener.address.to_string(), "127.0.0.1");
    assert_eq!(
        (listener.port, listener.uid, listener.id),
        (1939, 1000, 4711)
    );
    let v6 = b"  0: 0000000000000000FFFF00000100007F:0793 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0";
    let Line::Listening(listener) = parse(v6) else {
        panic!()
    };
    assert_eq!(listener.address.to_string(), "::ffff:127.0.0.1");
    assert!(listener.reachable());
}

#[test]
fn what_else_stands_there() {
    assert_eq!(parse(b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"), Line::Skip);
    let other = b"   1: 0100007F:0793 0100007F:1000 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1";
    assert_eq!(parse(other), Line::Other);
    let half_open = b"   1: 0100007F:0793 0100007F:1000 03 00000000:00000000 00:00000000 00000000  1000        0 0 1";
    assert_eq!(parse(half_open), Line::Skip);
    assert_eq!(parse(b""), Line::Skip);
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_address_is_no_panic(text in "\\PC{8}|\\PC{32}") {
        let _ = address_of(&text);
    }
}
