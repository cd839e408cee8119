//! A point that gives page after page, each as late as it may.

use rv_core::client::{
    Bound, Cause, ClientConfig, DiscoverOptions, Event, Target, TimeoutReason, Wanted,
};

use crate::driver::{Driver, Sent};
use crate::samples::{entry, facts, in_chat, page, point};

/// Gives a page with somebody new after 29 s each time, until no page is asked for at once. Returns
/// how many.
fn give_slowly(driver: &mut Driver, mut sent: Sent) -> usize {
    let cookies = [
        "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
    ];
    for (number, cookie) in cookies.into_iter().enumerate() {
        driver.pass_secs(29);
        driver.client.handle_timeout(driver.now);
        let peer = 20 + u8::try_from(number).expect("few");
        driver.answer(sent.id, page(vec![entry(peer, 5_000)], cookie));
        if driver.client.requests_out() == 0 {
            return number + 1;
        }
        sent = driver.request();
    }
    panic!("it has no end");
}

#[test]
fn a_discovery_at_a_slow_point_ends_at_the_bound_on_time_with_its_cookie() {
    let mut driver = Driver::new(1);
    let (now, options) = (driver.now, DiscoverOptions::default());
    let started = driver
        .client
        .discover(now, Target::Every, &in_chat(), options);
    started.expect("starts");
    let sent = driver.request();
    assert_eq!(give_slowly(&mut driver, sent), 11);
    let events = driver.events();
    let [
        Event::Found { peers, .. },
        Event::DiscoverDone { points, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(peers.len(), 1, "the last page is told");
    let max = ClientConfig::default().listing_time_max;
    let cause = Cause::Bound(Bound::Time { max });
    let expected = (point(1), 11, 11, Some(&b"11"[..]), Some(&cause));
    assert_eq!(facts(&points[0]), expected);
    assert_eq!(cause.to_string(), "listing cut: not done after 300s");
    assert_eq!(
        driver.client.poll_timeout().map(|(_, why)| why),
        Some(TimeoutReason::CacheExpiry)
    );
}

#[test]
fn a_watch_at_a_slow_point_goes_on_from_its_cookie_at_the_next_poll() {
    let mut driver = Driver::new(1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.request();
    assert_eq!(give_slowly(&mut driver, sent), 11);
    let max = ClientConfig::default().listing_time_max;
    let events = driver.events();
    let [Event::Joined(_), Event::WatchFailed { cause, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*cause, Cause::Bound(Bound::Time { max }));
    let next = driver.sleep_until_request();
    let Wanted::Discover { cookie, .. } = &next.request else {
        panic!("{next:?}");
    };
    assert_eq!(cookie.as_deref(), Some(&b"11"[..]));
}
