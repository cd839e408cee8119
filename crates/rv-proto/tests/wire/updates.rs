//! Updates of subscriptions, and the records of type `inmem`.

use std::str::FromStr as _;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use rv_proto::libp2p_identity::PeerId;
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{
    DecodeError, EncodedEntry, Entry, InmemRecord, Namespace, Record, Removal, Status,
    SubscriptionUpdate, Time, UPDATE_ENTRIES_MAX, append_removal, decode_frame, encode_frame,
    encode_update_frame, inmem_details,
};

const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

fn peer() -> PeerId {
    PeerId::from_str(PEER).expect("a peer id")
}

fn namespace() -> Namespace {
    Namespace::new("my-app").expect("a namespace")
}

fn any_update() -> impl Strategy<Value = SubscriptionUpdate> {
    let bytes = || vec(any::<u8>(), 0..8).prop_map(Bytes::from);
    let entry = (bytes(), bytes(), any::<u64>(), any::<Option<bool>>()).prop_map(
        |(namespace, record, ttl_secs, verified)| Entry {
            namespace: Some(namespace),
            record: Some(record),
            ttl_secs: Some(ttl_secs),
            verified,
        },
    );
    let removal = (bytes(), bytes()).prop_map(|(namespace, peer)| Removal {
        namespace: Some(namespace),
        peer: Some(peer),
    });
    let end = proptest::option::of((any::<u32>().prop_map(Status::from_code), any::<String>()));
    (
        vec(entry, 0..4),
        vec(removal, 0..4),
        proptest::option::of(bytes()),
        any::<(bool, bool)>(),
        end,
    )
        .prop_map(
            |(entries, removals, cookie, (is_reset, is_complete), end)| SubscriptionUpdate {
                entries,
                removals,
                cookie,
                is_reset,
                is_complete,
                end,
            },
        )
}

proptest! {
    #[test]
    fn an_update_comes_back_as_it_went(update in any_update()) {
        prop_assert_eq!(SubscriptionUpdate::decode(update.encode().into()), Ok(update));
    }

    #[test]
    fn any_bytes_are_an_update_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let _ = SubscriptionUpdate::decode(bytes.clone().into());
        let _ = InmemRecord::decode(bytes.into());
    }
}

#[test]
fn an_update_of_encoded_parts_has_the_bytes_of_one_that_was_built() {
    let entry = EncodedEntry::new(&namespace(), b"record");
    let peer = peer().to_bytes();
    let built = |removals, cookie: Option<&'static [u8]>, is_reset, is_complete| {
        let update = SubscriptionUpdate {
            entries: vec![Entry {
                namespace: Some(Bytes::from_static(b"my-app")),
                record: Some(Bytes::from_static(b"record")),
                ttl_secs: Some(300),
                verified: Some(true),
            }],
            removals,
            cookie: cookie.map(Bytes::from_static),
            is_reset,
            is_complete,
            end: None,
        };
        encode_frame(&update.encode())
    };
    let mut changes = Vec::new();
    entry.append_marked_to(300, true, &mut changes);
    let expected = built(Vec::new(), None, true, false);
    assert_eq!(encode_update_frame(&changes, None, true, false), expected);

    append_removal(&namespace(), &peer, &mut changes);
    let removal = Removal {
        namespace: Some(Bytes::from_static(b"my-app")),
        peer: Some(peer.into()),
    };
    let expected = built(vec![removal], Some(b"8 bytes."), false, true);
    let frame = encode_update_frame(&changes, Some(b"8 bytes."), false, true);
    assert_eq!(frame, expected);
}

#[test]
fn an_update_with_more_than_may_be_is_refused_before_it_takes_memory() {
    let update = SubscriptionUpdate {
        removals: vec![Removal::default(); UPDATE_ENTRIES_MAX + 1],
        ..SubscriptionUpdate::default()
    };
    let error = DecodeError::TooMany {
        what: "removals",
        max: UPDATE_ENTRIES_MAX,
    };
    assert_eq!(
        SubscriptionUpdate::decode(update.encode().into()),
        Err(error)
    );
}

#[test]
fn go_is_told_of_a_registration_in_the_bytes_of_its_own_server() {
    let address: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().expect("an address");
    let record = Record::plain(&peer(), std::slice::from_ref(&address));
    let expires_at = Time::from_millis(1_700_000_000_123);
    let told = InmemRecord::new(&peer(), record.bytes(), &namespace(), expires_at);
    let frame = told.to_frame();

    let mut expected = vec![0x0a, 52];
    expected.extend_from_slice(PEER.as_bytes());
    expected.extend_from_slice(&[0x12, 8, 4, 203, 0, 113, 7, 6, 0x0f, 0xa1]);
    expected.extend_from_slice(b"\x1a\x06my-app");
    // 1,700,000,000,123 as a varint.
    expected.extend_from_slice(&[0x20, 0xfb, 0xd0, 0x95, 0xff, 0xbc, 0x31]);
    assert_eq!(frame, encode_frame(&expected));

    let mut buffer = BytesMut::from(&frame[..]);
    let payload = decode_frame(&mut buffer, frame.len()).expect("a frame");
    assert_eq!(InmemRecord::decode(payload.expect("whole")), Ok(told));
}

#[test]
fn the_details_for_go_are_json_whatever_the_namespace() {
    assert_eq!(
        inmem_details(&peer(), "my-app"),
        format!(r#"{{"PeerID":"{PEER}","ChannelName":"my-app"}}"#)
    );
    assert_eq!(
        inmem_details(&peer(), "a\"b\\c\n\u{e9}"),
        format!("{{\"PeerID\":\"{PEER}\",\"ChannelName\":\"a\\\"b\\\\c\\u000a\u{e9}\"}}")
    );
}
