//! What is held is bounded in bytes too, and each point has its share.

use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_core::client::{
    Added, Bound, CacheLimits, Cause, Change, ClientConfig, ClientConfigError, DiscoverOptions,
    Event, GoneReason, Output, PeerCache, Target,
};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{Dialect, Entry, Record, Ttl};

use crate::driver::Driver;
use crate::samples::{chat, entry, facts, in_chat, name, page, peer, point, record, secs};

const TTL: Ttl = Ttl::MAX;

/// A cache that is bounded by bytes alone.
fn cache_of(bytes_total: usize) -> PeerCache {
    PeerCache::new(CacheLimits {
        peers_per_namespace: 1_000,
        peers_total: 1_000,
        bytes_total,
    })
}

/// An unsigned record with one address.
fn light(number: u8) -> Arc<Record> {
    record(number, Dialect::Plain, 0, 4_001)
}

/// An unsigned record of 3.4 kB.
fn heavy(number: u8) -> Arc<Record> {
    let long = "a".repeat(271);
    let address = |port| format!("/dns4/{long}/tcp/{port}").parse::<Multiaddr>();
    let addresses: Result<Vec<_>, _> = (1..=12).map(address).collect();
    let record = Record::plain(&peer(number), &addresses.expect("good addresses"));
    assert_eq!(record.bytes().len(), 3_400);
    Arc::new(record)
}

/// What each counts for in "chat".
fn bytes(record: &Record) -> usize {
    CacheLimits::bytes_of(&chat(), record)
}

fn add(cache: &mut PeerCache, by: PeerId, record: &Arc<Record>, until_secs: u64) -> Added {
    let ttl = Ttl::from_secs(until_secs).expect("a ttl");
    cache.add_peer(secs(0), by, &chat(), Arc::clone(record), ttl)
}

fn told(cache: &PeerCache, number: u8) -> Option<Arc<Record>> {
    let found = cache.peer(secs(0), &chat(), &peer(number));
    found.map(|found| found.record)
}

fn joined(evicted: impl IntoIterator<Item = u8>) -> Added {
    let evicted = evicted.into_iter().map(|it| (chat(), peer(it))).collect();
    let change = Change::Joined;
    Added { change, evicted }
}

