//! Test vectors, keys, and strategies for random values.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rv_proto::libp2p_identity::{Keypair, PeerId};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{Dialect, Namespace, PeerRecord, Record, Records, UnverifiedRecord, decode_frame};

const VECTORS: &str = include_str!("../vectors.txt");

/// Name and bytes of every test vector.
pub(crate) fn vectors() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = VECTORS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (name, hex) = line.split_once(' ').expect("a name and hex");
        (name, unhex(hex))
    })
}

pub(crate) fn vector(name: &str) -> Vec<u8> {
    let found = vectors().find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("no vector {name}")).1
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte");
    let digit = |index| u8::from_str_radix(&hex[index..index + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The message in a frame that is nothing else.
pub(crate) fn unframe(frame: &[u8]) -> Bytes {
    let mut buffer = frame.into();
    let payload = decode_frame(&mut buffer, usize::MAX)
        .expect("a frame")
        .expect("all of it");
    assert!(buffer.is_empty(), "bytes after the frame");
    payload
}

/// An ed25519 key; seed 0 is the one of the test vectors.
pub(crate) fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("any 32 bytes are a seed")
}

pub(crate) fn peer_of(key: &Keypair) -> PeerId {
    key.public().to_peer_id()
}

/// The record that is in the test vectors.
pub(crate) fn golden_record() -> PeerRecord {
    let address = "/ip4/127.0.0.1/tcp/4001".parse().expect("a multiaddr");
    PeerRecord {
        peer: peer_of(&key(0)),
        seq: 1,
        addresses: vec![address],
    }
}

pub(crate) fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

pub(crate) fn maybe_bytes() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(any_bytes())
}

pub(crate) fn any_namespace() -> impl Strategy<Value = Namespace> {
    "\\PC{1,60}".prop_map(|name| Namespace::new(name).expect("at most 240 bytes"))
}

fn any_address() -> impl Strategy<Value = Multiaddr> {
    let text = prop_oneof![
        (any::<std::net::Ipv4Addr>(), any::<u16>())
            .prop_map(|(ip, port)| format!("/ip4/{ip}/tcp/{port}")),
        (any::<std::net::Ipv6Addr>(), any::<u16>())
            .prop_map(|(ip, port)| format!("/ip6/{ip}/udp/{port}/quic-v1")),
        "[a-z]{1,20}".prop_map(|name| format!("/dns4/{name}.example/tcp/443/wss")),
    ];
    text.prop_map(|text| text.parse().expect("a multiaddr"))
}

pub(crate) fn any_addresses() -> impl Strategy<Value = Vec<Multiaddr>> {
    vec(any_address(), 1..6)
}

/// The same record, by the key of that seed, in each of the dialects.
pub(crate) fn sealed(
    seed: u8,
    seq: u64,
    addresses: &[Multiaddr],
    dialects: impl IntoIterator<Item = Dialect>,
) -> Vec<Record> {
    let key = key(seed);
    let record = PeerRecord {
        peer: peer_of(&key),
        seq,
        addresses: addresses.to_vec(),
    };
    let seal = |dialect| match dialect {
        Dialect::Legacy | Dialect::Standard => {
            let envelope = record.seal(dialect, &key).expect("ed25519 signs");
            UnverifiedRecord::parse(envelope).expect("a record").trust()
        }
        Dialect::Plain => Record::plain(&record.peer, &record.addresses),
    };
    dialects.into_iter().map(seal).collect()
}

pub(crate) fn any_records() -> impl Strategy<Value = Records> {
    (any::<u8>(), any::<u64>(), any_addresses(), 1_u8..8).prop_map(
        |(seed, seq, addresses, bits)| {
            let dialects = rv_proto::DialectSet::from_bits(bits).iter();
            Records::new(sealed(seed, seq, &addresses, dialects)).expect("one of each")
        },
    )
}
