//! Bytes that nobody honest sends.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use rv_proto::{
    Cookie, DISCOVER_ENTRIES_MAX, DecodeError, Fact, Namespace, PeerRecord, Request, Response,
    SUBSCRIPTION_TYPES_MAX, UnverifiedRecord, classify, decode_frame,
};

use crate::common::{golden_record, sealed, vector, vectors};

/// Hands bytes to every decoder. What is accepted must encode to what decodes to the same.
fn decode_as_everything(bytes: &Bytes) {
    if let Ok(request) = Request::decode(bytes.clone()) {
        assert_eq!(Request::decode(request.encode().into()), Ok(request));
    }
    if let Ok(response) = Response::decode(bytes.clone()) {
        let encoded = response.encode();
        let again = Response::decode(encoded.clone().into()).expect("our own");
        assert_eq!(again.encode(), encoded);
    }
    if let Ok(fact) = Fact::decode(bytes.clone()) {
        assert_eq!(Fact::decode(fact.encode().into()), Ok(fact));
    }
    if let Ok(record) = PeerRecord::decode(bytes) {
        assert_eq!(PeerRecord::decode(&record.encode()), Ok(record));
    }
    if let Ok(unverified) = UnverifiedRecord::parse(bytes.clone()) {
        assert_eq!(classify(bytes), Ok(unverified.dialect()));
        let record = unverified.clone().trust();
        assert!(record.bytes().len() <= bytes.len(), "a record grew");
        let again = UnverifiedRecord::parse(record.bytes().clone()).expect("our own");
        assert!(again.is_copy_of(record.bytes()));
        assert_eq!(again.trust(), record);
        if let Ok(verified) = unverified.verify() {
            assert_eq!(verified, record);
        }
    }
    let _ = Namespace::from_bytes(bytes);
    let _ = Cookie::decode(bytes);
    let mut buffer = BytesMut::from(&bytes[..]);
    while let Ok(Some(payload)) = decode_frame(&mut buffer, 1_000) {
        assert!(payload.len() <= bytes.len());
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (any::<prop::sample::Index>(), any::<u8>())
            .prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => any::<prop::sample::Index>().prop_map(Edit::Remove),
        1 => any::<prop::sample::Index>().prop_map(Edit::Cut),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

fn edit(bytes: &mut Vec<u8>, edits: &[Edit]) {
    for edit in edits {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match edit {
            Edit::Set(at, byte) => bytes[at.index(len)] = *byte,
            Edit::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Edit::Remove(at) => drop(bytes.remove(at.index(len))),
            Edit::Cut(at) => bytes.truncate(at.index(len)),
            Edit::Repeat(from, to) => {
                let range = from.index(len)..to.index(len).max(from.index(len));
                bytes.extend_from_within(range);
            }
        }
    }
}

/// The vectors, without the length of frames, and a fact.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = vectors()
        .flat_map(|(_, bytes)| {
            let payload = decode_frame(&mut BytesMut::from(&bytes[..]), 10_000)
                .ok()
                .flatten();
            [Some(bytes), payload.map(Into::into)]
        })
        .flatten()
        .collect();
    let records = sealed(0, 1, &golden_record().addresses, rv_proto::Dialect::ALL);
    let records = rv_proto::Records::new(records).expect("one of each");
    let registered = rv_proto::Registered {
        namespace: Namespace::new("my-app").expect("a name"),
        peer: *records.peer(),
        records,
        granted: rv_proto::Ttl::DEFAULT,
        expires_at: rv_proto::Time::from_millis(1),
        origin: None,
    };
    seeds.push(Fact::Registered(registered).encode());
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_decoder_fails_on_random_bytes(bytes in vec(any::<u8>(), 0..200)) {
        decode_as_everything(&bytes.into());
    }

    #[test]
    fn no_decoder_fails_on_damaged_messages(
        seed in prop::sample::select(seeds()),
        edits in vec(any_edit(), 1..6),
    ) {
        let mut bytes = seed;
        edit(&mut bytes, &edits);
        decode_as_everything(&bytes.into());
    }

    #[test]
    fn a_damaged_envelope_proves_nothing_else(
        name in prop::sample::select(vec!["legacy-envelope", "standard-envelope"]),
        edits in vec(any_edit(), 1..4),
    ) {
        let mut bytes = vector(name);
        edit(&mut bytes, &edits);
        let verified = UnverifiedRecord::parse(bytes.into()).and_then(UnverifiedRecord::verify);
        if let Ok(record) = verified && record.seq().is_some() {
            let golden = golden_record();
            prop_assert_eq!(record.peer(), &golden.peer);
            prop_assert_eq!(record.seq(), Some(golden.seq));
            prop_assert_eq!(record.addresses(), &golden.addresses);
            prop_assert_eq!(&record.bytes()[..], vector(name));
        }
    }
}

#[test]
fn half_of_a_golden_message_is_no_panic() {
    for seed in seeds() {
        for len in 0..seed.len() {
            decode_as_everything(&Bytes::copy_from_slice(&seed[..len]));
        }
    }
}

#[test]
fn types_of_the_other_direction_and_unknown_ones_are_unexpected() {
    let request = |payload: &'static [u8]| Request::decode(Bytes::from_static(payload));
    for number in [1_u8, 4, 101, 5, 99] {
        let decoded = Request::decode(Bytes::copy_from_slice(&[8, number]));
        assert_eq!(decoded, Err(DecodeError::UnexpectedType(i32::from(number))));
    }
    for number in [0_u8, 2, 3, 100, 5, 99] {
        let decoded = Response::decode(Bytes::copy_from_slice(&[8, number]));
        assert_eq!(decoded, Err(DecodeError::UnexpectedType(i32::from(number))));
    }
    assert_eq!(
        request(b""),
        Ok(Request::Register(Default::default())),
        "absent is 0"
    );
    assert_eq!(
        Response::decode(Bytes::new()),
        Err(DecodeError::UnexpectedType(0))
    );
    assert_eq!(
        request(&[8, 3]),
        Ok(Request::Discover(Default::default())),
        "no body"
    );
}

#[test]
fn what_is_not_text_does_not_hide_the_rest() {
    // DISCOVER of the namespace ff, limit 7.
    let decoded = Request::decode(Bytes::from_static(&[8, 3, 0x2a, 5, 0x0a, 1, 0xff, 0x10, 7]));
    let Ok(Request::Discover(discover)) = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!(discover.namespace.as_deref(), Some(&[0xff][..]));
    assert_eq!(discover.limit, Some(7));

    // REGISTER_RESPONSE with the text ff, ttl 7.
    let decoded = Response::decode(Bytes::from_static(&[8, 1, 0x1a, 5, 0x12, 1, 0xff, 0x18, 7]));
    let Ok(Response::Register(response)) = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!(response.status_text, "\u{fffd}");
    assert_eq!(response.ttl_secs, Some(7));
}

#[test]
fn unknown_fields_and_dialects_are_passed_over() {
    // DISCOVER: accepts 1, 9 and 2, packed; field 2000 of the message.
    let accepts = [0xca, 0x3e, 3, 1, 9, 2];
    let payload = [&[8, 3, 0x2a, 6][..], &accepts, &[0x80, 0x7d, 1]].concat();
    let decoded = Request::decode(payload.into());
    let Ok(Request::Discover(discover)) = decoded else {
        panic!("{decoded:?}")
    };
    let names: Vec<_> = discover
        .accepts
        .iter()
        .map(|dialect| dialect.as_str())
        .collect();
    assert_eq!(names, ["legacy", "standard"]);
}

/// A message of that type with `count` empty elements in field 1 of the body.
fn with_empty_elements(head: &[u8], count: usize) -> Bytes {
    let mut payload = head.to_vec();
    let body = [0x0a, 0x00].repeat(count);
    prost::encoding::encode_varint(body.len() as u64, &mut payload);
    payload.extend(body);
    payload.into()
}

#[test]
fn lists_are_bounded_before_anything_is_built() {
    let page = |count| Response::decode(with_empty_elements(&[8, 4, 0x32], count));
    assert!(page(DISCOVER_ENTRIES_MAX).is_ok());
    let max = DISCOVER_ENTRIES_MAX;
    assert_eq!(
        page(max + 1),
        Err(DecodeError::TooMany {
            what: "entries",
            max
        })
    );

    let subscribe = |count| Request::decode(with_empty_elements(&[8, 100, 0xa2, 6], count));
    assert!(subscribe(SUBSCRIPTION_TYPES_MAX).is_ok());
    let max = SUBSCRIPTION_TYPES_MAX;
    assert_eq!(
        subscribe(max + 1),
        Err(DecodeError::TooMany {
            what: "subscription types",
            max
        })
    );
}

#[test]
fn a_list_in_several_parts_is_counted_as_one() {
    let half = with_empty_elements(&[8, 4, 0x32], DISCOVER_ENTRIES_MAX / 2 + 1);
    let payload = [&half[..], &half[2..]].concat();
    let max = DISCOVER_ENTRIES_MAX;
    assert_eq!(
        Response::decode(payload.into()),
        Err(DecodeError::TooMany {
            what: "entries",
            max
        })
    );
}

#[test]
fn nothing_hides_behind_a_group() {
    // Field 2000 as an empty group, at the top and in the body.
    let group = [0x83, 0x7d, 0x84, 0x7d];
    let top = [&group[..], &[8, 4]].concat();
    assert_eq!(Response::decode(top.into()), Err(DecodeError::Malformed));
    let body = [&[8, 4, 0x32, 4], &group[..]].concat();
    assert_eq!(Response::decode(body.into()), Err(DecodeError::Malformed));
}
