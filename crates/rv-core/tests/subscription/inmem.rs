//! The records that go's subscribers are sent.

use std::time::Duration;

use bytes::BytesMut;
use rv_core::{InmemSubscription, Rules};
use rv_proto::{InmemRecord, Time, decode_frame};

use crate::world::{Kind, World, name, peer, rules};

/// The peers that are told, with the deadlines.
fn told(machine: &mut InmemSubscription, world: &World, bytes_max: usize) -> Vec<(String, Time)> {
    let frames = machine.next_records(world.now, world.now, &world.registry, bytes_max);
    let mut buffer = BytesMut::from(&frames.unwrap_or_default()[..]);
    let mut all = Vec::new();
    while let Some(payload) = decode_frame(&mut buffer, 1 << 20).expect("a frame") {
        let record = InmemRecord::decode(payload).expect("a record");
        assert_eq!(record.namespace, "chat");
        assert_eq!(record.addresses.len(), 1);
        all.push((record.peer, record.expires_at));
    }
    all
}

#[test]
fn go_is_told_of_the_newest_at_once_and_of_each_that_follows() {
    let mut world = World::new();
    let start = world.now.as_millis();
    let at = |secs: u64| Time::from_millis(start + 1_000 * secs);
    world.register(0, 0, Kind::Legacy, 120);
    world.register(1, 0, Kind::Plain, 300);
    world.register(2, 1, Kind::Plain, 300);
    let mut machine = InmemSubscription::new(name(0), &rules());
    assert!(machine.due_at().is_some());
    assert_eq!(
        told(&mut machine, &world, 1_000),
        [(peer(1).to_string(), at(300))]
    );
    assert_eq!(told(&mut machine, &world, 1_000), []);
    assert_eq!(machine.due_at(), None);

    world.register(0, 0, Kind::Standard, 300);
    world.unregister(1, 0);
    world.register(3, 0, Kind::Nowhere, 300);
    world.register(2, 0, Kind::Both, 120);
    assert_eq!(
        told(&mut machine, &world, 1),
        [(peer(0).to_string(), at(300))]
    );
    assert!(machine.due_at().is_some());
    assert_eq!(
        told(&mut machine, &world, 1),
        [(peer(2).to_string(), at(120))]
    );
    assert_eq!(told(&mut machine, &world, 1), []);
}

#[test]
fn go_is_told_of_nobody_who_is_gone() {
    let mut world = World::new();
    world.register(0, 0, Kind::Plain, 120);
    world.pass(120);
    let mut machine = InmemSubscription::new(name(0), &rules());
    assert_eq!(told(&mut machine, &world, 1_000), []);
    world.register(0, 0, Kind::Plain, 120);
    world.unregister(0, 0);
    assert_eq!(told(&mut machine, &world, 1_000), []);
}

#[test]
fn go_is_told_together_of_those_who_come_close_together() {
    let mut world = World::new();
    world.register(0, 0, Kind::Plain, 300);
    let rules = Rules {
        update_gap: Duration::from_millis(200),
        ..rules()
    };
    let mut machine = InmemSubscription::new(name(0), &rules);
    assert_eq!(told(&mut machine, &world, 1_000).len(), 1);
    for number in 1..3 {
        world.register(number, 0, Kind::Plain, 300);
        machine.handle_news();
        world.pass_millis(99);
        assert_eq!(told(&mut machine, &world, 1_000), []);
    }
    world.pass_millis(2);
    assert_eq!(machine.due_at(), Some(world.now));
    assert_eq!(told(&mut machine, &world, 1_000).len(), 2);
}
