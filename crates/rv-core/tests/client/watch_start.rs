//! What a watch tells when it begins: who is known already.

use libp2p_identity::PeerId;
use rv_core::client::{DiscoverOptions, Event, GoneReason, Output, Target};
use rv_proto::{Entry, Namespace, Scope};

use crate::driver::Driver;
use crate::samples::{chat, entry, in_chat, name, page, peer};

fn in_namespace(namespace: &'static str, number: u8, ttl_secs: u64) -> Entry {
    Entry {
        namespace: Some(namespace.as_bytes().into()),
        ..entry(number, ttl_secs)
    }
}

/// A client that listed these.
fn listed(entries: Vec<Entry>) -> Driver {
    let mut driver = Driver::new(1);
    let (now, options) = (driver.now, DiscoverOptions::default());
    let started = driver
        .client
        .discover(now, Target::Every, &Scope::All, options);
    started.expect("starts");
    let sent = driver.request();
    driver.answer(sent.id, page(entries, ""));
    driver.outputs();
    driver
}

/// Watches, and returns who is told to have joined.
fn watch(driver: &mut Driver, scope: &Scope) -> Vec<(Namespace, PeerId)> {
    driver.client.watch(driver.now, scope).expect("room");
    let outputs = driver.outputs().into_iter();
    outputs
        .filter_map(|output| match output {
            Output::Event(Event::Joined(found)) => Some((found.namespace.clone(), found.peer())),
            Output::Request { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn whom_a_discovery_found_has_joined_and_is_gone_later() {
    let mut driver = listed(vec![
        in_namespace("chat", 2, 100),
        in_namespace("chat", 3, 5),
        in_namespace("other", 4, 100),
    ]);
    // The third is past its deadline, though no timer told so.
    driver.pass_secs(10);
    assert_eq!(watch(&mut driver, &in_chat()), [(chat(), peer(2))]);
    assert_eq!(watch(&mut driver, &in_chat()), [], "it is watched already");

    driver.client.clear_cache(driver.now, Some(&chat()));
    let gone = Event::Gone {
        namespace: chat(),
        peer: peer(2),
        reason: GoneReason::Cleared,
    };
    driver.client.handle_timeout(driver.now);
    assert_eq!(driver.events(), [gone]);
}

#[test]
fn nobody_is_told_twice_where_two_watches_overlap() {
    let entries = || vec![in_namespace("chat", 2, 100), in_namespace("other", 2, 100)];
    let mut driver = listed(entries());
    assert_eq!(watch(&mut driver, &in_chat()), [(chat(), peer(2))]);
    assert_eq!(watch(&mut driver, &Scope::All), [(name("other"), peer(2))]);

    let mut driver = listed(entries());
    assert_eq!(watch(&mut driver, &Scope::All).len(), 2);
    assert_eq!(watch(&mut driver, &in_chat()), []);
}
