//! Where peers come from when there are too few.

use dht_walk::{Config, Contact, Event, SeedSource, Snapshot, Time};

use crate::world::{Conduct, World, secs};

fn sources(world: &World) -> Vec<SeedSource> {
    let seeding = world.events.iter().filter_map(|event| match event {
        Event::Seeding { source, .. } => Some(*source),
        _ => None,
    });
    seeding.collect()
}

fn snapshot_of(contacts: &[Contact]) -> Snapshot {
    let with_id = contacts.iter().map(|contact| {
        let address = contact.addresses.as_slice()[0].clone();
        address.with_p2p(contact.peer.id()).expect("no id yet")
    });
    Snapshot::from_addresses(with_id)
}

#[test]
fn empty_table_reseeds_in_order() {
    let mut world = World::new(8, Config::default());
    let contacts = world.contacts();
    for contact in &contacts {
        world.set(&contact.peer, Conduct::Silent);
    }
    world.walk.restore(world.now, &snapshot_of(&contacts[..2]));
    world
        .seeds
        .insert(SeedSource::Known, contacts[2..4].to_vec());
    world
        .seeds
        .insert(SeedSource::Connected, contacts[4..6].to_vec());
    world.walk.set_bootstrap(world.now, contacts[6..].to_vec());
    world.run(secs(60));
    let order = [
        SeedSource::Snapshot,
        SeedSource::Known,
        SeedSource::Connected,
        SeedSource::Bootstrap,
    ];
    assert_eq!(sources(&world)[..4], order);
    assert_eq!(world.seeds_asked[..2], order[1..3]);
    let asked: Vec<&Contact> = world.asked.iter().take(8).map(|it| &it.1).collect();
    assert_eq!(asked, contacts.iter().collect::<Vec<_>>());
}

#[test]
fn the_bootstrap_list_is_left_alone_when_the_snapshot_is_enough() {
    let mut world = World::new(100, Config::default());
    let contacts = world.contacts();
    world.walk.restore(world.now, &snapshot_of(&contacts[..20]));
    world
        .walk
        .set_bootstrap(world.now, contacts[90..91].to_vec());
    world.run(secs(60));
    assert_eq!(sources(&world), [SeedSource::Snapshot]);
    assert!(world.fill() > 0.95);
}

/// go's `TestBootStrapWhenRTIsEmpty` and `TestBootstrapPeersFunc`.
#[test]
fn one_bootstrap_peer_is_enough() {
    let mut world = World::new(300, Config::default());
    world.know(1);
    world.run(secs(60));
    assert!(world.fill() > 0.95, "{:?}", world.walk.health(world.now));
}

/// go's `TestFixLowPeers` and `TestPreconnectedNodes`.
#[test]
fn connected_peers_are_used_where_few_are_known() {
    let mut world = World::new(50, Config::default());
    let seeds = world.contacts()[..3].to_vec();
    world.seeds.insert(SeedSource::Connected, seeds);
    world.run(secs(60));
    assert_eq!(sources(&world), [SeedSource::Connected]);
    assert!(world.walk.table().len() > 40);
}

/// go's `TestBootstrappersReplacable`.
#[test]
fn a_bootstrap_peer_that_dies_is_replaced_like_any_other() {
    let mut world = World::grown(100, Config::default());
    let bootstrap = world.contacts()[0].peer.clone();
    assert!(world.entries().contains(&bootstrap));
    world.set(&bootstrap, Conduct::Unreachable);
    world.run(secs(3_600));
    assert!(!world.entries().contains(&bootstrap));
    assert!(world.fill() > 0.95);
}

#[test]
fn seeds_that_never_answer_are_tried_ever_more_seldom() {
    let mut world = World::new(1, Config::default());
    let seed = world.contacts()[0].clone();
    world.set(&seed.peer, Conduct::Unreachable);
    world.know(1);
    world.run(secs(4 * 3_600));
    let tries: Vec<Time> = world.asked.iter().map(|it| it.0).collect();
    let pauses: Vec<u64> = tries
        .windows(2)
        .map(|it| it[1].saturating_since(it[0]).as_secs())
        .collect();
    assert!(pauses[0] < 60, "{pauses:?}");
    assert!(
        pauses
            .iter()
            .rev()
            .take(10)
            .all(|it| (240..=420).contains(it)),
        "{pauses:?}"
    );
}

#[test]
fn a_network_that_comes_back_is_found_again() {
    let mut world = World::new(100, Config::default());
    world.is_cut = true;
    world.know(2);
    world.run(secs(3_600));
    assert!(world.walk.table().is_empty());
    world.is_cut = false;
    world.run(secs(500));
    assert!(world.fill() > 0.95);
}

#[test]
fn a_restored_table_is_checked_before_it_is_believed() {
    let mut first = World::grown(200, Config::default());
    let snapshot = Snapshot::from_addresses(first.walk.snapshot().to_addresses());
    assert_eq!(snapshot, first.walk.snapshot());
    assert_eq!(snapshot.contacts().len(), first.walk.table().len());

    let mut second = World::new(200, Config::default());
    let (dead, live) = snapshot.contacts().split_at(30);
    dead.iter()
        .for_each(|contact| second.set(&contact.peer, Conduct::Unreachable));
    second.walk.restore(second.now, &snapshot);
    assert!(second.walk.table().is_empty(), "nobody has answered yet");
    second.run(secs(60));
    assert_eq!(second.stale(), 0);
    assert!(
        live.iter()
            .any(|contact| second.entries().contains(&contact.peer))
    );
    first.run(secs(0));
}

