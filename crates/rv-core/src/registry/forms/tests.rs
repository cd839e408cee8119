//! Who is shown what.

use bytes::Bytes;

use libp2p_identity::{Keypair, ecdsa, secp256k1};
use multiaddr::Multiaddr;
use rv_proto::{KeyType, PeerRecord, UnverifiedRecord};

use super::*;

/// What is in the table, each in an address that everybody parses.
const KNOWN: [&str; 13] = [
    "/ip4/203.0.113.7/tcp/4001",
    "/ip6/2001:db8::7/udp/4001/quic-v1",
    "/ip6/2001:db8::7/udp/4001/quic",
    "/dns/example.org/tcp/443/wss",
    "/dns4/example.org/tcp/443/tls/ws",
    "/dns6/example.org/tcp/80/ws",
    "/dnsaddr/example.org",
    "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
    "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
    "/ip4/203.0.113.7/udp/1/quic-v1/webtransport",
    "/udp/1/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
    "/ip4/203.0.113.7/tcp/1/tls/ws/p2p-circuit",
];

/// What no table has, alone and at the end of an address that everybody parses.
const RARE: [&str; 4] = [
    "/unix/run%2Fsock",
    "/ip4/203.0.113.7/udp/1/utp",
    "/ip4/203.0.113.7/tcp/80/x-parity-ws/%2Fpath",
    "/ip4/203.0.113.7/tcp/80/http/http-path/x",
];

/// What readers of signed records parse, and some readers of plain ones do not.
const SIGNED_ONLY: [&str; 11] = [
    "/memory/7",
    "/ip4/203.0.113.7/udp/1/webrtc-direct",
    "/p2p-circuit/webrtc",
    "/ip4/203.0.113.7/tcp/80/http",
    "/ip4/203.0.113.7/tcp/4001/noise",
    "/ip4/203.0.113.7/sctp/1",
    "/dns4/my_host/tcp/1",
    "/dns4/-host/tcp/1",
    "/dns6/a..b/tcp/1",
    "/dns/host-/tcp/1",
    "/dns4/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/tcp/1",
];

fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    let parse = |text: &&str| {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    texts.iter().map(parse).collect()
}

fn ed25519() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).expect("32 bytes")
}

fn record(dialect: Dialect, key: &Keypair, texts: &[&str]) -> Record {
    let peer = key.public().to_peer_id();
    if dialect == Dialect::Plain {
        return Record::plain(&peer, &addresses(texts));
    }
    let payload = PeerRecord {
        peer,
        seq: 1,
        addresses: addresses(texts),
    };
    let envelope = payload.seal(dialect, key).expect("sealed");
    UnverifiedRecord::parse(envelope)
        .expect("parsed")
        .verify()
        .expect("ours")
}

fn forms(records: impl IntoIterator<Item = Record>) -> Forms {
    let namespace = Namespace::new("my-app").expect("a name");
    Forms::new(&namespace, &Records::new(records).expect("one a dialect"))
}

/// These dialects are served, and no others.
fn check(forms: &Forms, servable: &[Dialect], what: &str) {
    let expected: DialectSet = servable.iter().copied().collect();
    assert_eq!(forms.servable(), expected, "{what}");
    for dialect in servable {
        assert!(forms.entry(*dialect).is_some(), "{what}: {dialect:?}");
    }
}

fn plain_addresses(forms: &Forms) -> Vec<Multiaddr> {
    let entry = forms.entry(Dialect::Plain).expect("a plain form");
    let bytes = Bytes::copy_from_slice(entry.record());
    let parsed = UnverifiedRecord::parse(bytes).expect("parsed");
    assert_eq!(parsed.dialect(), Dialect::Plain);
    assert_eq!(*parsed.peer(), ed25519().public().to_peer_id());
    parsed.addresses().to_vec()
}

