//! Watches that are pushed to, and what they do when they are not.

use bytes::Bytes;
use rv_core::client::{Event, Failure, GoneReason, Output, Pushed, RequestId, Wanted};
use rv_proto::{
    EXTENSION_PROTOCOL, Entry, Removal, Response, Scope, Status, SubscribeResponse,
    SubscriptionUpdate, UPDATES_TYPE,
};

use crate::driver::{Driver, Sent};
use crate::samples::{chat, entry, in_chat, name, page, peer, point};

/// A client that watches at one point with the extension.
pub(crate) fn watching() -> Driver {
    let mut driver = Driver::new(1);
    identify(&mut driver);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    driver
}

pub(crate) fn identify(driver: &mut Driver) {
    driver
        .client
        .handle_identified(driver.now, point(1), "rv/1", &[EXTENSION_PROTOCOL]);
}

pub(crate) fn subscribe(cookie: Option<&'static str>) -> Wanted {
    Wanted::Subscribe {
        scope: in_chat(),
        cookie: cookie.map(Bytes::from),
    }
}

pub(crate) fn is_poll(sent: &Sent) -> bool {
    matches!(sent.request, Wanted::Discover { .. })
}

pub(crate) fn begun(driver: &mut Driver, id: RequestId) {
    begun_with(driver, id, 30);
}

fn begun_with(driver: &mut Driver, id: RequestId, heartbeat_secs: u64) {
    let response = SubscribeResponse {
        subscription_type: Some(UPDATES_TYPE.into()),
        heartbeat_secs: Some(heartbeat_secs),
        ..SubscribeResponse::default()
    };
    let response = Response::Subscribe(response);
    driver
        .client
        .handle_pushed(driver.now, id, Pushed::response(response));
}

pub(crate) fn push(driver: &mut Driver, id: RequestId, update: SubscriptionUpdate) {
    let pushed = Pushed::update(None, &subscribe(None), update);
    driver.client.handle_pushed(driver.now, id, pushed);
}

pub(crate) fn update(
    entries: Vec<Entry>,
    removals: &[u8],
    cookie: &'static str,
) -> SubscriptionUpdate {
    let removal = |number: &u8| Removal {
        namespace: Some("chat".into()),
        peer: Some(peer(*number).to_bytes().into()),
    };
    SubscriptionUpdate {
        entries,
        removals: removals.iter().map(removal).collect(),
        cookie: Some(cookie.into()),
        is_complete: true,
        ..SubscriptionUpdate::default()
    }
}

pub(crate) fn snapshot(entries: Vec<Entry>, cookie: &'static str) -> SubscriptionUpdate {
    SubscriptionUpdate {
        is_reset: true,
        ..update(entries, &[], cookie)
    }
}

pub(crate) fn refusal(status: Status) -> Response {
    Response::Subscribe(SubscribeResponse::refused(status, "no".into()))
}

/// A subscription with a snapshot of two, which are told.
pub(crate) fn open() -> (Driver, RequestId) {
    let mut driver = watching();
    let sent = driver.request();
    assert_eq!(sent.request, subscribe(None));
    begun(&mut driver, sent.id);
    push(
        &mut driver,
        sent.id,
        snapshot(vec![entry(2, 100), entry(3, 100)], "a"),
    );
    let told = driver.events();
    assert!(
        matches!(&told[..], [Event::Joined(_), Event::Joined(_)]),
        "{told:?}"
    );
    (driver, sent.id)
}

pub(crate) fn gone(number: u8, reason: GoneReason) -> Event {
    Event::Gone {
        namespace: chat(),
        peer: peer(number),
        reason,
    }
}

#[test]
fn a_watch_is_pushed_to_where_the_point_offers_it_and_polls_nothing() {
    let (mut driver, id) = open();
    assert!(driver.client.watches()[0].is_pushed);
    assert_eq!(driver.client.watches()[0].poll_at, None);
    assert_eq!(
        driver.client.requests_out(),
        0,
        "it takes no place of others"
    );

    push(&mut driver, id, update(vec![entry(4, 100)], &[], "b"));
    assert!(matches!(&driver.events()[..], [Event::Joined(found)] if found.peer() == peer(4)));
    push(&mut driver, id, update(vec![entry(4, 200)], &[], "c"));
    assert!(matches!(&driver.events()[..], [Event::Renewed(found)] if found.peer() == peer(4)));
    push(&mut driver, id, update(Vec::new(), &[2, 9], "d"));
    assert_eq!(driver.events(), [gone(2, GoneReason::Left)]);
    driver.pass_secs(80);
    push(&mut driver, id, update(Vec::new(), &[], "e"));
    assert_eq!(driver.events(), []);
    assert_eq!(driver.sleep(), 20);
    assert_eq!(driver.events(), [gone(3, GoneReason::Expired)]);
}

