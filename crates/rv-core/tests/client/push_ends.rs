//! Subscriptions that end or are refused, again and again, and what a watch does meanwhile.

use rv_core::client::{ClientConfig, Failure, Output, RequestId, Wanted};
use rv_proto::{Status, SubscriptionUpdate};

use crate::driver::{Driver, Sent};
use crate::push::{begun, identify, open, push, refusal, subscribe, update};
use crate::samples::{in_chat, page};

/// Polls, and those of them that list everything.
#[derive(Debug)]
struct Count {
    polls: usize,
    listings: usize,
}

/// Six hours at a point that answers every poll with nothing new, and every subscription so.
fn six_hours(driver: &mut Driver, subscribed: impl Fn(&mut Driver, RequestId)) -> Count {
    let mut count = Count {
        polls: 0,
        listings: 0,
    };
    let end_secs = driver.now.as_millis() / 1_000 + 6 * 3_600;
    for _ in 0..10_000 {
        for sent in driver.requests() {
            if let Wanted::Discover { cookie, .. } = &sent.request {
                count.polls += 1;
                count.listings += usize::from(cookie.is_none());
                driver.answer(sent.id, page(Vec::new(), "p"));
            } else {
                subscribed(driver, sent.id);
            }
        }
        if driver.now.as_millis() / 1_000 >= end_secs {
            return count;
        }
        driver.sleep();
    }
    panic!("it never rests");
}

/// Lets polls be answered with nothing new until the watch subscribes.
fn until_subscribed(driver: &mut Driver) -> Sent {
    let mut seen = driver.sleep_until_request();
    while matches!(seen.request, Wanted::Discover { .. }) {
        driver.answer(seen.id, page(Vec::new(), "p"));
        seen = driver.sleep_until_request();
    }
    seen
}

fn assert_as_good_as_polling(count: &Count) {
    let config = ClientConfig {
        push: false,
        ..ClientConfig::default()
    };
    let mut polling = Driver::with(config, 1);
    identify(&mut polling);
    polling.client.watch(polling.now, &in_chat()).expect("room");
    let usual = six_hours(&mut polling, |_, _| panic!("it polls"));
    let is_near = |one: usize, other: usize| one.abs_diff(other) * 10 <= other;
    assert!(
        is_near(count.polls, usual.polls) && is_near(count.listings, usual.listings),
        "{count:?} instead of {usual:?}"
    );
}

#[test]
fn a_point_that_refuses_every_subscription_is_listed_like_one_that_offers_none() {
    let (mut driver, id) = open();
    driver.fail(id, Failure::EndOfStream);
    let count = six_hours(&mut driver, |driver, id| {
        driver.answer(id, refusal(Status::UNAVAILABLE));
    });
    assert_as_good_as_polling(&count);
}

#[test]
fn a_point_that_breaks_every_subscription_is_listed_like_one_that_offers_none() {
    let (mut driver, id) = open();
    driver.fail(id, Failure::EndOfStream);
    let count = six_hours(&mut driver, |driver, id| {
        begun(driver, id);
        driver.fail(id, Failure::EndOfStream);
    });
    assert_as_good_as_polling(&count);
}

#[test]
fn a_point_that_floods_with_nothing_is_cut_off() {
    let (mut driver, id) = open();
    let max = ClientConfig::default().listing_entries_max;
    let mut taken = 0;
    for _ in 0..100_000 {
        push(&mut driver, id, SubscriptionUpdate::default());
        let outputs = driver.outputs();
        if !outputs.is_empty() {
            let [Output::Cancel { id: out }, Output::Request { .. }] = &outputs[..] else {
                panic!("{outputs:?}");
            };
            assert_eq!(*out, id);
            break;
        }
        taken += 1;
    }
    // The snapshot that it began with was of two entries.
    assert_eq!(taken, max - 2);
    assert!(!driver.client.watches()[0].is_pushed);
}

#[test]
fn a_point_that_flooded_is_left_alone_as_long_as_between_two_whole_listings() {
    let (mut driver, id) = open();
    for _ in 0..ClientConfig::default().listing_entries_max {
        push(&mut driver, id, SubscriptionUpdate::default());
    }
    let ended = driver.now;
    assert_eq!(until_subscribed(&mut driver).request, subscribe(Some("a")));
    let waited = driver.now.saturating_since(ended).as_secs();
    assert!((780..=900).contains(&waited), "{waited} s");
}

#[test]
fn heartbeats_of_a_month_are_no_flood() {
    let (mut driver, id) = open();
    for _ in 0..100_000 {
        driver.pass_secs(30);
        push(&mut driver, id, SubscriptionUpdate::default());
    }
    assert!(driver.client.watches()[0].is_pushed);
}

#[test]
fn after_a_long_subscription_a_poll_goes_on_from_its_cookie() {
    let (mut driver, id) = open();
    for _ in 0..120 {
        driver.pass_secs(30);
        push(&mut driver, id, update(Vec::new(), &[], "b"));
    }
    driver.outputs();
    driver.fail(id, Failure::EndOfStream);
    let poll = driver.request();
    assert!(
        matches!(&poll.request, Wanted::Discover { cookie: Some(it), .. } if it == "b"),
        "{poll:?}"
    );
}

#[test]
fn a_subscription_that_worked_is_begun_again_as_soon_as_the_first_was() {
    let (mut driver, id) = open();
    driver.fail(id, Failure::EndOfStream);
    for refused in 0..3 {
        let again = until_subscribed(&mut driver);
        assert_eq!(again.request, subscribe(Some("a")), "{refused}");
        driver.answer(again.id, refusal(Status::UNAVAILABLE));
    }
    let again = until_subscribed(&mut driver);
    begun(&mut driver, again.id);
    push(&mut driver, again.id, update(Vec::new(), &[], "b"));
    driver.fail(again.id, Failure::EndOfStream);
    let ended = driver.now;
    let again = until_subscribed(&mut driver);
    assert_eq!(again.request, subscribe(Some("b")));
    let waited = driver.now.saturating_since(ended).as_secs();
    assert!((13..=15).contains(&waited), "{waited} s");
}

#[test]
fn a_cookie_above_the_bound_ends_the_subscription_and_is_not_sent_back() {
    let (mut driver, id) = open();
    let long = SubscriptionUpdate {
        cookie: Some(vec![b'c'; 1_025].into()),
        ..SubscriptionUpdate::default()
    };
    push(&mut driver, id, long);
    assert!(!driver.client.watches()[0].is_pushed);
    assert_eq!(until_subscribed(&mut driver).request, subscribe(None));
}
