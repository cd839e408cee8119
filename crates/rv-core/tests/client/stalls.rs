//! What is due is sent, or something that will send it is out or on the agenda.

use rv_core::client::{ClientConfig, DiscoverOptions, Failure, Target, Wanted};

use crate::driver::{Driver, Sent};
use crate::samples::{chat, entry, in_chat, name, page, point};

/// Asks every point for one entry.
fn discover_one(driver: &mut Driver) -> Vec<Sent> {
    let options = DiscoverOptions {
        limit: Some(1),
        ..DiscoverOptions::default()
    };
    let now = driver.now;
    let started = driver
        .client
        .discover(now, Target::Every, &in_chat(), options);
    started.expect("starts");
    driver.requests()
}

/// The first point gives the one entry, which ends what the second was asked.
fn fill(driver: &mut Driver, sent: &[Sent]) -> Vec<Sent> {
    let first = sent.iter().find(|it| it.point == point(1));
    let id = first.expect("asked").id;
    driver.answer(id, page(vec![entry(2, 5_000)], ""));
    driver.requests()
}

fn at_second(sent: &[Sent]) -> Vec<&Wanted> {
    let there = sent.iter().filter(|it| it.point == point(2));
    there.map(|it| &it.request).collect()
}

#[test]
fn what_waits_behind_a_discovery_that_tries_a_dead_point_follows_when_that_is_full() {
    let mut driver = Driver::new(2);
    driver.register(Target::Point(point(2)));
    let sent = driver.request();
    driver.fail(sent.id, Failure::Unreachable);
    driver.outputs();
    let sent = discover_one(&mut driver);
    assert_eq!(at_second(&sent).len(), 1, "it tries the dead point");
    let here = Target::Point(point(2));
    driver.unregister(here);
    assert_eq!(driver.requests().len(), 0, "one request tries for all");

    let follows = fill(&mut driver, &sent);
    let namespace = chat();
    assert_eq!(at_second(&follows), [&Wanted::Unregister { namespace }]);
    assert_eq!(driver.client.stalled(), []);
}

#[test]
fn a_dead_point_is_polled_all_day_though_a_discovery_was_full_while_it_tried_it() {
    let mut driver = Driver::new(2);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    for sent in driver.requests() {
        if sent.point == point(2) {
            driver.fail(sent.id, Failure::Unreachable);
        } else {
            driver.answer(sent.id, page(vec![], "a"));
        }
    }
    driver.outputs();
    driver.pass_secs(10);
    driver.client.handle_timeout(driver.now);
    let sent = discover_one(&mut driver);
    assert_eq!(at_second(&sent).len(), 1, "it tries the dead point");
    // Its next poll is due before the discovery is given up.
    driver.pass_secs(21);
    driver.client.handle_timeout(driver.now);
    let polls = driver.requests();
    assert_eq!(at_second(&polls).len(), 0, "one request tries for all");
    let mut follows = fill(&mut driver, &sent);
    follows.extend(polls);

    let mut tried = 0;
    let end = driver.now.as_millis() + 86_400_000;
    while driver.now.as_millis() < end {
        for sent in std::mem::take(&mut follows) {
            if sent.point == point(2) {
                tried += 1;
                driver.fail(sent.id, Failure::Unreachable);
            } else {
                driver.answer(sent.id, page(vec![], "a"));
            }
        }
        assert_eq!(driver.client.stalled(), []);
        driver.sleep();
        follows = driver.requests();
    }
    let longest = ClientConfig::default().poll_max.as_secs() + 300;
    assert!(tried >= 86_400 / longest, "tried {tried} times");
}

#[test]
fn what_waits_for_the_place_of_a_discovery_follows_when_that_is_full() {
    let config = ClientConfig {
        requests_per_point_max: 1,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 2);
    let sent = discover_one(&mut driver);
    assert_eq!(at_second(&sent).len(), 1);
    driver.register_for(Target::Point(point(2)), &name("other"), None);
    assert_eq!(driver.requests().len(), 0, "there is no place");
    let follows = fill(&mut driver, &sent);
    let sent = at_second(&follows);
    assert!(matches!(sent[..], [Wanted::Register { .. }]), "{sent:?}");
    assert_eq!(driver.client.stalled(), []);
}