#[test]
fn a_signed_record_is_for_readers_of_its_dialect_and_of_plain_ones() {
    use Dialect::{Legacy, Plain, Standard};
    for dialect in [Legacy, Standard] {
        let signed = record(dialect, &ed25519(), &KNOWN);
        let made = forms([signed.clone()]);
        check(&made, &[dialect, Plain], "signed");
        let entry = made.entry(dialect).expect("a form");
        assert_eq!(entry.record(), signed.bytes(), "byte for byte");
        assert_eq!(plain_addresses(&made), addresses(&KNOWN));
    }
    let both = [Legacy, Standard].map(|dialect| record(dialect, &ed25519(), &KNOWN));
    check(&forms(both), &Dialect::ALL, "both");
    let plain = record(Plain, &ed25519(), &KNOWN);
    let made = forms([plain.clone()]);
    check(&made, &[Plain], "plain");
    let entry = made.entry(Plain).expect("a form");
    assert_eq!(entry.record(), plain.bytes());
}

#[test]
fn what_only_readers_of_signed_records_parse_is_left_out_of_a_plain_one() {
    for text in SIGNED_ONLY {
        let texts = [KNOWN[0], text, KNOWN[1]];
        for dialect in [Dialect::Legacy, Dialect::Standard] {
            let made = forms([record(dialect, &ed25519(), &texts)]);
            check(&made, &[dialect, Dialect::Plain], text);
            let rest = addresses(&[KNOWN[0], KNOWN[1]]);
            assert_eq!(plain_addresses(&made), rest, "{text}");
        }
    }
}

#[test]
fn an_address_of_endless_parts_is_for_nobody() {
    let endless = "/p2p-circuit".repeat(100);
    let made = forms([record(Dialect::Legacy, &ed25519(), &[KNOWN[0], &endless])]);
    check(&made, &[Dialect::Plain], "a hundred parts");
    assert_eq!(plain_addresses(&made), addresses(&[KNOWN[0]]));
}

#[test]
fn one_rare_address_hides_a_signed_record_and_is_left_out_of_a_plain_one() {
    for rare in RARE {
        let texts = [KNOWN[0], rare, KNOWN[1]];
        for dialect in Dialect::ALL {
            let made = forms([record(dialect, &ed25519(), &texts)]);
            check(&made, &[Dialect::Plain], rare);
            assert_eq!(
                plain_addresses(&made),
                addresses(&[KNOWN[0], KNOWN[1]]),
                "{rare}"
            );
        }
        for dialect in Dialect::ALL {
            check(&forms([record(dialect, &ed25519(), &[rare])]), &[], rare);
        }
    }
}

#[test]
fn a_signed_record_without_addresses_is_only_for_its_own_dialect() {
    for dialect in [Dialect::Legacy, Dialect::Standard] {
        check(
            &forms([record(dialect, &ed25519(), &[])]),
            &[dialect],
            "no address",
        );
    }
}

#[test]
fn a_key_that_readers_cannot_check_hides_a_signed_record() {
    use Dialect::{Legacy, Plain, Standard};
    let secret = secp256k1::SecretKey::try_from_bytes([5; 32]).expect("a secret");
    let secp256k1 = Keypair::from(secp256k1::Keypair::from(secret));
    let ecdsa = Keypair::from(ecdsa::Keypair::generate());
    let rows = [
        (&secp256k1, Legacy, [Plain].as_slice()),
        (&secp256k1, Standard, &[Standard, Plain]),
        (&ecdsa, Legacy, &[Plain]),
        (&ecdsa, Standard, &[Plain]),
        (&ecdsa, Plain, &[Plain]),
    ];
    for (key, dialect, servable) in rows {
        let made = forms([record(dialect, key, &[KNOWN[0]])]);
        check(
            &made,
            servable,
            &format!("{:?} {dialect:?}", key.key_type()),
        );
    }
    assert!(is_readable_key(Standard, Some(KeyType::RSA)));
    assert!(!is_readable_key(Legacy, Some(KeyType::RSA)));
}

#[test]
fn a_hidden_record_is_still_kept_as_registered() {
    let legacy = record(Dialect::Legacy, &ed25519(), &[RARE[0]]);
    let made = forms([legacy.clone()]);
    check(&made, &[], "rare");
    let entry = made.entry(Dialect::Legacy).expect("kept");
    assert_eq!(entry.record(), legacy.bytes());
    assert!(made.entry(Dialect::Standard).is_none());
}
