//! One-shot discoveries: paged, merged, cut.

use std::time::Duration;

use rv_core::client::{
    Bound, Cause, ClientConfig, DiscoverOptions, Discovered, Event, Failure, Listed, OperationId,
    Output, Pages, Skip, StartError, Target, Wanted,
};
use rv_proto::{Dialect, DialectSet, Entry, Scope, Status, Time};

use crate::driver::Driver;
use crate::samples::{
    entry, facts, in_chat, local, page, peer, point, record, refused_page, sealed, secs,
};

fn discover(driver: &mut Driver, options: DiscoverOptions) -> OperationId {
    let now = driver.now;
    let started = driver
        .client
        .discover(now, Target::Every, &in_chat(), options);
    started.expect("starts")
}

fn cookie_of(request: &Wanted) -> Option<&[u8]> {
    match request {
        Wanted::Discover { cookie, .. } => cookie.as_deref(),
        Wanted::Register { .. } | Wanted::Subscribe { .. } | Wanted::Unregister { .. } => {
            panic!("{request:?}")
        }
    }
}

fn found(events: &[Event]) -> Vec<&Discovered> {
    let pages = events.iter().filter_map(|event| match event {
        Event::Found { peers, .. } => Some(peers),
        _ => None,
    });
    pages.flatten().collect()
}

fn done(events: &[Event]) -> &[Listed] {
    let Some(Event::DiscoverDone { points, .. }) = events.last() else {
        panic!("not done: {events:?}");
    };
    points
}

#[test]
fn a_listing_is_paged_to_its_end() {
    let mut driver = Driver::new(1);
    let operation = discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    assert_eq!(
        sent.request,
        Wanted::Discover {
            scope: in_chat(),
            limit: 1_000,
            cookie: None,
            accepts: DialectSet::EMPTY
        }
    );
    driver.answer(sent.id, page(vec![entry(2, 100)], "c1"));
    let outputs = driver.outputs();
    let [
        Output::Event(Event::Found {
            operation: of,
            point: by,
            peers,
            skipped,
        }),
        Output::Request { id, request, .. },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((*of, *by, skipped.count), (operation, point(1), 0));
    assert_eq!(peers[0].peer(), peer(2));
    assert_eq!(peers[0].until, secs(1_100));
    assert!(peers[0].is_verified());
    assert_eq!(cookie_of(request), Some(b"c1".as_slice()));

    driver.answer(*id, page(vec![], "c2"));
    let events = driver.events();
    let [listed] = done(&events) else {
        panic!("{events:?}");
    };
    let expected = (point(1), 2, 1, Some(&b"c2"[..]), None);
    assert_eq!(facts(listed), expected);
    assert_eq!(driver.client.requests_out(), 0);
}

#[test]
fn a_page_without_a_cookie_is_the_last() {
    let mut driver = Driver::new(1);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 100)], ""));
    let events = driver.events();
    assert_eq!(done(&events)[0].cookie, None);
    assert_eq!(done(&events)[0].cause, None);
}

#[test]
fn a_point_that_lists_its_newest_entries_again_is_listed_to_its_end() {
    let mut driver = Driver::new(1);
    discover(&mut driver, DiscoverOptions::default());
    let newest_first = || (2..7).rev().map(|seed| entry(seed, 100));
    let sent = driver.request();
    driver.answer(sent.id, page(newest_first().collect(), "2"));
    let sent = driver.request();
    driver.answer(sent.id, page(newest_first().take(4).collect(), "3"));
    let events = driver.events();
    assert_eq!(
        (done(&events)[0].pages, &done(&events)[0].cause),
        (2, &None)
    );
    assert_eq!(driver.client.requests_out(), 0);
}

#[test]
fn one_page_is_one_request_and_tells_its_cookie() {
    let mut driver = Driver::new(1);
    let options = DiscoverOptions {
        limit: Some(7),
        cookie: Some("mine".into()),
        pages: Pages::One,
    };
    driver
        .client
        .discover(driver.now, Target::Point(point(1)), &in_chat(), options)
        .expect("starts");
    let sent = driver.request();
    assert_eq!(cookie_of(&sent.request), Some(b"mine".as_slice()));
    assert!(matches!(sent.request, Wanted::Discover { limit: 7, .. }));
    driver.answer(sent.id, page(vec![entry(2, 100)], "next"));
    assert_eq!(done(&driver.events())[0].cookie, Some("next".into()));
}

#[test]
fn a_cookie_is_of_one_point() {
    let mut driver = Driver::new(2);
    let options = DiscoverOptions {
        cookie: Some("mine".into()),
        ..DiscoverOptions::default()
    };
    let started = driver
        .client
        .discover(driver.now, Target::Every, &in_chat(), options);
    assert_eq!(started, Err(StartError::CookieWithoutPoint));
}

