//! Facts.

use bytes::Bytes;
use proptest::prelude::*;
use rv_proto::{
    DecodeError, Dialect, Fact, Namespace, Origin, Record, Records, Registered, Removed, Time, Ttl,
};

use crate::common::{any_namespace, any_records, golden_record, key, peer_of, sealed};

fn any_fact() -> impl Strategy<Value = Fact> {
    let origin =
        proptest::option::of(any::<std::net::IpAddr>()).prop_map(|ip| ip.and_then(Origin::from_ip));
    let ttl = (1..=259_200_u64).prop_map(|secs| Ttl::from_secs(secs).expect("within bounds"));
    let common = (
        any_namespace(),
        any_records(),
        any::<u64>().prop_map(Time::from_millis),
    );
    (common, ttl, origin, any::<bool>()).prop_map(|(common, granted, origin, removed)| {
        let (namespace, records, expires_at) = common;
        let peer = *records.peer();
        if removed {
            Fact::Removed(Removed {
                namespace,
                peer,
                expires_at,
            })
        } else {
            Fact::Registered(Registered {
                namespace,
                peer,
                records,
                granted,
                expires_at,
                origin,
            })
        }
    })
}

proptest! {
    #[test]
    fn a_fact_comes_back_as_it_went(fact in any_fact()) {
        let bytes = fact.encode();
        prop_assert_eq!(Fact::decode(bytes.into()), Ok(fact));
    }

    #[test]
    fn half_a_fact_is_none(fact in any_fact(), cut in any::<prop::sample::Index>()) {
        let bytes = fact.encode();
        let half = Bytes::copy_from_slice(&bytes[..cut.index(bytes.len())]);
        prop_assert!(Fact::decode(half).is_err());
    }
}

fn registered(records: Records) -> Registered {
    Registered {
        namespace: Namespace::new("my-app").expect("a name"),
        peer: *records.peer(),
        records,
        granted: Ttl::DEFAULT,
        expires_at: Time::from_millis(7_200_000),
        origin: None,
    }
}

#[test]
fn a_fact_is_about_its_namespace_and_peer() {
    let record = golden_record();
    let plain = Record::plain(&record.peer, &record.addresses);
    let registered = registered(Records::new([plain]).expect("one"));
    let Registered {
        namespace,
        peer,
        expires_at,
        ..
    } = registered.clone();
    let removed = Fact::Removed(Removed {
        namespace,
        peer,
        expires_at,
    });
    for fact in [Fact::Registered(registered), removed] {
        assert_eq!(fact.namespace().as_str(), "my-app");
        assert_eq!(fact.peer(), &record.peer);
    }
}

#[test]
fn a_fact_with_records_of_another_peer_is_none() {
    let address = golden_record().addresses;
    let records = Records::new(sealed(1, 1, &address, Dialect::ALL)).expect("one of each");
    let fact = Registered {
        peer: peer_of(&key(2)),
        ..registered(records)
    };
    assert_eq!(
        Fact::decode(Fact::Registered(fact).encode().into()),
        Err(DecodeError::Records)
    );
}

#[test]
fn more_addresses_than_are_taken_in_today_are_read_back() {
    let peer = golden_record().peer;
    let addresses = vec![golden_record().addresses.remove(0); 1_000];
    let records = Records::new([Record::plain(&peer, &addresses), Record::plain(&peer, &[])]);
    assert_eq!(records, None, "two plain ones");
    for addresses in [addresses, Vec::new()] {
        let records = Records::new([Record::plain(&peer, &addresses)]).expect("one");
        let fact = Fact::Registered(registered(records));
        assert_eq!(Fact::decode(fact.encode().into()), Ok(fact));
    }
}

#[test]
fn records_are_of_one_peer_and_one_of_each_dialect() {
    let address = golden_record().addresses;
    let ours = sealed(1, 5, &address, Dialect::ALL);
    let theirs = sealed(2, 5, &address, [Dialect::Plain]);

    assert_eq!(Records::new([]), None);
    assert_eq!(Records::new([ours[0].clone(), ours[0].clone()]), None);
    assert_eq!(Records::new([ours[0].clone(), theirs[0].clone()]), None);

    let backwards = Records::new(ours.iter().rev().cloned()).expect("one of each");
    assert_eq!(backwards.iter().cloned().collect::<Vec<_>>(), ours);
    assert_eq!(
        backwards.bytes(),
        ours.iter().map(|record| record.bytes().len()).sum()
    );
    let two = Records::new(ours[1..].to_vec()).expect("one of each");
    assert_eq!(two.of(Dialect::Legacy), None);
    assert_eq!(two.of(Dialect::Plain), Some(&ours[2]));
    assert_eq!(
        two.dialects().iter().collect::<Vec<_>>(),
        [Dialect::Standard, Dialect::Plain]
    );
}
