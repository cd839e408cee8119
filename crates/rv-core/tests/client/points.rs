//! What the machines of a point learn together.

use rv_core::client::{
    ClientConfig, DiscoverOptions, Event, Failure, Reach, StartError, Target, Wanted,
};

use crate::driver::Driver;
use crate::samples::{address, chat, granted, in_chat, name, page, point};

#[test]
fn a_point_that_is_down_is_tried_by_one_request_at_a_time() {
    let mut driver = Driver::new(1);
    for namespace in ["a", "b", "c"] {
        driver.register_for(Target::Every, &name(namespace), None);
    }
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.requests();
    assert_eq!(sent.len(), 4);
    for sent in sent {
        driver.fail(sent.id, Failure::Unreachable);
    }
    let downs = driver
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::PointDown { .. }));
    assert_eq!(downs.count(), 1);
    for _ in 0..5 {
        let probe = driver.sleep_until_request();
        driver.pass_secs(20);
        driver.client.handle_timeout(driver.now);
        assert!(driver.requests().is_empty(), "one at a time");
        driver.fail(probe.id, Failure::Unreachable);
    }
    // It answers again: everybody else follows.
    let probe = driver.sleep_until_request();
    driver.answer(probe.id, granted(7_200));
    let mut out = driver.requests().len();
    while out < 3 {
        assert!(driver.sleep() <= 1);
        out += driver.requests().len();
    }
    assert_eq!(driver.client.points()[0].reach, Reach::Up);
}

#[test]
fn a_registration_does_not_wait_for_a_listing_that_tries_a_point() {
    let mut driver = Driver::new(1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let listing = driver.request();
    driver.fail(listing.id, Failure::TimedOut);
    let probe = driver.sleep_until_request();
    assert!(matches!(probe.request, Wanted::Discover { .. }));
    driver.register(Target::Every);
    assert!(matches!(driver.request().request, Wanted::Register { .. }));
    driver.register_for(Target::Every, &name("other"), None);
    assert_eq!(driver.requests().len(), 0, "one registration at a time");
}

#[test]
fn a_register_does_not_wait_for_an_unregister_that_tries_a_point() {
    let mut driver = Driver::new(1);
    driver.unregister(Target::Every);
    let sent = driver.request();
    driver.fail(sent.id, Failure::TimedOut);
    let probe = driver.sleep_until_request();
    assert!(matches!(probe.request, Wanted::Unregister { .. }));
    driver.register_for(Target::Every, &name("other"), None);
    assert!(matches!(driver.request().request, Wanted::Register { .. }));
}

#[test]
fn a_register_for_a_short_ttl_does_not_wait_for_one_for_a_long_ttl() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.fail(sent.id, Failure::TimedOut);
    let probe = driver.sleep_until_request();
    assert!(matches!(probe.request, Wanted::Register { .. }));
    driver.register_for(Target::Every, &name("same"), None);
    assert_eq!(driver.requests().len(), 0, "it would be waited for as long");
    driver.register_for(Target::Every, &name("short"), Some(120));
    let short = driver.request();
    assert!(
        matches!(&short.request, Wanted::Register { namespace, .. } if *namespace == name("short"))
    );
}

#[test]
fn a_request_that_was_lost_before_a_later_one_was_answered_says_nothing_of_its_point() {
    let mut driver = Driver::new(1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let lost = driver.request();
    driver.register(Target::Every);
    let register = driver.request();
    driver.answer(register.id, granted(7_200));
    driver.outputs();
    driver.fail(lost.id, Failure::TimedOut);
    let events = driver.events();
    assert!(
        matches!(&events[..], [Event::WatchFailed { .. }]),
        "{events:?}"
    );
    assert_eq!(driver.client.points()[0].reach, Reach::Up);

    let later = driver.sleep_until_request();
    driver.fail(later.id, Failure::TimedOut);
    let reach = &driver.client.points()[0].reach;
    assert!(matches!(reach, Reach::Down { .. }), "{reach:?}");
}

#[test]
fn pauses_grow_up_to_their_cap() {
    let mut driver = Driver::new(1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let before = driver.now;
        let probe = driver.sleep_until_request();
        pauses.push(driver.now.saturating_since(before).as_secs());
        driver.fail(probe.id, Failure::Unreachable);
    }
    let cap = ClientConfig::default().backoff_max.as_secs();
    assert!(pauses.iter().all(|pause| *pause <= cap), "{pauses:?}");
    assert!(pauses[19] >= cap / 2, "{pauses:?}");
}

#[test]
fn a_connection_is_a_hint_to_try_now() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    for _ in 0..8 {
        let sent = driver.sleep_until_request();
        driver.fail(sent.id, Failure::Unreachable);
    }
    driver.outputs();
    driver.pass_secs(2);
    driver.client.handle_connected(driver.now, point(1));
    assert!(matches!(driver.request().request, Wanted::Register { .. }));
}

