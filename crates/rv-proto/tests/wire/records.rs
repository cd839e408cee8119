//! Records, with libp2p-core as the second opinion.

use bytes::Bytes;
use libp2p_core::{PeerRecord as CoreRecord, SignedEnvelope};
use proptest::prelude::*;
use rv_proto::libp2p_identity::{Keypair, ecdsa, secp256k1};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{
    Dialect, KeyType, PeerRecord, RECORD_ADDRESSES_MAX, RECORD_BYTES_MAX, Record, RecordError,
    SealError, UnverifiedRecord, classify,
};

use crate::common::{any_addresses, golden_record, key, peer_of, unhex, vector};

fn verify(bytes: impl Into<Bytes>) -> Result<Record, RecordError> {
    UnverifiedRecord::parse(bytes.into())?.verify()
}

fn envelope_by_core(dialect: Dialect, key: &Keypair, addresses: Vec<Multiaddr>) -> CoreRecord {
    match dialect {
        Dialect::Legacy => CoreRecord::new(key, addresses),
        Dialect::Standard => CoreRecord::new_interop(key, addresses),
        Dialect::Plain => panic!("core has no plain records"),
    }
    .expect("the key signs")
}

fn read_by_core(dialect: Dialect, bytes: &[u8]) -> CoreRecord {
    let envelope = SignedEnvelope::from_protobuf_encoding(bytes).expect("an envelope");
    match dialect {
        Dialect::Legacy => CoreRecord::from_signed_envelope(envelope),
        Dialect::Standard => CoreRecord::from_signed_envelope_interop(envelope),
        Dialect::Plain => panic!("core has no plain records"),
    }
    .expect("a record")
}

const SIGNED: [Dialect; 2] = [Dialect::Legacy, Dialect::Standard];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn core_reads_what_we_seal(seed: u8, seq: u64, addresses in any_addresses()) {
        let key = key(seed);
        let record = PeerRecord { peer: peer_of(&key), seq, addresses };
        for dialect in SIGNED {
            let envelope = record.seal(dialect, &key).expect("ed25519 signs");
            let read = read_by_core(dialect, &envelope);
            prop_assert_eq!(read.peer_id(), record.peer);
            prop_assert_eq!(read.seq(), record.seq);
            prop_assert_eq!(read.addresses(), &record.addresses);
        }
    }

    #[test]
    fn we_read_what_core_seals(seed: u8, addresses in any_addresses()) {
        let key = key(seed);
        for dialect in SIGNED {
            let sealed = envelope_by_core(dialect, &key, addresses.clone());
            let bytes = sealed.to_signed_envelope().into_protobuf_encoding();
            let record = verify(bytes.clone()).expect("a record");
            prop_assert_eq!(record.dialect(), dialect);
            prop_assert_eq!(record.peer(), &sealed.peer_id());
            prop_assert_eq!(record.seq(), Some(sealed.seq()));
            prop_assert_eq!(record.addresses(), &addresses);
            prop_assert_eq!(record.key_type(), Some(KeyType::Ed25519));
            prop_assert_eq!(&record.bytes()[..], bytes, "an honest record stays as it is");
        }
    }

    #[test]
    fn a_plain_record_comes_back_as_it_went(seed: u8, addresses in any_addresses()) {
        let record = Record::plain(&peer_of(&key(seed)), &addresses);
        prop_assert_eq!(verify(record.bytes().clone()), Ok(record));
    }
}

#[test]
fn golden_envelopes_are_made_and_verified() {
    for dialect in SIGNED {
        let bytes = vector(&format!("{dialect}-envelope"));
        let golden = golden_record();
        assert_eq!(golden.seal(dialect, &key(0)).expect("ed25519 signs"), bytes);
        assert_eq!(classify(&bytes), Ok(dialect));

        let record = verify(bytes.clone()).expect("genuine");
        assert_eq!(record.dialect(), dialect);
        assert_eq!(record.peer(), &golden.peer);
        assert_eq!(record.seq(), Some(1));
        assert_eq!(record.addresses(), golden.addresses);
        assert_eq!(record.bytes(), &bytes);
    }
}

