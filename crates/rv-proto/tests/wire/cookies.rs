//! Cookies.

use proptest::prelude::*;
use rv_proto::{Cookie, CookieError, Dialect, Epoch, Scope, Seq};

use crate::common::any_namespace;

fn any_cookie() -> impl Strategy<Value = Cookie> {
    let dialect = proptest::option::of(proptest::sample::select(Dialect::ALL.to_vec()));
    let scope = proptest::option::of(any_namespace())
        .prop_map(|namespace| namespace.map_or(Scope::All, Scope::Namespace));
    (dialect, any::<u32>(), 0..=Seq::MAX.get(), scope).prop_map(|(dialect, epoch, seq, scope)| {
        let seq = Seq::new(seq).expect("within 44 bits");
        Cookie {
            dialect,
            epoch: Epoch::from_bits(epoch),
            seq,
            scope,
        }
    })
}

proptest! {
    #[test]
    fn a_cookie_comes_back_as_it_went(cookie in any_cookie()) {
        let bytes = cookie.encode();
        let raw = Cookie::decode(&bytes).expect("8 bytes and more");
        prop_assert_eq!(raw.dialect, cookie.dialect);
        prop_assert_eq!(raw.epoch, cookie.epoch);
        prop_assert_eq!(raw.seq, cookie.seq);
        prop_assert_eq!(raw.namespace, cookie.scope.namespace_bytes());
    }

    #[test]
    fn any_8_bytes_are_the_head_of_one_cookie(head: [u8; 8]) {
        let raw = Cookie::decode(&head).expect("8 bytes");
        let cookie =
            Cookie { dialect: raw.dialect, epoch: raw.epoch, seq: raw.seq, scope: Scope::All };
        prop_assert_eq!(cookie.encode(), head);
    }
}

#[test]
fn bits_stand_where_the_layout_says() {
    let scope: Scope = rv_proto::Namespace::new("a").expect("a name").into();
    let cookie = Cookie {
        dialect: Some(Dialect::Standard),
        epoch: Epoch::from_bits(1),
        seq: Seq::new(2).expect("small"),
        scope,
    };
    assert_eq!(cookie.encode(), [0x80, 0, 0x10, 0, 0, 0, 0, 2, b'a']);
    let last = Cookie {
        epoch: Epoch::from_bits(u32::MAX),
        seq: Seq::MAX,
        ..cookie
    };
    assert_eq!(
        last.encode(),
        [0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'a']
    );
}

#[test]
fn less_than_8_bytes_are_no_cookie() {
    for len in 0..8 {
        assert_eq!(Cookie::decode(&vec![0; len]), Err(CookieError::Short));
    }
}
