//! When what stands at a point is registered anew because the point may have lost it.

use rv_core::client::{
    ClientConfig, DiscoverOptions, Event, Failure, Output, Reach, Target, Wanted,
};

use rv_proto::Namespace;

use crate::driver::{Driver, Sent};
use crate::samples::{chat, granted, in_chat, name, page, point};

/// Registered for two hours in "chat" and "other".
fn registered() -> Driver {
    let mut driver = Driver::new(1);
    for namespace in [chat(), name("other")] {
        driver.register_for(Target::Every, &namespace, Some(7_200));
        let sent = driver.request();
        driver.answer(sent.id, granted(7_200));
    }
    driver.outputs();
    driver
}

fn discover(driver: &mut Driver) -> Sent {
    let (now, options) = (driver.now, DiscoverOptions::default());
    let started = driver
        .client
        .discover(now, Target::Every, &in_chat(), options);
    started.expect("starts");
    driver.request()
}

/// The point does not answer, and does again. Returns what follows.
fn outage(driver: &mut Driver) -> Vec<Sent> {
    let sent = discover(driver);
    driver.fail(sent.id, Failure::Unreachable);
    let sent = discover(driver);
    driver.answer(sent.id, page(vec![], ""));
    driver.requests()
}

fn namespaces(sent: &[Sent]) -> Vec<Namespace> {
    let of = |sent: &Sent| match &sent.request {
        Wanted::Register { namespace, .. } => namespace.clone(),
        other => panic!("no REGISTER: {other:?}"),
    };
    sent.iter().map(of).collect()
}

#[test]
fn ten_connections_in_ten_minutes_make_no_register() {
    let mut driver = registered();
    for _ in 0..10 {
        driver.pass_secs(60);
        driver.client.handle_timeout(driver.now);
        driver.client.handle_connected(driver.now, point(1));
        assert_eq!(driver.outputs(), []);
    }
    let before = driver.now;
    let sent = driver.sleep_until_requests();
    assert_eq!(namespaces(&sent).len(), 1);
    assert!(driver.now.saturating_since(before).as_secs() > 7_200 * 13 / 16 - 601);
}

#[test]
fn after_an_outage_each_registration_is_renewed_once() {
    let mut driver = registered();
    driver.pass_secs(60);
    let sent = outage(&mut driver);
    assert_eq!(namespaces(&sent), [chat(), name("other")]);
    for sent in sent {
        driver.answer(sent.id, granted(7_200));
    }
    driver.outputs();
    let before = driver.now;
    let sent = driver.sleep_until_requests();
    assert_eq!(namespaces(&sent).len(), 1);
    assert!(driver.now.saturating_since(before).as_secs() >= 7_200 * 13 / 16);
}

#[test]
fn a_point_that_comes_and_goes_each_second_is_registered_at_ever_more_seldom() {
    let mut driver = registered();
    let start = driver.now;
    let mut at = Vec::new();
    for _ in 0..600 {
        driver.pass_secs(1);
        driver.client.handle_timeout(driver.now);
        let mut sent = driver.requests();
        sent.extend(outage(&mut driver));
        for sent in sent {
            if let Wanted::Register { namespace, .. } = &sent.request
                && *namespace == chat()
            {
                at.push(driver.now.saturating_since(start).as_secs());
            }
            driver.answer(sent.id, granted(7_200));
        }
        driver.outputs();
    }
    // The pauses double up to one share of the ttl.
    let share = 7_200 / u64::from(ClientConfig::TTL_SHARES);
    assert_eq!(share, 225);
    assert_eq!(at, [1, 3, 7, 15, 31, 63, 127, 255, 480]);

    // When it was steady for long enough, the first outage counts at once again.
    let last = driver.sleep_until_requests();
    assert_eq!(namespaces(&last), [chat(), name("other")]);
    for sent in last {
        driver.answer(sent.id, granted(7_200));
    }
    driver.outputs();
    driver.pass_secs(2 * share);
    assert_eq!(namespaces(&outage(&mut driver)), [chat(), name("other")]);
}

#[test]
fn a_request_that_is_lost_while_another_is_answered_is_no_outage() {
    let mut driver = registered();
    driver.pass_secs(60);
    let first = discover(&mut driver);
    let lost = discover(&mut driver);
    driver.answer(first.id, page(vec![], ""));
    driver.outputs();
    driver.pass_secs(30);
    driver.client.handle_timeout(driver.now);
    let outputs = driver.outputs();
    let [
        Output::Cancel { id },
        Output::Event(Event::DiscoverDone { .. }),
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(*id, lost.id);
    assert_eq!(driver.client.points()[0].reach, Reach::Up);
    let again = discover(&mut driver);
    driver.answer(again.id, page(vec![], ""));
    assert_eq!(driver.requests().len(), 0, "nothing is registered anew");
}
