//! Watches: polled as often as it is worth it, told who joins, is renewed, and is gone.

use rv_core::client::{Cause, ClientConfig, Event, Failure, GoneReason, StartError, Wanted};
use rv_proto::{Dialect, Entry, Scope, Status};

use crate::driver::Driver;
use crate::samples::{chat, entry, in_chat, name, page, peer, point, refused_page, sealed, secs};

fn watching() -> Driver {
    let mut driver = Driver::new(1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    driver
}

fn cookie_of(request: &Wanted) -> Option<&[u8]> {
    match request {
        Wanted::Discover { cookie, .. } => cookie.as_deref(),
        Wanted::Register { .. } | Wanted::Subscribe { .. } | Wanted::Unregister { .. } => {
            panic!("{request:?}")
        }
    }
}

fn gone(number: u8, reason: GoneReason) -> Event {
    Event::Gone {
        namespace: chat(),
        peer: peer(number),
        reason,
    }
}

#[test]
fn who_is_listed_joins_and_is_gone_at_its_deadline() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 10)], ""));
    let events = driver.events();
    let [Event::Joined(found)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((found.peer(), found.until), (peer(2), secs(1_010)));
    assert_eq!(driver.client.peers(driver.now, &in_chat(), None).len(), 1);
    assert_eq!(driver.sleep(), 10);
    assert_eq!(driver.events(), [gone(2, GoneReason::Expired)]);
    assert_eq!(driver.client.peers_cached(), 0);
}

#[test]
fn a_later_deadline_or_another_record_is_a_renewal_and_the_same_again_is_nothing() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 100)], ""));
    driver.outputs();
    let sent = driver.sleep_until_request();
    let passed = driver.now.saturating_since(secs(1_000)).as_secs();
    driver.answer(sent.id, page(vec![entry(2, 100 - passed)], ""));
    assert_eq!(driver.events(), []);
    let sent = driver.sleep_until_request();
    driver.answer(sent.id, page(vec![entry(2, 100)], ""));
    assert!(matches!(&driver.events()[..], [Event::Renewed(_)]));
    let sent = driver.sleep_until_request();
    let moved = Entry {
        record: Some(sealed(2, Dialect::Standard, 2, &[4_002])),
        ..entry(2, 60)
    };
    driver.answer(sent.id, page(vec![moved], ""));
    assert!(matches!(&driver.events()[..], [Event::Renewed(_)]));
}

#[test]
fn a_poll_goes_on_with_the_cookie_of_the_last() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 5_000)], "a"));
    let sent = driver.request();
    assert_eq!(cookie_of(&sent.request), Some(b"a".as_slice()));
    driver.answer(sent.id, page(vec![], "b"));
    driver.outputs();
    let sent = driver.sleep_until_request();
    assert_eq!(cookie_of(&sent.request), Some(b"b".as_slice()));
}

#[test]
fn a_refused_cookie_costs_one_more_request() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![], "a"));
    let sent = driver.sleep_until_request();
    driver.answer(sent.id, refused_page(Status::INVALID_COOKIE));
    let sent = driver.request();
    assert_eq!(cookie_of(&sent.request), None);
    driver.answer(sent.id, page(vec![], "b"));
    assert_eq!(driver.events(), []);
    assert_eq!(driver.client.watches()[0].last_failure, None);
}

#[test]
fn polls_are_rare_while_nothing_changes_and_frequent_when_something_does() {
    let config = ClientConfig::default();
    let (least, most) = (config.poll_min.as_secs(), config.poll_max.as_secs());
    let mut driver = watching();
    let mut sent = driver.request();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        driver.answer(sent.id, page(vec![], "a"));
        let before = driver.now;
        sent = driver.sleep_until_request();
        pauses.push(driver.now.saturating_since(before).as_secs());
    }
    assert!(
        pauses[0] <= 2 * least && pauses[7] >= most - most / 8,
        "{pauses:?}"
    );
    assert!(pauses.iter().all(|pause| *pause <= most), "{pauses:?}");
    driver.answer(sent.id, page(vec![entry(2, 5_000)], ""));
    let before = driver.now;
    driver.sleep_until_request();
    assert!(driver.now.saturating_since(before).as_secs() <= least);
}

#[test]
fn a_peer_is_looked_at_again_shortly_before_its_deadline() {
    let mut driver = watching();
    let mut sent = driver.request();
    for _ in 0..8 {
        driver.answer(sent.id, page(vec![], "a"));
        sent = driver.sleep_until_request();
    }
    driver.answer(sent.id, page(vec![entry(2, 100)], ""));
    driver.outputs();
    let deadline = driver.now.as_millis() + 100_000;
    let mut polls = 0;
    loop {
        let sent = driver.sleep_until_request();
        let left = deadline.saturating_sub(driver.now.as_millis());
        if left < 20_000 {
            assert!(left > 0 && polls > 0, "{left} {polls}");
            return;
        }
        polls += 1;
        driver.answer(sent.id, page(vec![entry(2, left / 1_000)], ""));
    }
}