#[test]
fn a_refused_cookie_is_dropped_and_the_listing_starts_again_once() {
    let mut driver = Driver::new(1);
    discover(&mut driver, DiscoverOptions::default());
    let first = driver.request();
    driver.answer(first.id, page(vec![entry(2, 100)], "c1"));
    let second = driver.request();
    driver.answer(second.id, refused_page(Status::INVALID_COOKIE));
    let third = driver.request();
    assert_eq!(cookie_of(&third.request), None);
    driver.answer(third.id, page(vec![entry(2, 100)], "c2"));
    let fourth = driver.request();
    driver.answer(fourth.id, refused_page(Status::INVALID_COOKIE));
    let cause = Cause::Refused(Status::INVALID_COOKIE, "no".to_owned());
    assert_eq!(done(&driver.events())[0].cause, Some(cause));
}

#[test]
fn who_pages_by_hand_is_told_that_the_cookie_is_refused() {
    let mut driver = Driver::new(1);
    let options = DiscoverOptions {
        cookie: Some("old".into()),
        pages: Pages::One,
        limit: None,
    };
    let target = Target::Point(point(1));
    driver
        .client
        .discover(driver.now, target, &in_chat(), options)
        .expect("starts");
    let sent = driver.request();
    driver.answer(sent.id, refused_page(Status::INVALID_COOKIE));
    let cause = Cause::Refused(Status::INVALID_COOKIE, "no".to_owned());
    assert_eq!(done(&driver.events())[0].cause, Some(cause));
}

#[test]
fn what_two_points_list_is_told_once_unless_it_is_newer() {
    let mut driver = Driver::new(2);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.requests();
    let with = |dialect, seq| Entry {
        record: Some(sealed(2, dialect, seq, &[4_001])),
        ..entry(2, 100)
    };
    driver.answer(sent[0].id, page(vec![with(Dialect::Legacy, 5)], ""));
    let again = vec![
        with(Dialect::Standard, 5),
        with(Dialect::Standard, 4),
        with(Dialect::Plain, 0),
        with(Dialect::Standard, 6),
    ];
    driver.answer(sent[1].id, page(again, ""));
    let events = driver.events();
    let seqs: Vec<_> = found(&events).iter().map(|it| it.record.seq()).collect();
    assert_eq!(seqs, [Some(5), Some(6)]);
}

#[test]
fn the_limit_is_for_all_points_together() {
    let mut driver = Driver::new(2);
    let options = DiscoverOptions {
        limit: Some(3),
        ..DiscoverOptions::default()
    };
    discover(&mut driver, options);
    let sent = driver.requests();
    assert!(matches!(sent[0].request, Wanted::Discover { limit: 3, .. }));
    driver.answer(sent[0].id, page(vec![entry(2, 9), entry(3, 9)], "c"));
    let more = driver.request();
    assert!(matches!(more.request, Wanted::Discover { limit: 1, .. }));
    let all = (4..9).map(|number| entry(number, 9)).collect();
    driver.answer(sent[1].id, page(all, "c"));
    let outputs = driver.outputs();
    let [
        Output::Event(Event::Found { peers, .. }),
        Output::Cancel { id },
        Output::Event(last),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((peers.len(), *id), (1, more.id));
    assert!(matches!(last, Event::DiscoverDone { points, .. } if points.len() == 2));
}

#[test]
fn a_dead_point_delays_nobody() {
    let mut driver = Driver::new(2);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.requests();
    driver.answer(sent[0].id, page(vec![entry(2, 100)], ""));
    driver.outputs();
    assert_eq!(driver.sleep(), 2);
    let causes: Vec<_> = done(&driver.events())
        .iter()
        .map(|listed| listed.cause.clone())
        .collect();
    let late = Some(Cause::Failed(Failure::TimedOut));
    assert!(
        causes.contains(&None) && causes.contains(&late),
        "{causes:?}"
    );
    // It is still being waited for, so that it is known to be dead the next time.
    assert_eq!(driver.client.requests_out(), 1);
    driver.answer(sent[1].id, page(vec![entry(3, 100)], ""));
    assert_eq!(driver.outputs(), []);
    assert_eq!(driver.client.peers_cached(), 2);
}

#[test]
fn a_slow_point_that_goes_on_is_waited_for() {
    let mut driver = Driver::new(2);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.requests();
    driver.answer(sent[0].id, page(vec![entry(2, 100)], ""));
    driver.outputs();
    let mut id = sent[1].id;
    for number in 3..9 {
        driver.pass_secs(1);
        driver.client.handle_timeout(driver.now);
        driver.answer(id, page(vec![entry(number, 100)], cookie(number)));
        let outputs = driver.outputs();
        let Some(Output::Request { id: next, .. }) = outputs.last() else {
            panic!("{outputs:?}");
        };
        id = *next;
    }
}

fn cookie(number: u8) -> &'static str {
    ["a", "b", "c", "d"][usize::from(number % 4)]
}

