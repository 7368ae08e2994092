use super::*;

fn listener(address: &str, uid: u32, id: u64) -> Listener {
    Listener {
        address: address.parse().unwrap(),
        port: 1939,
        uid,
        id,
    }
}

fn judged(all: Vec<Listener>) -> Peer {
    judge(&Listeners { all }, 1939, &[1000, 1001])
}

#[test]
fn an_allowed_users_listener_is_allowed_wherever_it_can_be_met() {
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
    ] {
        assert_eq!(
            judged(vec![listener(address, 1001, 7)]),
            Peer::Allowed(vec![7]),
            "{address}"
        );
    }
}

#[test]
fn another_users_listener_is_foreign_root_included() {
    for uid in [0, 33, 65534] {
        assert_eq!(
            judged(vec![listener("127.0.0.1", uid, 7)]),
            Peer::Foreign(uid)
        );
        // One of several sockets that share the port is enough.
        assert_eq!(
            judged(vec![
                listener("127.0.0.1", 1000, 6),
                listener("127.0.0.1", uid, 7)
            ]),
            Peer::Foreign(uid)
        );
    }
}

#[test]
fn the_exact_address_is_met_before_the_wildcard() {
    assert_eq!(
        judged(vec![
            listener("0.0.0.0", 1000, 6),
            listener("127.0.0.1", 33, 7)
        ]),
        Peer::Foreign(33)
    );
    assert_eq!(
        judged(vec![
            listener("0.0.0.0", 33, 6),
            listener("127.0.0.1", 1000, 7)
        ]),
        Peer::Allowed(vec![7])
    );
}

#[test]
fn listeners_that_loopback_does_not_meet_do_not_count() {
    assert_eq!(judged(vec![listener("192.168.1.5", 1000, 7)]), Peer::Nobody);
    assert_eq!(judged(vec![listener("::1", 1000, 7)]), Peer::Nobody);
    let mut other_port = listener("127.0.0.1", 1000, 7);
    other_port.port = 1940;
    assert_eq!(judged(vec![other_port]), Peer::Nobody);
    assert_eq!(judged(vec![]), Peer::Nobody);
}

#[test]
fn the_token_goes_only_to_the_same_allowed_listener_before_and_after_the_connect() {
    let allowed = |ids: &[u64]| Peer::Allowed(ids.to_vec());
    assert!(verdict(&allowed(&[1]), &allowed(&[1]), 1).is_ok());
    for (before, after) in [
        (allowed(&[1]), allowed(&[2])),
        (allowed(&[1]), Peer::Nobody),
        (Peer::Nobody, allowed(&[1])),
        (Peer::Nobody, Peer::Nobody),
        (allowed(&[1]), Peer::Foreign(u32::MAX)),
        (Peer::Foreign(u32::MAX), allowed(&[1])),
    ] {
        let error = verdict(&before, &after, 1).unwrap_err();
        assert_eq!(error.code, Code::WrongHub, "{before:?} {after:?}");
        assert!(error.hint.is_some());
    }
}
