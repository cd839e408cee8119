//! The table: what it answers from, and whom it prefers.

use std::collections::BTreeSet;

use dht_walk::{Config, Cpl, EvictReason, Peer, Target};

use crate::world::{World, contact, random, secs};

#[test]
fn a_table_answers_with_the_nearest_of_its_entries_for_any_target() {
    let world = World::grown(500, Config::default());
    let table = world.walk.table();
    let mut random = random(5);
    for count in [0, 1, 20, 1_000] {
        for _ in 0..50 {
            let target = random.uniform();
            let mut all: Vec<&Peer> = table.iter().map(|entry| entry.peer()).collect();
            all.sort_by_key(|peer| peer.distance(target.key()));
            all.truncate(count);
            let closest = table.closest(target.key(), count);
            assert_eq!(closest.iter().map(|it| it.peer()).collect::<Vec<_>>(), all);
        }
    }
}

#[test]
fn no_bucket_holds_more_than_its_size_and_every_entry_is_in_its_own() {
    let world = World::grown(1_000, Config::default());
    let table = world.walk.table();
    let mut counted = 0;
    for cpl in (0..=u8::MAX).map(Cpl::new) {
        assert!(table.bucket(cpl).len() <= 20);
        for entry in table.bucket(cpl) {
            assert_eq!(table.local().cpl(entry.peer()), Some(cpl));
            counted += 1;
        }
    }
    assert_eq!((counted, world.entries().len()), (table.len(), table.len()));
}

#[test]
fn a_grown_table_knows_all_of_its_twenty_nearest() {
    let world = World::grown(1_000, Config::default());
    let itself = Target::peer(world.local());
    let nearest: BTreeSet<Peer> = world
        .nearest(&itself, 20)
        .into_iter()
        .map(|contact| contact.peer)
        .collect();
    assert!(nearest.is_subset(&world.entries()));
}

#[test]
fn a_nearer_neighbour_takes_a_place_in_a_full_bucket_and_the_farthest_leaves() {
    // In a network of 45, bucket 0 is full and its nearest are among the 20 nearest of all.
    let mut world = World::grown(45, Config::default());
    let local = world.local();
    let full = Cpl::new(0);
    assert_eq!(world.walk.table().bucket(full).len(), 20);
    let mut random = random(6);
    let nearest = std::iter::repeat_with(|| random.uniform().as_peer().clone())
        .find(|peer| local.cpl(peer) == Some(full) && world.walk.table().rank(peer) < 24)
        .expect("one is near enough");
    let newcomer = contact(&nearest, 900);
    let world_peer = (newcomer.clone(), crate::world::Conduct::Live);
    world.peers.insert(nearest.clone(), world_peer);
    let farthest = world
        .walk
        .table()
        .bucket(full)
        .iter()
        .map(|entry| entry.peer().clone());
    let farthest = farthest
        .max_by_key(|peer| peer.distance(local.key()))
        .expect("it is full");
    world.evicted.clear();

    world.walk.handle_inbound(world.now, &newcomer);
    world.run(secs(1));
    assert!(world.entries().contains(&nearest));
    assert_eq!(world.evicted, [(farthest, EvictReason::Displaced)]);
    assert_eq!(world.walk.table().bucket(full).len(), 20);
}