#[test]
fn a_point_that_fails_makes_the_wait_for_others_no_longer() {
    let mut driver = Driver::new(3);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.requests();
    driver.answer(sent[0].id, page(vec![entry(2, 100)], ""));
    driver.outputs();
    driver.pass_secs(1);
    driver.fail(sent[1].id, Failure::Unreachable);
    driver.outputs();
    driver.pass_secs(1);
    driver.client.handle_timeout(driver.now);
    assert_eq!(done(&driver.events()).len(), 3);
}

#[test]
fn a_point_that_gives_each_page_as_late_as_it_may_is_waited_for_no_longer_than_in_all() {
    let max = Duration::from_secs(20);
    let config = ClientConfig {
        straggler_wait_total: max,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 3);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.requests();
    driver.answer(sent[0].id, page(vec![entry(2, 100)], ""));
    driver.outputs();
    let began = driver.now;
    let mut id = sent[1].id;
    for number in 0..12 {
        let (at, _) = driver.client.poll_timeout().expect("a wait");
        driver.now = Time::from_millis(at.as_millis().saturating_sub(1));
        driver.answer(id, page(vec![entry(3 + number, 100)], cookie(number)));
        match driver.requests().first() {
            Some(sent) => id = sent.id,
            None => panic!("page {number} is the last"),
        }
        if at.saturating_since(began) == max {
            break;
        }
    }
    driver.sleep();
    assert_eq!(driver.now.saturating_since(began), max);
    let events = driver.events();
    let causes = [
        None,
        Some(Cause::Bound(Bound::Wait { max })),
        Some(Cause::Failed(Failure::TimedOut)),
    ];
    for (sent, cause) in sent.iter().zip(causes) {
        let listed = done(&events).iter().find(|it| it.point == sent.point);
        let listed = listed.expect("each point is told");
        assert_eq!(listed.cause, cause);
        let goes_on = listed.cookie.is_some();
        assert_eq!(goes_on, matches!(listed.cause, Some(Cause::Bound(_))));
    }
}

#[test]
fn a_listing_that_ends_at_our_own_bound_is_done_and_a_dead_point_beside_it_delays_nobody() {
    let config = ClientConfig {
        listing_pages_max: 1,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 2);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.requests();
    driver.answer(sent[0].id, page(vec![entry(2, 100)], "more"));
    driver.outputs();
    assert_eq!(driver.sleep(), 2);
    let causes: Vec<_> = done(&driver.events())
        .iter()
        .map(|listed| listed.cause.clone())
        .collect();
    let cut = Some(Cause::Bound(Bound::Pages { max: 1 }));
    let late = Some(Cause::Failed(Failure::TimedOut));
    assert!(
        causes.contains(&cut) && causes.contains(&late),
        "{causes:?}"
    );
}

#[test]
fn a_point_that_is_down_fails_the_discovery_at_once() {
    let mut driver = Driver::new(1);
    discover(&mut driver, DiscoverOptions::default());
    let first = driver.request();
    driver.fail(first.id, Failure::Unreachable);
    driver.outputs();
    // Whoever asks tries, though the pause is not over; a second caller waits for the first.
    discover(&mut driver, DiscoverOptions::default());
    let probe = driver.request();
    discover(&mut driver, DiscoverOptions::default());
    assert_eq!(driver.outputs(), []);
    driver.fail(probe.id, Failure::Unreachable);
    let dones = driver
        .events()
        .iter()
        .filter(|event| {
            let Event::DiscoverDone { points, .. } = event else {
                return false;
            };
            points[0].cause == Some(Cause::Failed(Failure::Unreachable))
        })
        .count();
    assert_eq!(dones, 2);
}

#[test]
fn one_bad_entry_costs_no_other_wherever_it_stands() {
    let good = || entry(2, 100);
    let envelope = sealed(3, Dialect::Standard, 1, &[4_001]);
    let mut forged = envelope.to_vec();
    *forged.last_mut().expect("not empty") ^= 1;
    let bad: [(Entry, &str); 7] = [
        (entry(3, 0), "expired"),
        (
            Entry {
                namespace: Some("other".into()),
                ..entry(3, 100)
            },
            "of another namespace",
        ),
        (
            Entry {
                record: None,
                ..entry(3, 100)
            },
            "without a record",
        ),
        (
            Entry {
                record: Some(forged.into()),
                ..entry(3, 100)
            },
            "record with an invalid signature",
        ),
        (
            Entry {
                record: Some("rubbish".into()),
                ..entry(3, 100)
            },
            "undecodable record: not a protobuf message",
        ),
        (
            Entry {
                record: Some(foreign_record()),
                ..entry(3, 100)
            },
            "record is not signed by its peer",
        ),
        (entry(1, 100), "our own"),
    ];
    for (bad, reason) in bad {
        for place in 0..3 {
            let mut entries = vec![good(), entry(4, 100)];
            entries.insert(place, bad.clone());
            let mut driver = Driver::new(1);
            discover(&mut driver, DiscoverOptions::default());
            let sent = driver.request();
            driver.answer(sent.id, page(entries, ""));
            let events = driver.events();
            let Event::Found { peers, skipped, .. } = &events[0] else {
                panic!("{events:?}");
            };
            let peers: Vec<_> = peers.iter().map(Discovered::peer).collect();
            assert_eq!(peers, [peer(2), peer(4)], "{reason}");
            let reasons: Vec<_> = skipped
                .reasons
                .iter()
                .map(|(skip, count)| (skip.to_string(), *count))
                .collect();
            assert_eq!(reasons, [(reason.to_owned(), 1)]);
        }
    }
    assert_eq!(local(), peer(1));
}

