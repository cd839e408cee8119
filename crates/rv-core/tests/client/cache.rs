//! The cache by itself.

use rv_core::client::{Added, CacheLimits, Change, PeerCache};
use rv_proto::{Dialect, Scope, Ttl};

use crate::samples::{chat, in_chat, name, peer, point, record, secs};

const LIMITS: CacheLimits = CacheLimits {
    peers_per_namespace: 3,
    peers_total: 5,
    bytes_total: 1 << 20,
};

fn ttl(secs: u64) -> Ttl {
    Ttl::from_secs(secs).expect("a ttl")
}

fn add(cache: &mut PeerCache, by: u8, number: u8, secs_left: u64) -> Added {
    let record = record(number, Dialect::Standard, 1, 1);
    cache.add_peer(secs(0), point(by), &chat(), record, ttl(secs_left))
}

fn numbers(cache: &PeerCache, now: u64, limit: Option<usize>) -> Vec<u8> {
    let found = cache.valid_peers(secs(now), &in_chat(), limit);
    let mut numbers: Vec<_> = found
        .iter()
        .filter_map(|it| (0..100).find(|number| peer(*number) == it.peer()))
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_peer_is_there_until_the_last_of_its_deadlines() {
    let mut cache = PeerCache::new(LIMITS);
    assert_eq!(add(&mut cache, 1, 2, 10).change, Change::Joined);
    assert_eq!(add(&mut cache, 2, 2, 20).change, Change::Renewed);
    assert_eq!(add(&mut cache, 2, 2, 20).change, Change::Unchanged);
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.next_deadline(), Some(secs(10)));
    assert_eq!(cache.expire(secs(10)), []);
    assert_eq!(numbers(&cache, 19, None), [2]);
    assert_eq!(numbers(&cache, 20, None), [0_u8; 0]);
    assert_eq!(cache.expire(secs(20)), [(chat(), peer(2))]);
    assert!(cache.is_empty());
    assert_eq!(cache.next_deadline(), None);
}

#[test]
fn a_deadline_that_moved_forward_is_the_one_that_counts() {
    let mut cache = PeerCache::new(LIMITS);
    add(&mut cache, 1, 2, 10);
    add(&mut cache, 1, 2, 100);
    assert_eq!(cache.expire(secs(10)), []);
    add(&mut cache, 1, 2, 50);
    assert_eq!(cache.expire(secs(50)), [(chat(), peer(2))]);
}

#[test]
fn the_signed_and_the_newest_record_is_kept() {
    let mut cache = PeerCache::new(LIMITS);
    let mut seq_after = |dialect, seq, port| {
        let record = record(2, dialect, seq, port);
        cache.add_peer(secs(0), point(1), &chat(), record, ttl(10));
        let found = cache.peer(secs(0), &chat(), &peer(2)).expect("there");
        (found.record.dialect(), found.record.seq())
    };
    assert_eq!(seq_after(Dialect::Plain, 0, 1), (Dialect::Plain, None));
    assert_eq!(seq_after(Dialect::Legacy, 5, 2), (Dialect::Legacy, Some(5)));
    assert_eq!(
        seq_after(Dialect::Standard, 4, 3),
        (Dialect::Legacy, Some(5))
    );
    assert_eq!(seq_after(Dialect::Plain, 0, 4), (Dialect::Legacy, Some(5)));
    assert_eq!(
        seq_after(Dialect::Standard, 6, 5),
        (Dialect::Standard, Some(6))
    );
}

#[test]
fn where_there_is_no_room_the_point_that_lists_most_loses_the_first_to_expire() {
    let mut cache = PeerCache::new(LIMITS);
    for (number, secs_left) in [(2, 30), (3, 20), (4, 40)] {
        add(&mut cache, 1, number, secs_left);
    }
    let refused = Added {
        change: Change::Full,
        evicted: Vec::new(),
    };
    assert_eq!(
        add(&mut cache, 1, 5, 100),
        refused,
        "its own place is taken"
    );
    let added = Added {
        change: Change::Joined,
        evicted: vec![(chat(), peer(3))],
    };
    assert_eq!(add(&mut cache, 2, 6, 5), added);
    assert_eq!(numbers(&cache, 0, None), [2, 4, 6]);
}

#[test]
fn the_total_is_bounded_over_all_namespaces() {
    let mut cache = PeerCache::new(LIMITS);
    for number in 10..30 {
        let namespace = name(&format!("n{number}"));
        let record = record(number, Dialect::Standard, 1, 1);
        cache.add_peer(secs(0), point(1), &namespace, record, ttl(100));
    }
    assert_eq!(cache.len(), 5);
    assert_eq!(add(&mut cache, 2, 2, 10).change, Change::Joined);
    assert_eq!(cache.len(), 5);
    assert_eq!(numbers(&cache, 0, None), [2]);
}

#[test]
fn a_limit_cuts_the_list_and_scopes_tell_namespaces_apart() {
    let mut cache = PeerCache::new(LIMITS);
    for number in 2..5 {
        add(&mut cache, 1, number, 10);
    }
    let record = record(9, Dialect::Standard, 1, 1);
    cache.add_peer(secs(0), point(1), &name("other"), record, ttl(10));
    assert_eq!(numbers(&cache, 0, Some(2)).len(), 2);
    assert_eq!(numbers(&cache, 0, None).len(), 3);
    assert_eq!(cache.valid_peers(secs(0), &Scope::All, None).len(), 4);
    assert_eq!(cache.clear(Some(&name("other"))).len(), 1);
    assert_eq!(cache.clear(None).len(), 3);
    assert!(cache.is_empty());
    assert_eq!(cache.next_deadline(), None);
}