#[test]
fn a_watch_that_polls_is_pushed_to_once_the_point_is_known_to_offer_it() {
    let mut driver = Driver::new(1);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.request();
    assert!(is_poll(&sent));
    identify(&mut driver);
    assert_eq!(driver.requests().len(), 0, "one at a time");
    driver.answer(sent.id, page(vec![entry(2, 100)], ""));
    assert_eq!(driver.request().request, subscribe(None));
}

#[test]
fn whoever_wants_to_poll_polls() {
    let config = rv_core::client::ClientConfig {
        push: false,
        ..Default::default()
    };
    let mut driver = Driver::with(config, 1);
    identify(&mut driver);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    assert!(is_poll(&driver.request()));
}

#[test]
fn a_subscription_that_ends_is_polled_for_at_once_and_begun_again_where_it_ended() {
    let (mut driver, id) = open();
    driver.fail(id, Failure::Unreachable);
    let poll = driver.request();
    assert!(is_poll(&poll));
    assert!(
        matches!(&poll.request, Wanted::Discover { cookie: Some(it), .. } if it == "a"),
        "{poll:?}"
    );
    driver.answer(poll.id, page(Vec::new(), "p"));
    assert!(!driver.client.watches()[0].is_pushed);

    let mut seen = driver.sleep_until_request();
    while is_poll(&seen) {
        driver.answer(seen.id, page(Vec::new(), "p"));
        seen = driver.sleep_until_request();
    }
    assert_eq!(seen.request, subscribe(Some("a")));
    begun(&mut driver, seen.id);
    push(&mut driver, seen.id, update(Vec::new(), &[3], "b"));
    assert_eq!(driver.events(), [gone(3, GoneReason::Left)]);
    // What came before it ended counts no longer.
    push(&mut driver, id, update(vec![entry(5, 100)], &[], "z"));
    assert_eq!(driver.events(), []);
}

#[test]
fn a_snapshot_shows_who_is_missing() {
    let (mut driver, id) = open();
    driver.pass_secs(10);
    let first = SubscriptionUpdate {
        cookie: None,
        is_complete: false,
        ..snapshot(vec![entry(3, 100)], "")
    };
    push(&mut driver, id, first);
    assert!(matches!(&driver.events()[..], [Event::Renewed(_)]));
    push(&mut driver, id, update(vec![entry(4, 100)], &[], "b"));
    let told = driver.events();
    assert!(
        matches!(&told[..], [Event::Joined(_), last] if *last == gone(2, GoneReason::Unlisted)),
        "{told:?}"
    );
}

#[test]
fn a_point_that_falls_silent_is_taken_for_gone() {
    let (mut driver, _) = open();
    assert_eq!(driver.sleep(), 90, "three times what it promised");
    let outputs = driver.outputs();
    assert!(
        matches!(
            &outputs[..],
            [Output::Cancel { .. }, Output::Request { .. }]
        ),
        "{outputs:?}"
    );
}

#[test]
fn a_heartbeat_is_believed_within_reason() {
    for (told_secs, patience_secs) in [(0, 3), (1_000_000, 1_800)] {
        let mut driver = watching();
        let sent = driver.request();
        begun_with(&mut driver, sent.id, told_secs);
        assert_eq!(driver.sleep(), patience_secs, "{told_secs}");
    }
}

#[test]
fn a_type_that_was_not_asked_for_is_none() {
    let mut driver = watching();
    let sent = driver.request();
    let response = SubscribeResponse {
        subscription_type: Some("inmem".into()),
        ..SubscribeResponse::default()
    };
    driver.answer(sent.id, Response::Subscribe(response));
    assert!(is_poll(&driver.request()));
    assert!(!driver.client.watches()[0].is_pushed);
}