/// go's `TestRefreshBelowMinRTThreshold`.
#[test]
fn a_table_that_shrinks_below_the_least_is_refreshed_soon() {
    let mut world = World::grown(40, Config::default());
    world.run(secs(7_200));
    for contact in world.contacts().iter().skip(5) {
        world.set(&contact.peer, Conduct::Client);
    }
    for contact in world.contacts().iter().skip(5) {
        world.walk.handle_protocols(world.now, &contact.peer, false);
    }
    world.lookups.clear();
    world.run(secs(20));
    assert!(!world.lookups.is_empty());
}

#[test]
fn a_refresh_that_is_asked_for_before_the_first_seed_answers_waits_for_it() {
    let mut world = World::new(100, Config::default());
    world.know(2);
    let id = world.walk.refresh(world.now, true).expect("nothing waits");
    world.run(secs(60));
    let report = world.reports.iter().find(|it| it.id == id);
    let report = report.expect("it ended");
    assert_eq!(report.end, dht_walk::RoundEnd::Done);
    assert!(!report.found.is_empty());
}

#[test]
fn a_refresh_that_waits_for_seeds_ends_when_none_answers() {
    let mut world = World::new(3, Config::default());
    for contact in world.contacts() {
        world.set(&contact.peer, Conduct::Silent);
    }
    world.know(3);
    world.walk.refresh(world.now, true).expect("nothing waits");
    assert!(world.reports.is_empty());
    world.run_to(secs(60), |world| !world.reports.is_empty());
    assert_eq!(world.reports[0].end, dht_walk::RoundEnd::NobodyToAsk);
}

/// A snapshot is a file, and anybody may have written it.
#[test]
fn a_hostile_snapshot_costs_few_messages_and_gets_nobody_in() {
    let mut world = World::new(60, Config::default());
    let good = world.contacts()[0].clone();
    let line = |address: &str, id| {
        let address: multiaddr::Multiaddr = address.parse().expect("an address");
        address.with_p2p(id).expect("no id yet")
    };
    let local = world.local().id();
    let (home, zero) = ("/ip4/192.168.1.1/tcp/22", "/ip4/9.9.9.9/tcp/0");
    let strangers = (0..2_000).map(|_| crate::world::random(90).uniform().peer_id());
    let mut lines = vec![line("/ip4/9.9.9.9/tcp/1", local)];
    let mut others = crate::world::random(91);
    lines.extend((0..400).map(|_| line(home, others.uniform().peer_id())));
    lines.extend((0..400).map(|_| line(zero, others.uniform().peer_id())));
    // One peer, many times, not next to itself.
    let again = strangers.flat_map(|id| [id, good.peer.id()]);
    lines.extend(again.map(|id| line("/ip4/9.1.1.1/tcp/9", id)));
    let snapshot = Snapshot::from_addresses(lines);
    assert!(snapshot.contacts().len() <= Snapshot::CONTACTS_MAX);

    world.walk.restore(world.now, &snapshot);
    world.take();
    assert!(world.asked.len() <= 2, "each peer once: {:?}", world.asked);
    let refused = |refusal| world.walk.refusals().count(refusal);
    assert_eq!(refused(dht_walk::Refusal::PrivateAddress), 400);
    assert_eq!(refused(dht_walk::Refusal::Undialable), 400);
    assert_eq!(refused(dht_walk::Refusal::OwnId), 1);
    assert!(world.walk.table().is_empty(), "none is an entry unasked");
    world.run(secs(5));
    let stranger = crate::world::random(90).uniform().peer_id();
    let asked = world.asked.iter().map(|it| it.1.peer.id());
    assert_eq!(asked.filter(|id| *id == stranger).count(), 1, "nor later");
}

#[test]
fn a_snapshot_of_peers_that_are_all_gone_does_not_keep_the_bootstrap_list_waiting() {
    let mut world = World::new(300, Config::default());
    let mut gone = crate::world::random(92);
    let gone: Vec<Contact> = (0..1_024)
        .map(|at| crate::world::contact(gone.uniform().as_peer(), 1_000 + at))
        .collect();
    for contact in &gone {
        let silent = (contact.clone(), Conduct::Silent);
        world.peers.insert(contact.peer.clone(), silent);
    }
    world.walk.restore(world.now, &snapshot_of(&gone));
    let live = world.contacts();
    let live = live.iter().find(|it| !gone.contains(it)).expect("300 are");
    world.walk.set_bootstrap(world.now, vec![live.clone()]);
    world.run(secs(60));
    assert!(
        world.walk.table().len() > 10,
        "{}",
        world.walk.table().len()
    );
}

#[test]
fn a_peer_that_a_snapshot_names_many_times_is_asked_once() {
    let budget = dht_walk::BudgetLimits {
        in_flight_max: 1,
        ..dht_walk::BudgetLimits::default()
    };
    let config = Config {
        budget,
        ..Config::default()
    };
    let mut world = World::new(0, config);
    let mut gone = crate::world::random(93);
    let gone = [1, 2].map(|at| crate::world::contact(gone.uniform().as_peer(), at));
    let many: Vec<Contact> = std::iter::repeat_n(gone, 100).flatten().collect();
    world.walk.restore(world.now, &snapshot_of(&many));
    world.run(secs(5));
    assert_eq!(world.asked.len(), 2);
}