#[test]
fn a_signed_record_without_its_signature_is_the_plain_one() {
    let plain = vector("plain-record");
    assert_eq!(classify(&plain), Ok(Dialect::Plain));
    let wanted = verify(plain.clone()).expect("plain");
    assert_eq!(wanted.bytes(), &plain);
    assert_eq!(wanted.seq(), None);
    assert_eq!(wanted.key_type(), Some(KeyType::Ed25519));
    for name in ["legacy-envelope", "standard-envelope", "plain-record"] {
        assert_eq!(verify(vector(name)).expect("genuine").to_plain(), wanted);
    }
}

#[test]
fn every_type_of_key_verifies() {
    let scalar = [7; 32];
    let secp256k1 = secp256k1::SecretKey::try_from_bytes(scalar).expect("a scalar");
    let ecdsa = ecdsa::SecretKey::try_from_bytes(scalar).expect("a scalar");
    let keys: [(Keypair, KeyType, Option<KeyType>); 3] = [
        (key(7), KeyType::Ed25519, Some(KeyType::Ed25519)),
        (
            secp256k1::Keypair::from(secp256k1).into(),
            KeyType::Secp256k1,
            Some(KeyType::Secp256k1),
        ),
        // Its peer id is a hash, so the plain record does not tell.
        (ecdsa::Keypair::from(ecdsa).into(), KeyType::Ecdsa, None),
    ];
    for (key, signed_type, plain_type) in keys {
        let record = PeerRecord {
            peer: peer_of(&key),
            ..golden_record()
        };
        for dialect in SIGNED {
            let envelope = record.seal(dialect, &key).expect("the key signs");
            let verified = verify(envelope).expect("genuine");
            assert_eq!(verified.key_type().as_ref(), Some(&signed_type));
            assert_eq!(verified.to_plain().key_type(), plain_type);
        }
    }
}

#[test]
fn a_record_signed_with_rsa_verifies() {
    let record = verify(vector("rsa-standard-envelope")).expect("genuine");
    assert_eq!(record.key_type(), Some(KeyType::RSA));
    assert_eq!(record.dialect(), Dialect::Standard);
    assert_eq!(record.addresses(), golden_record().addresses);
    let read = read_by_core(Dialect::Standard, record.bytes());
    assert_eq!(&read.peer_id(), record.peer());
}

#[test]
fn every_bit_of_a_signature_and_of_what_it_covers_counts() {
    let golden = golden_record();
    for dialect in SIGNED {
        let bytes = vector(&format!("{dialect}-envelope"));
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            let verified = verify(forged);
            assert!(verified.is_err(), "byte {at}: {verified:?}");
        }
    }
    assert_eq!(golden.seq, 1);
}

#[test]
fn a_signature_over_another_record_is_forged() {
    let key = key(0);
    let newer = PeerRecord {
        seq: 2,
        ..golden_record()
    };
    let genuine = newer.seal(Dialect::Standard, &key).expect("ed25519 signs");
    let (body, _) = genuine.split_at(genuine.len() - 64);
    let old = vector("standard-envelope");
    let forged = [body, &old[old.len() - 64..]].concat();
    assert_eq!(verify(forged), Err(RecordError::Forged));
}

#[test]
fn a_signature_of_the_other_dialect_is_forged() {
    // The standard payload type in front of a legacy signature, and the reverse.
    for (head, tail) in [("legacy", "standard"), ("standard", "legacy")] {
        let head = vector(&format!("{head}-envelope"));
        let tail = vector(&format!("{tail}-envelope"));
        let mixed = [&head[..head.len() - 64], &tail[tail.len() - 64..]].concat();
        assert_eq!(verify(mixed), Err(RecordError::Forged));
    }
}

#[test]
fn a_record_about_somebody_else_is_refused() {
    for dialect in SIGNED {
        let envelope = golden_record()
            .seal(dialect, &key(1))
            .expect("ed25519 signs");
        assert_eq!(verify(envelope), Err(RecordError::KeyMismatch));
    }
}