#[test]
fn a_point_that_refuses_is_polled_and_asked_again_when_it_may_have_changed_its_mind() {
    for (status, within_secs) in [
        (Status::UNAVAILABLE, 13..=15),
        (Status::INTERNAL_ERROR, 780..=900),
    ] {
        let mut driver = watching();
        let sent = driver.request();
        let began = driver.now;
        driver.answer(sent.id, refusal(status));
        let mut seen = driver.request();
        while is_poll(&seen) {
            driver.answer(seen.id, page(Vec::new(), ""));
            seen = driver.sleep_until_request();
        }
        assert_eq!(seen.request, subscribe(None));
        let waited = driver.now.saturating_since(began).as_secs();
        assert!(within_secs.contains(&waited), "{status} for {waited} s");
    }
}

#[test]
fn a_cookie_that_is_refused_is_dropped() {
    let (mut driver, id) = open();
    let end = SubscriptionUpdate::ended(Status::INVALID_COOKIE, String::new());
    push(&mut driver, id, end);
    let mut seen = driver.request();
    while is_poll(&seen) {
        driver.answer(seen.id, page(Vec::new(), ""));
        seen = driver.sleep_until_request();
    }
    assert_eq!(seen.request, subscribe(None));
}

#[test]
fn a_point_that_pushes_without_end_is_cut_off() {
    let config = rv_core::client::ClientConfig {
        listing_entries_max: 10,
        ..Default::default()
    };
    let mut driver = Driver::with(config, 1);
    identify(&mut driver);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.request();
    begun(&mut driver, sent.id);
    for _ in 0..10 {
        push(&mut driver, sent.id, update(vec![entry(2, 100)], &[], "a"));
    }
    driver.outputs();
    push(&mut driver, sent.id, update(vec![entry(2, 100)], &[], "a"));
    let outputs = driver.outputs();
    assert!(
        matches!(&outputs[..], [Output::Cancel { id }, Output::Request { .. }] if *id == sent.id),
        "{outputs:?}"
    );
}

#[test]
fn what_was_not_subscribed_to_is_not_believed() {
    let (mut driver, id) = open();
    let elsewhere = Scope::Namespace(name("elsewhere"));
    driver.client.watch(driver.now, &elsewhere).expect("room");
    let other = driver.request();
    begun(&mut driver, other.id);
    let in_elsewhere = |number| Entry {
        namespace: Some("elsewhere".into()),
        ..entry(number, 100)
    };
    let wanted = Wanted::Subscribe {
        scope: elsewhere,
        cookie: None,
    };
    let pushed = Pushed::update(None, &wanted, snapshot(vec![in_elsewhere(4)], "x"));
    driver.client.handle_pushed(driver.now, other.id, pushed);
    assert!(matches!(&driver.events()[..], [Event::Joined(_)]));

    let mut foreign = update(vec![in_elsewhere(5)], &[4], "b");
    foreign.removals[0].namespace = Some("elsewhere".into());
    push(&mut driver, id, foreign);
    assert_eq!(driver.events(), []);
    assert_eq!(driver.client.peers_cached(), 3);
}

#[test]
fn who_forgets_what_it_found_begins_anew() {
    let (mut driver, id) = open();
    driver.client.clear_cache(driver.now, None);
    let outputs = driver.outputs();
    let is_cancel = |it: &Output| matches!(it, Output::Cancel { id: out } if *out == id);
    assert!(outputs.iter().any(is_cancel), "{outputs:?}");
    let again = outputs.iter().find_map(|it| match it {
        Output::Request { request, .. } => Some(request.clone()),
        Output::Cancel { .. } | Output::Event(_) => None,
    });
    assert_eq!(again, Some(subscribe(None)));
}

#[test]
fn who_watches_no_longer_ends_the_subscription() {
    for end in [
        |driver: &mut Driver| driver.client.unwatch(driver.now, &in_chat()),
        |driver: &mut Driver| driver.client.close(driver.now),
    ] {
        let (mut driver, id) = open();
        end(&mut driver);
        assert_eq!(driver.outputs(), [Output::Cancel { id }]);
        push(&mut driver, id, update(vec![entry(5, 100)], &[], "b"));
        assert_eq!(driver.outputs(), []);
    }
}
