//! What the updates of a subscription are, one by one.

use std::time::Duration;

use bytes::Bytes;
use rv_core::{Refusal, Registry, Rules, Subscription};
use rv_proto::{
    Dialect, DialectSet, Entry, Removal, Scope, Status, SubscriptionUpdate, encode_frame,
};

use crate::world::{HEARTBEAT, Kind, Subscriber, World, form, name, peer, rules};

const FULL: usize = 32_768;

fn chat() -> Scope {
    Scope::Namespace(name(0))
}

fn entry(number: usize, kind: Kind, ttl_secs: u64) -> Entry {
    let record = form(number, kind, DialectSet::ALL).expect("a form");
    Entry {
        namespace: Some(Bytes::from_static(b"chat")),
        record: Some(record),
        ttl_secs: Some(ttl_secs),
        verified: Some(kind != Kind::Plain),
    }
}

fn removal(number: usize) -> Removal {
    Removal {
        namespace: Some(Bytes::from_static(b"chat")),
        peer: Some(peer(number).to_bytes().into()),
    }
}

/// The update without its cookie, which is there or not.
fn read(subscriber: &mut Subscriber, world: &World, bytes_max: usize) -> Option<Told> {
    let update = subscriber.read(world, bytes_max)?;
    assert_eq!(update.end, None);
    Some(Told {
        entries: update.entries,
        removals: update.removals,
        has_cookie: update.cookie.is_some(),
        is_reset: update.is_reset,
        is_complete: update.is_complete,
    })
}

#[derive(Debug, PartialEq)]
struct Told {
    entries: Vec<Entry>,
    removals: Vec<Removal>,
    has_cookie: bool,
    is_reset: bool,
    is_complete: bool,
}

/// News in an update that is complete.
fn news(entries: Vec<Entry>, removals: Vec<Removal>) -> Told {
    Told {
        entries,
        removals,
        has_cookie: true,
        is_reset: false,
        is_complete: true,
    }
}

#[test]
fn a_subscription_begins_with_a_snapshot_and_goes_on_with_what_changes() {
    let mut world = World::new();
    world.register(0, 0, Kind::Legacy, 300);
    world.register(1, 0, Kind::Plain, 120);
    world.register(2, 1, Kind::Plain, 120);
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    let first = Told {
        is_reset: true,
        ..news(
            vec![entry(0, Kind::Legacy, 300), entry(1, Kind::Plain, 120)],
            Vec::new(),
        )
    };
    assert_eq!(read(&mut it, &world, FULL), Some(first));
    assert_eq!(read(&mut it, &world, FULL), None);

    world.pass(10);
    world.register(1, 0, Kind::Both, 120);
    world.unregister(0, 0);
    world.register(3, 0, Kind::Nowhere, 120);
    world.unregister(2, 1);
    let expected = news(vec![entry(1, Kind::Legacy, 120)], vec![removal(0)]);
    assert_eq!(read(&mut it, &world, FULL), Some(expected));
    assert_eq!(read(&mut it, &world, FULL), None);
}

#[test]
fn of_a_peer_who_changed_often_a_slow_subscriber_is_told_the_last_alone() {
    let mut world = World::new();
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut it, &world, FULL).is_some());
    for _ in 0..100 {
        world.register(0, 0, Kind::Plain, 120);
        world.unregister(0, 0);
        world.register(1, 0, Kind::Plain, 120);
    }
    world.register(0, 0, Kind::Legacy, 300);
    let expected = news(
        vec![entry(1, Kind::Plain, 120), entry(0, Kind::Legacy, 300)],
        Vec::new(),
    );
    assert_eq!(read(&mut it, &world, FULL), Some(expected));
}

#[test]
fn whoever_comes_back_is_told_what_it_missed_and_no_more() {
    let mut world = World::new();
    world.register(0, 0, Kind::Legacy, 300);
    world.register(1, 0, Kind::Legacy, 300);
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut it, &world, FULL).is_some());
    world.unregister(0, 0);
    world.register(2, 0, Kind::Legacy, 300);
    it.reconnect(&world);
    let missed = news(vec![entry(2, Kind::Legacy, 300)], vec![removal(0)]);
    assert_eq!(read(&mut it, &world, FULL), Some(missed));

    it.reconnect(&world);
    assert_eq!(
        read(&mut it, &world, FULL),
        Some(news(Vec::new(), Vec::new())),
        "that it goes on is said at once"
    );
    assert_eq!(it.resets, 1);
}