#[test]
fn an_answer_to_one_request_is_a_hint_for_the_others() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    for _ in 0..9 {
        let sent = driver.sleep_until_request();
        driver.fail(sent.id, Failure::Unreachable);
    }
    driver.outputs();
    driver.pass_secs(2);
    let options = DiscoverOptions::default();
    driver
        .client
        .discover(driver.now, Target::Every, &in_chat(), options)
        .expect("starts");
    let probe = driver.request();
    assert!(matches!(probe.request, Wanted::Discover { .. }));
    driver.answer(probe.id, page(vec![], ""));
    assert!(matches!(driver.request().request, Wanted::Register { .. }));
}

#[test]
fn a_connection_that_comes_and_goes_is_no_reason_to_hurry() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.fail(sent.id, Failure::Unreachable);
    driver.outputs();
    for _ in 0..10 {
        driver.client.handle_connected(driver.now, point(1));
    }
    assert_eq!(driver.outputs(), [], "not again within the same second");
}

#[test]
fn requests_to_one_point_are_bounded_and_the_rest_follows() {
    let config = ClientConfig {
        requests_per_point_max: 2,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    for number in 0..5 {
        driver.register_for(Target::Every, &name(&format!("n{number}")), None);
    }
    let mut out = driver.requests();
    let mut answered = 0;
    while !out.is_empty() {
        assert!(driver.client.requests_out() <= 2);
        let sent = out.remove(0);
        driver.answer(sent.id, granted(7_200));
        answered += 1;
        out.extend(driver.requests());
    }
    assert_eq!(answered, 5);
}

#[test]
fn a_dead_point_does_not_hold_up_another() {
    let mut driver = Driver::new(2);
    driver.register(Target::Every);
    let sent = driver.requests();
    driver.fail(sent[0].id, Failure::Unreachable);
    driver.answer(sent[1].id, granted(7_200));
    driver.register_for(Target::Every, &name("other"), None);
    let alive = driver
        .requests()
        .into_iter()
        .filter(|it| it.point == sent[1].point);
    assert_eq!(alive.count(), 1);
}

#[test]
fn a_point_may_have_addresses_of_its_own() {
    let mut driver = Driver::new(2);
    let local = "/ip4/127.0.0.1/tcp/9".parse().expect("an address");
    driver
        .client
        .set_addresses_at(driver.now, point(1), Some(vec![local]));
    driver.register(Target::Every);
    for sent in driver.requests() {
        let Wanted::Register { addresses, .. } = sent.request else {
            panic!("not a REGISTER");
        };
        let expected = if sent.point == point(1) {
            "/ip4/127.0.0.1/tcp/9".parse().expect("an address")
        } else {
            address(4_001)
        };
        assert_eq!(*addresses, [expected]);
    }
}

#[test]
fn points_are_bounded_and_a_removed_one_is_forgotten() {
    let config = ClientConfig {
        points_max: 2,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 2);
    let what = "points";
    let third = driver.client.add_point(driver.now, point(3));
    assert_eq!(third, Err(StartError::TooMany { what, max: 2 }));
    driver.register(Target::Every);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.requests();
    let watch = sent
        .iter()
        .find(|it| it.point == point(1) && matches!(it.request, Wanted::Discover { .. }));
    let id = watch.expect("polled").id;
    driver.answer(id, page(vec![crate::samples::entry(2, 100)], ""));
    driver.outputs();
    driver.client.remove_point(driver.now, point(1));
    let gone = driver
        .outputs()
        .into_iter()
        .filter(|output| format!("{output:?}").contains("PointRemoved"));
    assert_eq!(gone.count(), 1);
    assert_eq!(driver.client.points().len(), 1);
    assert_eq!(driver.client.registration(&point(1), &chat()), None);
    let unknown = driver
        .client
        .unregister(driver.now, Target::Point(point(1)), &chat());
    assert_eq!(unknown, Err(StartError::UnknownPoint));
    driver.client.add_point(driver.now, point(3)).expect("room");
}