#[test]
fn an_own_entry_is_listed_where_that_is_asked_for() {
    let config = ClientConfig {
        lists_own: true,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(1, 100), entry(2, 100)], ""));
    let events = driver.events();
    let peers: Vec<_> = found(&events).iter().map(|found| found.peer()).collect();
    assert_eq!(peers, [local(), peer(2)]);
}

/// An envelope by peer 4 around the record of peer 3.
fn foreign_record() -> bytes::Bytes {
    rv_proto::PeerRecord {
        peer: peer(3),
        seq: 1,
        addresses: vec![crate::samples::address(1)],
    }
    .seal(Dialect::Standard, &crate::samples::keypair(4))
    .expect("sealed")
}

#[test]
fn every_dialect_is_read_and_only_signed_ones_are_verified() {
    let mut driver = Driver::new(1);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    let entries = Dialect::ALL.map(|dialect| {
        let number = 2 + u8::try_from(dialect.index()).expect("small");
        Entry {
            record: Some(sealed(number, dialect, 1, &[4_001])),
            ..entry(number, 100)
        }
    });
    driver.answer(sent.id, page(entries.to_vec(), ""));
    let events = driver.events();
    let verified: Vec<_> = found(&events).iter().map(|it| it.is_verified()).collect();
    assert_eq!(verified, [true, true, false]);
}

#[test]
fn what_a_point_leaves_out_is_filled_in() {
    let mut driver = Driver::new(1);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    // go names no namespace where it was asked for; nobody says how long.
    let bare = Entry {
        namespace: None,
        ttl_secs: None,
        ..entry(2, 1)
    };
    let long = Entry {
        ttl_secs: Some(u64::MAX),
        ..entry(3, 1)
    };
    driver.answer(sent.id, page(vec![bare, long], ""));
    let events = driver.events();
    let untils: Vec<_> = found(&events).iter().map(|it| it.until).collect();
    assert_eq!(untils, [secs(1_000 + 7_200), secs(1_000 + 259_200)]);
}

#[test]
fn an_entry_of_everything_needs_a_namespace() {
    let mut driver = Driver::new(1);
    driver
        .client
        .discover(
            driver.now,
            Target::Every,
            &Scope::All,
            DiscoverOptions::default(),
        )
        .expect("starts");
    let sent = driver.request();
    let bare = Entry {
        namespace: None,
        ..entry(2, 100)
    };
    driver.answer(sent.id, page(vec![bare, entry(3, 100)], ""));
    let events = driver.events();
    let Event::Found { peers, skipped, .. } = &events[0] else {
        panic!("{events:?}");
    };
    assert_eq!(peers.len(), 1);
    assert_eq!(skipped.reasons, [(Skip::NoNamespace, 1)]);
}

#[test]
fn a_listing_above_its_bounds_is_cut_and_what_was_listed_is_kept() {
    let config = ClientConfig {
        listing_entries_max: 3,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 9), entry(3, 9)], "a"));
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(4, 9), entry(5, 9)], "b"));
    let events = driver.events();
    let cause = Cause::Bound(Bound::Entries { max: 3 });
    assert_eq!(done(&events)[0].cause, Some(cause));
    assert_eq!(driver.client.peers_cached(), 4);

    let config = ClientConfig {
        listing_pages_max: 2,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    discover(&mut driver, DiscoverOptions::default());
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 9)], "a"));
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(3, 9)], "b"));
    let cause = Cause::Bound(Bound::Pages { max: 2 });
    assert_eq!(done(&driver.events())[0].cause, Some(cause));
}

#[test]
fn a_record_that_was_found_says_what_it_says() {
    let found = Discovered {
        namespace: crate::samples::chat(),
        record: record(2, Dialect::Plain, 0, 4_001),
        until: secs(1),
    };
    assert_eq!(found.addresses(), [crate::samples::address(4_001)]);
    assert!(!found.is_verified());
}