#[test]
fn a_full_relist_shows_who_left() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 5_000), entry(3, 5_000)], "a"));
    let mut sent = driver.request();
    driver.answer(sent.id, page(vec![], "a2"));
    driver.outputs();
    for _ in 0..100 {
        sent = driver.sleep_until_request();
        if cookie_of(&sent.request).is_none() {
            break;
        }
        driver.answer(sent.id, page(vec![], "b"));
    }
    assert_eq!(cookie_of(&sent.request), None, "listed anew");
    assert!(driver.now.saturating_since(secs(1_000)) >= ClientConfig::default().relist_interval);
    driver.answer(sent.id, page(vec![entry(3, 4_000)], "c"));
    let sent = driver.request();
    driver.answer(sent.id, page(vec![], "d"));
    assert_eq!(driver.events(), [gone(2, GoneReason::Unlisted)]);
}

#[test]
fn a_relist_that_is_cut_shows_nothing() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 5_000), entry(3, 5_000)], ""));
    driver.outputs();
    let sent = driver.sleep_until_request();
    driver.answer(sent.id, page(vec![entry(3, 4_000)], "a"));
    let sent = driver.request();
    driver.fail(sent.id, Failure::EndOfStream);
    let events = driver.events();
    let cause = Cause::Failed(Failure::EndOfStream);
    assert!(
        matches!(&events[..], [Event::WatchFailed { cause: told, .. }] if *told == cause),
        "{events:?}"
    );
    assert_eq!(driver.client.peers(driver.now, &in_chat(), None).len(), 2);
}

#[test]
fn a_peer_at_two_points_is_gone_when_both_lost_it() {
    let mut driver = Driver::new(2);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.requests();
    driver.answer(sent[0].id, page(vec![entry(2, 10)], ""));
    driver.answer(sent[1].id, page(vec![entry(2, 30)], ""));
    let events = driver.events();
    assert!(
        matches!(&events[..], [Event::Joined(_), Event::Renewed(_)]),
        "{events:?}"
    );
    let mut polled = [0; 2];
    loop {
        for it in driver.requests() {
            let index = usize::from(it.point != sent[0].point);
            polled[index] += 1;
            driver.answer(it.id, page(vec![], ""));
        }
        if driver.client.peers_cached() == 0 {
            break;
        }
        driver.sleep();
    }
    assert!(polled.iter().all(|count| *count == 1), "{polled:?}");
    assert_eq!(driver.events(), [gone(2, GoneReason::Unlisted)]);
}

#[test]
fn clearing_the_cache_lists_anew() {
    let mut driver = watching();
    let sent = driver.request();
    driver.answer(sent.id, page(vec![entry(2, 5_000)], "a"));
    let sent = driver.request();
    // In the middle of a listing, whose first page is forgotten as well.
    driver.client.clear_cache(driver.now, Some(&chat()));
    assert_eq!(driver.events(), [gone(2, GoneReason::Cleared)]);
    driver.answer(sent.id, page(vec![], "b"));
    let sent = driver.request();
    assert_eq!(cookie_of(&sent.request), None);
    driver.answer(sent.id, page(vec![entry(2, 5_000)], ""));
    assert!(matches!(&driver.events()[..], [Event::Joined(_)]));
    driver.client.clear_cache(driver.now, Some(&name("other")));
    assert_eq!(driver.outputs(), []);
}

#[test]
fn unwatching_cancels_and_tells_nothing_more() {
    let mut driver = watching();
    let sent = driver.request();
    driver.client.unwatch(driver.now, &in_chat());
    assert_eq!(
        driver.outputs(),
        [rv_core::client::Output::Cancel { id: sent.id }]
    );
    driver.answer(sent.id, page(vec![entry(2, 10)], ""));
    assert_eq!(driver.outputs(), []);
    assert_eq!(driver.client.poll_timeout(), None);
}

#[test]
fn watches_are_bounded() {
    let config = ClientConfig {
        watches_max: 1,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    driver.client.watch(driver.now, &in_chat()).expect("known");
    let second = driver.client.watch(driver.now, &Scope::All);
    let what = "watches";
    assert_eq!(second, Err(StartError::TooMany { what, max: 1 }));
}

#[test]
fn what_is_watched_starts_at_a_point_that_is_added_later() {
    let mut driver = watching();
    driver.outputs();
    driver.client.add_point(driver.now, point(2)).expect("room");
    assert_eq!(driver.request().point, point(2));
}