#[test]
fn what_several_points_say_in_the_same_words_counts_once() {
    let mut cache = cache_of(1 << 20);
    let of_namespace = CacheLimits::NAMESPACE_BYTES;
    let (small, large) = (light(2), heavy(2));
    let of_one = of_namespace + bytes(&small);
    add(&mut cache, point(1), &small, 10);
    assert_eq!(cache.bytes(), of_one);
    assert_eq!(bytes(&small), 512 + 512 + 4 + small.bytes().len() + 8 + 96);

    add(&mut cache, point(2), &light(2), 20);
    let of_two = of_one + of_namespace + CacheLimits::REPORT_BYTES + 4;
    assert_eq!(cache.bytes(), of_two);
    add(&mut cache, point(2), &large, 30);
    let of_both = of_two + CacheLimits::bytes_of_record(&large);
    assert_eq!(cache.bytes(), of_both);
    add(&mut cache, point(2), &light(2), 30);
    assert_eq!(cache.bytes(), of_two);

    let elsewhere = name("a-longer-name");
    cache.add_peer(secs(0), point(1), &elsewhere, Arc::clone(&small), TTL);
    let of_other = of_namespace + CacheLimits::bytes_of(&elsewhere, &small);
    assert_eq!(cache.bytes(), of_two + of_other);
    assert_eq!(cache.expire(secs(30)), [(chat(), peer(2))]);
    assert_eq!(cache.bytes(), of_other);
    cache.clear(None);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn the_largest_record_fits_into_the_least_that_may_be_configured() {
    let mut cache = cache_of(CacheLimits::BYTES_MIN);
    assert_eq!(add(&mut cache, point(1), &heavy(2), 10), joined([]));

    let with = |bytes_total, listing_bytes_max| ClientConfig {
        cache: CacheLimits {
            bytes_total,
            ..CacheLimits::default()
        },
        listing_bytes_max,
        ..ClientConfig::default()
    };
    let min = CacheLimits::BYTES_MIN;
    let refused = |what| Err(ClientConfigError::TooFewBytes { what, min });
    assert_eq!(with(min, min).validate(), Ok(()));
    assert_eq!(with(min - 1, min).validate(), refused("cache.bytes_total"));
    assert_eq!(with(min, min - 1).validate(), refused("listing_bytes_max"));
    let text = with(0, min).validate().expect_err("nothing").to_string();
    assert_eq!(
        text,
        format!("cache.bytes_total must be at least {min} bytes, which one record may take")
    );
}

#[test]
fn a_point_with_large_records_takes_no_place_of_the_others() {
    let (honest, hostile) = (point(1), point(2));
    let bytes_total = 2 * CacheLimits::NAMESPACE_BYTES + 10 * bytes(&heavy(2));
    let mut cache = cache_of(bytes_total);
    for number in 2..7 {
        assert_eq!(add(&mut cache, honest, &light(number), 10), joined([]));
    }
    // There is room for nine beside those five.
    for number in 100..109 {
        let until = u64::from(number);
        let added = add(&mut cache, hostile, &heavy(number), until);
        assert_eq!(added, joined([]), "{number}");
    }
    for number in 109..140 {
        let full = Added {
            change: Change::Full,
            evicted: Vec::new(),
        };
        assert_eq!(add(&mut cache, hostile, &heavy(number), 200), full);
        assert!(cache.bytes() <= bytes_total);
    }
    // Whatever the honest point tells is taken, as long as it is not the larger part.
    let mut evicted = Vec::new();
    for number in 7..38 {
        let added = add(&mut cache, honest, &light(number), 10);
        assert_eq!(added.change, Change::Joined, "{number}");
        evicted.extend(added.evicted.into_iter().map(|(_, peer)| peer));
        assert!(cache.bytes() <= bytes_total);
    }
    assert!((2..38).all(|number| told(&cache, number).is_some()));
    assert_eq!(evicted, (100..104).map(peer).collect::<Vec<_>>());
}

#[test]
fn a_large_record_takes_the_places_of_several_small_ones_of_the_point_with_most() {
    let (first, second) = (point(1), point(2));
    let bytes_total = 2 * CacheLimits::NAMESPACE_BYTES + 20 * bytes(&light(2));
    let mut cache = cache_of(bytes_total);
    for number in 2..22 {
        let until = u64::from(number);
        assert_eq!(add(&mut cache, first, &light(number), until), joined([]));
    }
    let places = bytes(&heavy(50)).div_ceil(bytes(&light(2)));
    assert_eq!(places, 8);
    assert_eq!(add(&mut cache, second, &heavy(50), 100), joined(2..10));
    assert_eq!(cache.len(), 13);
}

#[test]
fn what_a_point_says_about_the_peers_of_another_goes_with_it_and_they_stay() {
    let (honest, hostile) = (point(1), point(2));
    let bytes_total = 2 * CacheLimits::NAMESPACE_BYTES + 10 * bytes(&heavy(2));
    let mut cache = cache_of(bytes_total);
    for number in 2..10 {
        add(&mut cache, honest, &light(number), 100);
        // It lies about where they are, at length, and says that they are about to go.
        let lied = add(&mut cache, hostile, &heavy(number), 1);
        assert_eq!((lied.change, lied.evicted), (Change::Renewed, Vec::new()));
        assert_eq!(told(&cache, number), Some(heavy(number)));
    }
    for number in 10..40 {
        let added = add(&mut cache, honest, &light(number), 100);
        assert_eq!(added, joined([]), "{number}");
        assert!(cache.bytes() <= bytes_total);
    }
    assert_eq!(cache.len(), 38);
    assert_eq!(
        told(&cache, 2),
        Some(light(2)),
        "what the honest point said"
    );
    // Nobody was told that the record is the former one again.
    let again = add(&mut cache, honest, &light(2), 100);
    assert_eq!((again.change, again.evicted), (Change::Renewed, Vec::new()));
    let again = add(&mut cache, honest, &light(2), 100);
    assert_eq!(again.change, Change::Unchanged);
}

#[test]
fn what_a_peer_signed_stays_when_the_point_that_told_it_is_gone() {
    let mut cache = cache_of(1 << 20);
    let newer = record(2, Dialect::Standard, 6, 2);
    add(
        &mut cache,
        point(1),
        &record(2, Dialect::Standard, 5, 1),
        100,
    );
    add(&mut cache, point(2), &newer, 10);
    assert_eq!(cache.expire(secs(10)), []);
    let found = cache.peer(secs(10), &chat(), &peer(2)).expect("there");
    assert_eq!(found.record, newer);
    assert_eq!(found.until, secs(100));
}

#[test]
fn records_that_grow_later_are_bounded_as_well() {
    let (honest, hostile) = (point(1), point(2));
    let bytes_total = 2 * CacheLimits::NAMESPACE_BYTES + 60 * bytes(&light(2));
    let mut cache = cache_of(bytes_total);
    for number in 2..12 {
        add(&mut cache, honest, &light(number), 10);
    }
    for number in 100..150 {
        let until = u64::from(number);
        assert_eq!(add(&mut cache, hostile, &light(number), until), joined([]));
    }
    for number in 100..150 {
        let added = add(&mut cache, hostile, &heavy(number), 1_000);
        let is_own = |(_, gone): &(_, PeerId)| (100..150).any(|it| peer(it) == *gone);
        assert!(added.evicted.iter().all(is_own), "{number}: {added:?}");
        assert!(cache.bytes() <= bytes_total);
    }
    assert!((2..12).all(|number| told(&cache, number).is_some()));
}

fn heavy_entry(number: u8) -> Entry {
    Entry {
        record: Some(heavy(number).bytes().clone()),
        ..entry(number, 100)
    }
}

fn heavy_page(numbers: impl Iterator<Item = u8>, cookie: &'static str) -> rv_proto::Response {
    page(numbers.map(heavy_entry).collect(), cookie)
}

/// Room for five large records.
fn config() -> ClientConfig {
    ClientConfig {
        listing_bytes_max: 5 * bytes(&heavy(2)),
        ..ClientConfig::default()
    }
}

#[test]
fn a_discovery_ends_at_the_bound_on_bytes_where_it_is_and_goes_on_elsewhere() {
    let mut driver = Driver::with(config(), 2);
    let options = DiscoverOptions::default();
    let started = driver
        .client
        .discover(driver.now, Target::Every, &in_chat(), options);
    let operation = started.expect("starts");
    let sent = driver.requests();
    let (healthy, hostile) = (&sent[0], &sent[1]);

    driver.answer(hostile.id, heavy_page(100..105, "five"));
    let next = driver.request();
    assert_eq!(next.point, hostile.point, "five are not above the bound");
    driver.answer(next.id, heavy_page(105..106, "six"));
    let events = driver.events();
    let [Event::Found { peers, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(peers[0].peer(), peer(105), "what was listed is told");

    driver.answer(healthy.id, page(vec![entry(2, 100)], "a"));
    let next = driver.request();
    assert_eq!(next.point, healthy.point);
    driver.answer(next.id, page(Vec::new(), "b"));
    let events = driver.events();
    let max = config().listing_bytes_max;
    let cut = Cause::Bound(Bound::Bytes { max });
    assert_eq!(
        cut.to_string(),
        format!("listing cut: more than {max} bytes")
    );
    let Some(Event::DiscoverDone {
        operation: done,
        points,
    }) = events.last()
    else {
        panic!("not done: {events:?}");
    };
    assert_eq!(*done, operation);
    let mut expected = [
        (healthy.point, 2, 1, Some(&b"b"[..]), None),
        (hostile.point, 2, 6, Some(&b"six"[..]), Some(&cut)),
    ];
    expected.sort_by_key(|(point, ..)| *point);
    assert_eq!(points.iter().map(facts).collect::<Vec<_>>(), expected);
    assert_eq!(driver.client.peers_cached(), 7);
}

#[test]
fn a_listing_that_the_bound_on_bytes_cut_counts_as_done() {
    let mut driver = Driver::with(config(), 2);
    let started = driver.client.discover(
        driver.now,
        Target::Every,
        &in_chat(),
        DiscoverOptions::default(),
    );
    started.expect("starts");
    let sent = driver.requests();
    driver.answer(sent[1].id, heavy_page(100..106, "six"));
    driver.outputs();
    // The other one, which is silent, is waited for no longer than a straggler.
    assert_eq!(driver.sleep(), 2);
    let outputs = driver.outputs();
    let is_done = |output: &Output| matches!(output, Output::Event(Event::DiscoverDone { .. }));
    assert!(outputs.iter().any(is_done), "{outputs:?}");
}

#[test]
fn a_watch_rests_at_the_bound_on_bytes_and_goes_on_from_there() {
    let mut driver = Driver::with(config(), 1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.request();
    driver.answer(sent.id, heavy_page(100..106, "six"));
    let events = driver.events();
    let max = config().listing_bytes_max;
    let Some(Event::WatchFailed { cause, .. }) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(*cause, Cause::Bound(Bound::Bytes { max }));
    assert_eq!(events.len(), 7, "six joined");
    let next = driver.sleep_until_request();
    let rv_core::client::Wanted::Discover { cookie, .. } = next.request else {
        panic!("not a DISCOVER");
    };
    assert_eq!(cookie, Some(Bytes::from_static(b"six")));
}

#[test]
fn a_watch_is_told_who_lost_their_places_to_one_large_record() {
    let bytes_total = 40_000;
    let mut driver = Driver::with(
        ClientConfig {
            cache: CacheLimits {
                bytes_total,
                ..CacheLimits::default()
            },
            ..ClientConfig::default()
        },
        2,
    );
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.requests();
    let light_page = (2..27).map(|number| Entry {
        record: Some(light(number).bytes().clone()),
        ..entry(number, u64::from(number))
    });
    driver.answer(sent[0].id, page(light_page.collect(), ""));
    driver.outputs();
    driver.answer(sent[1].id, heavy_page(100..101, ""));
    let gone: Vec<_> = driver
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Gone { peer, reason, .. } => Some((peer, reason)),
            _ => None,
        })
        .collect();
    let room = bytes_total - 2 * CacheLimits::NAMESPACE_BYTES - bytes(&heavy(100));
    let kept = room / bytes(&light(2));
    assert_eq!(kept, 19);
    let evicted = (2..8).map(|number| (peer(number), GoneReason::Evicted));
    assert_eq!(gone, evicted.collect::<Vec<_>>());
    assert_eq!(driver.client.peers_cached(), kept + 1);
}