#[test]
fn whoever_missed_removals_that_are_forgotten_is_told_everything_anew() {
    let mut world = World::new();
    world.registry.set_removals_max(1);
    for number in 0..3 {
        world.register(number, 0, Kind::Legacy, 300);
    }
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut it, &world, FULL).is_some());
    world.unregister(0, 0);
    it.reconnect(&world);
    assert_eq!(
        read(&mut it, &world, FULL),
        Some(news(Vec::new(), vec![removal(0)])),
        "one is remembered"
    );

    world.register(0, 0, Kind::Legacy, 300);
    assert!(read(&mut it, &world, FULL).is_some());
    world.unregister(0, 0);
    world.unregister(1, 0);
    let anew = Told {
        is_reset: true,
        ..news(vec![entry(2, Kind::Legacy, 300)], Vec::new())
    };
    assert_eq!(read(&mut it, &world, FULL), Some(anew), "two are not");
    assert_eq!(it.believes(world.now).len(), 1);
}

#[test]
fn removals_elsewhere_that_are_forgotten_trouble_nobody_but_who_missed_them() {
    let mut world = World::new();
    world.registry.set_removals_max(1);
    for number in 0..3 {
        world.register(number, 0, Kind::Legacy, 300);
        world.register(number, 1, Kind::Legacy, 300);
    }
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    let mut other = Subscriber::new(&world, Scope::Namespace(name(1)), DialectSet::ALL);
    let mut everything = Subscriber::new(&world, Scope::All, DialectSet::ALL);
    for subscriber in [&mut it, &mut other, &mut everything] {
        assert!(read(subscriber, &world, FULL).is_some());
    }
    let away = it.cookie.clone();
    for number in 0..3 {
        world.unregister(number, 1);
    }
    assert_eq!(read(&mut it, &world, FULL), None);
    it.reconnect(&world);
    let goes_on = news(Vec::new(), Vec::new());
    assert_eq!(read(&mut it, &world, FULL), Some(goes_on));
    for subscriber in [&mut other, &mut everything] {
        assert!(read(subscriber, &world, FULL).is_some_and(|told| told.is_reset));
    }

    // What is known of so many namespaces is bounded as well: here of one.
    world.unregister(0, 0);
    world.unregister(1, 0);
    world.register(0, 1, Kind::Legacy, 300);
    world.unregister(0, 1);
    it.cookie = away;
    it.reconnect(&world);
    assert!(read(&mut it, &world, FULL).is_some_and(|told| told.is_reset));
    assert_eq!(it.believes(world.now).len(), 1);
}

#[test]
fn a_snapshot_of_several_updates_has_a_cookie_at_its_end_alone() {
    let mut world = World::new();
    for number in 0..3 {
        world.register(number, 0, Kind::Legacy, 300);
    }
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    let part = |number, is_reset, is_complete| {
        Some(Told {
            entries: vec![entry(number, Kind::Legacy, 300)],
            removals: Vec::new(),
            has_cookie: is_complete,
            is_reset,
            is_complete,
        })
    };
    assert_eq!(read(&mut it, &world, 1), part(0, true, false));
    assert!(it.machine.due_at() <= world.now);
    assert_eq!(read(&mut it, &world, 1), part(1, false, false));
    assert_eq!(read(&mut it, &world, 1), part(2, false, true));
    assert!(it.machine.due_at() > world.now);

    let mut cut = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert_eq!(read(&mut cut, &world, 1), part(0, true, false));
    cut.reconnect(&world);
    assert_eq!(read(&mut cut, &world, 1), part(0, true, false), "anew");
}

#[test]
fn without_news_there_is_an_update_every_so_often() {
    let mut world = World::new();
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut it, &world, FULL).is_some());
    let told = it.cookie.clone();
    assert_eq!(it.machine.due_at(), world.now.saturating_add(HEARTBEAT));
    world.register(0, 1, Kind::Plain, 120);
    world.pass(HEARTBEAT.as_secs() - 1);
    assert_eq!(read(&mut it, &world, FULL), None);
    world.pass(1);
    assert!(it.machine.due_at() <= world.now);
    assert_eq!(
        read(&mut it, &world, FULL),
        Some(news(Vec::new(), Vec::new()))
    );
    assert_ne!(it.cookie, told, "it is as far as the log");
    assert_eq!(read(&mut it, &world, FULL), None);
}

