//! Lookups at a point that also pushes: what they list may be older than what was pushed.

use libp2p_identity::PeerId;
use rv_core::client::{
    Client, DiscoverOptions, Discovered, Event, Failure, GoneReason, RequestId, Target,
};
use rv_proto::{Entry, Scope, SubscriptionUpdate, Time};

use crate::driver::{Driver, Sent};
use crate::push::{begun, gone, open, push, snapshot, subscribe, update};
use crate::samples::{entry, in_chat, page, peer};

fn look_up(driver: &mut Driver, scope: &Scope) -> Sent {
    let options = DiscoverOptions::default();
    let (now, client) = (driver.now, &mut driver.client);
    let started = client.discover(now, Target::Every, scope, options);
    started.expect("starts");
    driver.request()
}

fn known(client: &Client, now: Time, scope: &Scope) -> Vec<PeerId> {
    let known = client.peers(now, scope, None);
    known.iter().map(Discovered::peer).collect()
}

/// Everything that is told, but for the lookup itself; of that, whom it found.
fn told(driver: &mut Driver) -> (Vec<PeerId>, Vec<Event>) {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for event in driver.events() {
        match event {
            Event::Found { peers, .. } => found.extend(peers.iter().map(Discovered::peer)),
            Event::DiscoverDone { .. } => {}
            other => others.push(other),
        }
    }
    (found, others)
}

fn removed(driver: &mut Driver, id: RequestId) {
    push(driver, id, update(Vec::new(), &[2], "b"));
    assert_eq!(driver.events(), [gone(2, GoneReason::Left)]);
}

#[test]
fn a_page_that_a_removal_overtook_brings_nobody_back() {
    let (mut driver, id) = open();
    let asked = look_up(&mut driver, &in_chat());
    removed(&mut driver, id);
    driver.answer(asked.id, page(vec![entry(2, 100), entry(3, 100)], ""));
    let (found, others) = told(&mut driver);
    assert_eq!(
        found,
        [peer(2), peer(3)],
        "the caller is told what is listed"
    );
    assert_eq!(others, []);
    assert_eq!(known(&driver.client, driver.now, &in_chat()), [peer(3)]);
}

#[test]
fn of_a_page_of_everything_only_what_is_not_pushed_is_kept() {
    let (mut driver, id) = open();
    let asked = look_up(&mut driver, &Scope::All);
    removed(&mut driver, id);
    let elsewhere = Entry {
        namespace: Some("elsewhere".into()),
        ..entry(4, 100)
    };
    driver.answer(asked.id, page(vec![entry(2, 100), elsewhere], ""));
    let (found, others) = told(&mut driver);
    assert_eq!((found.len(), others), (2, Vec::new()));
    let mut all = known(&driver.client, driver.now, &Scope::All);
    all.sort_unstable();
    let mut expected = [peer(3), peer(4)];
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[test]
fn a_page_within_a_snapshot_brings_nobody_back_either() {
    let (mut driver, id) = open();
    let asked = look_up(&mut driver, &in_chat());
    driver.pass_secs(1);
    let first = SubscriptionUpdate {
        cookie: None,
        is_complete: false,
        ..snapshot(vec![entry(3, 99)], "")
    };
    push(&mut driver, id, first);
    driver.pass_secs(1);
    driver.answer(asked.id, page(vec![entry(2, 98)], ""));
    push(&mut driver, id, update(Vec::new(), &[], "b"));
    let (_, others) = told(&mut driver);
    assert_eq!(others, [gone(2, GoneReason::Unlisted)]);
}

#[test]
fn a_page_is_kept_once_nothing_is_pushed_any_more() {
    let (mut driver, id) = open();
    removed(&mut driver, id);
    driver.fail(id, Failure::EndOfStream);
    driver.outputs();
    let asked = look_up(&mut driver, &in_chat());
    driver.answer(asked.id, page(vec![entry(2, 100)], ""));
    let (_, others) = told(&mut driver);
    assert!(
        matches!(&others[..], [Event::Joined(it)] if it.peer() == peer(2)),
        "{others:?}"
    );
}

#[test]
fn a_page_before_the_first_update_is_kept() {
    let (mut driver, id) = open();
    driver.fail(id, Failure::EndOfStream);
    let mut again = driver.request();
    while again.request != subscribe(Some("a")) {
        driver.answer(again.id, page(Vec::new(), "p"));
        again = driver.sleep_until_request();
    }
    begun(&mut driver, again.id);
    let asked = look_up(&mut driver, &in_chat());
    driver.answer(asked.id, page(vec![entry(4, 100)], ""));
    let (_, others) = told(&mut driver);
    assert!(
        matches!(&others[..], [Event::Joined(it)] if it.peer() == peer(4)),
        "{others:?}"
    );
}