#[test]
fn plain_records_are_not_signed() {
    let sealed = golden_record().seal(Dialect::Plain, &key(0));
    assert!(matches!(sealed, Err(SealError::Unsigned)), "{sealed:?}");
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// An envelope by the golden key around any payload.
fn seal_payload(payload_type: &[u8], domain: &str, payload: &[u8]) -> Vec<u8> {
    SignedEnvelope::new(
        &key(0),
        domain.to_owned(),
        payload_type.to_vec(),
        payload.to_vec(),
    )
    .expect("ed25519 signs")
    .into_protobuf_encoding()
}

fn seal_standard(payload: &[u8]) -> Vec<u8> {
    seal_payload(&[3, 1], "libp2p-peer-record", payload)
}

#[test]
fn an_envelope_around_something_else_is_told_by_its_type() {
    let payload = golden_record().encode();
    for payload_type in [
        &b""[..],
        &[0x30, 0, 0],
        &[3, 1, 0],
        b"/libp2p/routing-state-recore",
    ] {
        let envelope = seal_payload(payload_type, "libp2p-peer-record", &payload);
        assert_eq!(classify(&envelope), Err(RecordError::PayloadType));
        assert_eq!(verify(envelope), Err(RecordError::PayloadType));
    }
}

#[test]
fn one_bad_address_spoils_a_signed_record() {
    let head = field(1, &vector("peer-id"));
    let good = field(3, &field(1, &vector("multiaddr")));
    for bad in [&field(1, &[0xff, 0xff])[..], &field(1, b""), b"", &[8, 1]] {
        let payload = [&head[..], &[0x10, 1], &good, &field(3, bad), &good].concat();
        assert_eq!(
            verify(seal_standard(&payload)),
            Err(RecordError::BadAddress { index: 1 })
        );
    }
}

#[test]
fn a_plain_record_loses_its_bad_addresses() {
    let head = field(1, &vector("peer-id"));
    let good = field(2, &vector("multiaddr"));
    let bad = field(2, &[0xff, 0xff]);
    let record = verify([&head[..], &bad, &good, &field(2, b"")].concat()).expect("one is left");
    assert_eq!(record.bytes(), &vector("plain-record"));
    assert_eq!(record.addresses(), golden_record().addresses);

    assert_eq!(
        verify([&head[..], &bad].concat()),
        Err(RecordError::NoAddress)
    );
    assert_eq!(verify(head), Err(RecordError::NoAddress));
}

#[test]
fn too_many_addresses_are_refused_in_every_dialect() {
    let peer = field(1, &vector("peer-id"));
    let short = unhex("91020203"); // /udp/515
    for (count, fits) in [
        (RECORD_ADDRESSES_MAX, true),
        (RECORD_ADDRESSES_MAX + 1, false),
    ] {
        let signed = [&peer[..], &field(3, &field(1, &short)).repeat(count)].concat();
        let plain = [&peer[..], &field(2, &short).repeat(count)].concat();
        let wanted = if fits {
            Ok(count)
        } else {
            Err(RecordError::TooManyAddresses { count })
        };
        for bytes in [seal_standard(&signed), plain] {
            assert_eq!(verify(bytes).map(|record| record.addresses().len()), wanted);
        }
    }
}

#[test]
fn ten_thousand_addresses_are_too_large() {
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().expect("a multiaddr");
    let record = PeerRecord {
        addresses: vec![address; 10_000],
        ..golden_record()
    };
    let mut all = vec![
        Record::plain(&record.peer, &record.addresses)
            .bytes()
            .clone(),
    ];
    all.extend(SIGNED.map(|dialect| record.seal(dialect, &key(0)).expect("ed25519 signs")));
    for envelope in all {
        let bytes = envelope.len();
        assert_eq!(verify(envelope), Err(RecordError::TooLarge { bytes }));
    }
    let payload = record.encode();
    let bytes = payload.len();
    assert_eq!(
        PeerRecord::decode(&payload),
        Err(RecordError::TooLarge { bytes })
    );
}

#[test]
fn one_byte_above_the_bound_is_too_large() {
    let mut bytes = vector("plain-record");
    // An unknown field fills it up: tag, length of two bytes, the rest.
    let filler = vec![0; RECORD_BYTES_MAX - bytes.len() - 3];
    bytes.extend(field(9, &filler));
    assert_eq!(bytes.len(), RECORD_BYTES_MAX);
    assert!(verify(bytes.clone()).is_ok());
    bytes.extend([0x50, 0]);
    assert_eq!(
        verify(bytes),
        Err(RecordError::TooLarge {
            bytes: RECORD_BYTES_MAX + 2
        })
    );
}

#[test]
fn what_only_some_readers_skip_does_not_go_out() {
    let genuine = vector("standard-envelope");
    // An unknown field is dropped from the envelope, which the signature does not cover.
    let record = verify([&genuine[..], &field(9, b"junk")].concat()).expect("genuine");
    assert_eq!(record.bytes(), &genuine);
    // A group is refused there, and in the payload, which cannot be changed.
    let group = [0x4b, 0x4c];
    let malformed = RecordError::Undecodable("not a protobuf message");
    assert_eq!(verify([&genuine[..], &group].concat()), Err(malformed));
    let payload = [&golden_record().encode()[..], &group].concat();
    assert_eq!(verify(seal_standard(&payload)), Err(malformed));
}

#[test]
fn of_repeated_fields_the_last_one_counts() {
    let genuine = vector("legacy-envelope");
    let record = verify([&field(1, b"\x08junk")[..], &field(5, b""), &genuine].concat());
    assert_eq!(record.expect("genuine").bytes(), &genuine);
    let spoiled = [&genuine[..], &field(5, b"")].concat();
    assert_eq!(verify(spoiled), Err(RecordError::Forged));
}

#[test]
fn neither_form_is_taken_for_the_other() {
    let peer = field(1, &vector("peer-id"));
    let public_key = field(1, &vector("public-key"));
    let rest = [field(2, &[3, 1]), field(3, b""), field(5, b"")].concat();
    let neither = RecordError::Undecodable("neither an envelope nor a peer info");
    assert_eq!(classify(&[&peer[..], &rest].concat()), Err(neither));
    assert_eq!(
        classify(&[&public_key[..], &field(2, b"x")].concat()),
        Err(neither)
    );
    assert_eq!(
        classify(&[&peer[..], &field(3, b"")].concat()),
        Err(neither)
    );
    assert_eq!(
        classify(&[&peer[..], &field(5, b"")].concat()),
        Err(neither)
    );
    assert!(classify(b"").is_err());
    assert!(classify(&[8, 1]).is_err());
    let hashed = field(1, &[&[0x12, 0x20][..], &[7; 32]].concat());
    assert_eq!(classify(&hashed), Ok(Dialect::Plain));
}

#[test]
fn a_copy_is_known_without_its_signature() {
    let genuine = vector("legacy-envelope");
    let parse = |bytes: Vec<u8>| UnverifiedRecord::parse(bytes.into()).expect("a record");
    let record = parse(genuine.clone()).verify().expect("genuine");
    assert!(parse(genuine.clone()).is_copy_of(record.bytes()));
    assert_eq!(parse(genuine.clone()).trust(), record);

    let mut forged = genuine;
    *forged.last_mut().expect("not empty") ^= 1;
    assert!(!parse(forged).is_copy_of(record.bytes()));
    assert!(!parse(vector("standard-envelope")).is_copy_of(record.bytes()));
}

#[test]
fn a_record_does_not_keep_the_frame_that_it_came_in() {
    let frame = Bytes::from(vector("legacy-register-frame"));
    let start = frame.len() - 3 - vector("legacy-envelope").len();
    let record = UnverifiedRecord::parse(frame.slice(start..frame.len() - 3)).expect("a record");
    let record = record.verify().expect("genuine");
    assert!(frame.is_unique(), "the record shares the frame's memory");
    assert_eq!(record.bytes(), &vector("legacy-envelope"));
}

#[test]
fn a_good_key_in_an_unusual_encoding_is_refused() {
    let key = key(3);
    let record = PeerRecord {
        peer: peer_of(&key),
        seq: 1,
        addresses: Vec::new(),
    };
    let envelope = record.seal(Dialect::Legacy, &key).expect("ed25519 signs");
    let usual = key.public().encode_protobuf();
    let unusual = [&usual[..], &[0x18, 0x01]].concat();
    // Field 1 of the envelope is the key; the signature does not cover it.
    let head = [0x0a, u8::try_from(unusual.len()).expect("a short key")];
    let changed = [&head[..], &unusual, &envelope[2 + usual.len()..]].concat();

    assert!(verify(envelope).is_ok());
    assert!(matches!(verify(changed), Err(RecordError::Undecodable(_))));
}