#[test]
fn news_that_comes_close_together_is_told_together_after_the_least_gap() {
    let mut world = World::new();
    for number in 0..2 {
        world.register(number, 0, Kind::Legacy, 300);
    }
    let rules = Rules {
        update_gap: Duration::from_millis(200),
        ..rules()
    };
    let mut it = Subscriber::with_rules(&world, chat(), DialectSet::ALL, rules);
    for is_complete in [false, true] {
        let part = read(&mut it, &world, 1).expect("a snapshot does not wait");
        assert_eq!(part.is_complete, is_complete);
    }
    let rested = world.now.saturating_add(Duration::from_millis(200));
    for number in 0..3 {
        world.register(number, 0, Kind::Plain, 300);
        it.machine.handle_news();
        assert_eq!(it.machine.due_at(), rested);
        assert_eq!(read(&mut it, &world, FULL), None);
        world.pass_millis(66);
    }
    world.pass_millis(2);
    assert_eq!(world.now, rested);
    let first = read(&mut it, &world, 1).expect("it has rested");
    let entry = |number| entry(number, Kind::Plain, 300);
    assert_eq!((first.entries, first.is_complete), (vec![entry(0)], false));
    assert!(it.machine.due_at() <= world.now);
    let rest = read(&mut it, &world, FULL).expect("what did not fit does not wait");
    assert_eq!(rest.entries, [entry(1), entry(2)]);

    world.pass(1);
    assert_eq!(read(&mut it, &world, FULL), None);
    world.register(3, 0, Kind::Plain, 300);
    it.machine.handle_news();
    assert!(it.machine.due_at() <= world.now, "after a pause");
    assert!(read(&mut it, &world, FULL).is_some());
}

#[test]
fn whoever_cannot_read_the_new_record_is_told_that_the_peer_is_gone() {
    let mut world = World::new();
    world.register(0, 0, Kind::Both, 300);
    let mut legacy = Subscriber::new(&world, chat(), Dialect::Legacy.into());
    let mut all = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut legacy, &world, FULL).is_some());
    assert!(read(&mut all, &world, FULL).is_some());
    world.register(0, 0, Kind::Standard, 300);
    assert_eq!(
        read(&mut legacy, &world, FULL),
        Some(news(Vec::new(), vec![removal(0)]))
    );
    assert_eq!(
        read(&mut all, &world, FULL),
        Some(news(vec![entry(0, Kind::Standard, 300)], Vec::new()))
    );
}

#[test]
fn whoever_missed_that_a_deadline_came_nearer_learns_that_it_has_passed() {
    let mut world = World::new();
    world.register(0, 0, Kind::Legacy, 7_200);
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut it, &world, FULL).is_some());
    world.register(0, 0, Kind::Legacy, 120);
    world.pass(120);
    world.erase_due();
    assert_eq!(
        read(&mut it, &world, FULL),
        Some(news(Vec::new(), vec![removal(0)]))
    );
}

#[test]
fn the_cookie_of_a_subscription_is_good_for_a_discover_and_not_the_other_way_round() {
    use rv_core::{Query, Reader};
    let mut world = World::new();
    world.register(0, 0, Kind::Legacy, 300);
    let mut it = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut it, &world, FULL).is_some());
    world.register(1, 0, Kind::Legacy, 300);
    let query = Query {
        reader: Reader {
            accepts: DialectSet::ALL,
            ..Reader::unknown(peer(0), Dialect::Legacy)
        },
        scope: chat(),
        cookie: it.cookie.clone(),
        entries_max: 10,
        page_bytes_max: FULL,
    };
    let page = world.registry.discover(world.now, &query).expect("a page");
    assert_eq!(page.len(), 1, "it goes on behind the cookie");

    it.cookie = Some(page.cookie().encode().into());
    it.reconnect(&world);
    let anew = read(&mut it, &world, FULL).expect("a snapshot");
    assert!(anew.is_reset);
    assert_eq!(anew.entries.len(), 2);

    let other = Query {
        scope: Scope::Namespace(name(1)),
        ..query
    };
    assert_eq!(
        Subscription::new(&world.registry, &other, &rules()).err(),
        Some(Refusal::CookieScope)
    );
}

#[test]
fn the_last_update_says_why() {
    let update = SubscriptionUpdate {
        end: Some((
            Status::UNAVAILABLE,
            "this point is shutting down: try another".into(),
        )),
        ..SubscriptionUpdate::default()
    };
    assert_eq!(
        Subscription::last_update(&Refusal::Draining),
        encode_frame(&update.encode())
    );
}

#[test]
fn after_a_restart_whoever_was_told_all_goes_on_and_others_begin_anew() {
    let mut world = World::new();
    world.register(0, 0, Kind::Legacy, 300);
    let mut behind = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut behind, &world, FULL).is_some());
    world.unregister(0, 0);
    let mut told = Subscriber::new(&world, chat(), DialectSet::ALL);
    assert!(read(&mut told, &world, FULL).is_some());

    // Nothing is left in the journal but the head of its log.
    world.registry = Registry::replay().finish(world.registry.epoch(), world.registry.head());
    told.reconnect(&world);
    assert_eq!(
        read(&mut told, &world, FULL),
        Some(news(Vec::new(), Vec::new()))
    );
    behind.reconnect(&world);
    let anew = Told {
        is_reset: true,
        ..news(Vec::new(), Vec::new())
    };
    assert_eq!(read(&mut behind, &world, FULL), Some(anew));
    assert!(behind.believes(world.now).is_empty());
}
