//! Who becomes an entry.

use dht_walk::{AdmissionConfig, BudgetLimits, Config, Contact, Cpl, Event, EvictReason, Refusal};

use crate::world::{Conduct, World, by_hand, contact, contact_at, random, secs};

/// A walk at rest, of whom everything is known.
fn quiet(peers: usize, config: Config) -> World {
    let mut world = World::new(peers, config);
    world.take();
    world
}

fn newcomer(world: &mut World, seed: u8, conduct: Conduct) -> Contact {
    let newcomer = contact(random(seed).uniform().as_peer(), 1_000 + usize::from(seed));
    world
        .peers
        .insert(newcomer.peer.clone(), (newcomer.clone(), conduct));
    newcomer
}

#[test]
fn a_candidate_is_asked_itself_before_it_is_an_entry() {
    let mut world = World::grown(12, Config::default());
    let newcomer = newcomer(&mut world, 50, Conduct::Live);
    world.asked.clear();
    world.walk.handle_inbound(world.now, &newcomer);
    world.take();
    assert_eq!(world.asked.iter().filter(|it| it.1 == newcomer).count(), 1);
    assert!(!world.entries().contains(&newcomer.peer));
    world.run(secs(1));
    assert!(world.entries().contains(&newcomer.peer));
    assert!(
        world
            .events
            .contains(&Event::Admitted(newcomer.peer.clone()))
    );
    assert!(world.inserted.contains(&newcomer.peer));
}

#[test]
fn a_candidate_that_does_not_answer_is_no_entry_and_not_asked_again_for_a_while() {
    let mut world = World::grown(12, Config::default());
    let dead = newcomer(&mut world, 51, Conduct::Silent);
    let teller = world.contacts()[0].clone();
    world.set(&teller.peer, Conduct::Tells(vec![dead.clone()]));
    world.asked.clear();
    world.run(secs(590));
    let asked: Vec<_> = world
        .asked
        .iter()
        .filter(|it| it.1.peer == dead.peer)
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(!world.entries().contains(&dead.peer));
    assert!(world.walk.refusals().count(Refusal::RecentlyFailed) > 0);
    assert!(world.walk.refusals().count(Refusal::NoAnswer) > 0);
}

#[test]
fn one_that_failed_may_call_itself() {
    let mut world = World::grown(12, Config::default());
    let late = newcomer(&mut world, 52, Conduct::Silent);
    world.walk.handle_inbound(world.now, &late);
    world.run(secs(10));
    assert!(!world.entries().contains(&late.peer));
    world.set(&late.peer, Conduct::Live);
    world.walk.handle_inbound(world.now, &late);
    world.run(secs(2));
    assert!(world.entries().contains(&late.peer));
}

#[test]
fn no_more_candidates_are_asked_at_a_time_than_configured() {
    let admission = AdmissionConfig {
        verifying_max: 2,
        ..AdmissionConfig::default()
    };
    let mut world = World::grown(
        12,
        Config {
            admission,
            ..Config::default()
        },
    );
    let local = world.local();
    let dead: Vec<Contact> = (60..70)
        .map(|seed| newcomer(&mut world, seed, Conduct::Silent))
        .filter(|it| local.cpl(&it.peer) == Some(Cpl::new(0)))
        .collect();
    assert!(dead.len() > 3);
    world.asked.clear();
    for contact in &dead {
        world.walk.handle_inbound(world.now, contact);
    }
    world.take();
    let is_dead = |asked: &Contact| dead.iter().any(|it| it.peer == asked.peer);
    assert_eq!(world.asked.iter().filter(|it| is_dead(&it.1)).count(), 2);
}

#[test]
fn candidates_beyond_the_spares_of_a_bucket_push_out_the_oldest() {
    let admission = AdmissionConfig {
        spares_per_bucket: 3,
        ..AdmissionConfig::default()
    };
    let budget = BudgetLimits {
        in_flight_max: 1,
        ..BudgetLimits::default()
    };
    let config = Config {
        admission,
        budget,
        ..Config::default()
    };
    let mut world = quiet(0, config);
    let local = world.local();
    let silent: Vec<Contact> = (1..=60)
        .map(|seed| newcomer(&mut world, seed, Conduct::Silent))
        .filter(|it| local.cpl(&it.peer) == Some(Cpl::new(0)))
        .collect();
    for contact in silent.iter().take(10) {
        world.walk.handle_inbound(world.now, contact);
    }
    world.run(secs(120));
    let asked: Vec<&Contact> = world.asked.iter().map(|it| &it.1).collect();
    let (first, last) = (&silent[0], &silent[7..10]);
    let last = [&last[2], &last[1], &last[0]];
    assert_eq!(asked, [[first].as_slice(), last.as_slice()].concat());
}

#[test]
fn a_spare_takes_the_place_of_an_entry_that_died() {
    let mut world = World::grown(400, Config::default());
    let full = Cpl::new(0);
    let victim = world.walk.table().bucket(full)[0].peer().clone();
    world.set(&victim, Conduct::Unreachable);
    world.run_to(secs(1_200), |world| {
        world.evicted.iter().any(|it| it.0 == victim)
    });
    world.run(secs(2));
    assert!(world.evicted.contains(&(victim.clone(), EvictReason::Dead)));
    assert_eq!(
        world.walk.table().bucket(full).len(),
        20,
        "and it is full again at once"
    );
    assert!(!world.entries().contains(&victim));
}

#[test]
fn one_source_fills_no_more_than_half_of_a_bucket() {
    let mut world = World::new(1, by_hand_and_admitting());
    let mut random = random(30);
    let local = world.local();
    let liar = world.contacts()[0].clone();
    // All of them answer, so only the quota keeps them out.
    let told: Vec<Contact> = (0..400)
        .map(|at| contact(random.uniform().as_peer(), at + 10))
        .filter(|it| local.cpl(&it.peer) == Some(Cpl::new(0)))
        .take(20)
        .collect();
    for contact in &told {
        let silent = (contact.clone(), Conduct::Tells(Vec::new()));
        world.peers.insert(contact.peer.clone(), silent);
    }
    world.set(&liar.peer, Conduct::Tells(told.clone()));
    world.walk.set_bootstrap(world.now, vec![liar.clone()]);
    world.run(secs(300));
    let of_liar = world.walk.table().bucket(Cpl::new(0)).iter();
    let of_liar = of_liar.filter(|entry| told.iter().any(|it| it.peer == *entry.peer()));
    assert_eq!(of_liar.count(), 10);
    assert!(world.walk.refusals().count(Refusal::SourceQuota) > 0);
}

fn by_hand_and_admitting() -> Config {
    Config {
        auto: true,
        ..by_hand()
    }
}

/// go-libp2p's `TestRTPeerDiversityFilter` and the two end-to-end tests beside it.
#[test]
fn one_network_of_addresses_gets_two_places_in_a_bucket_and_ten_in_the_table() {
    let mut world = World::grown(3, Config::default());
    let mut random = random(31);
    for at in 1..=120 {
        let peer = random.uniform().as_peer().clone();
        let contact = contact_at(&peer, &format!("/ip4/7.7.7.{at}/tcp/4001"));
        world
            .peers
            .insert(peer, (contact.clone(), Conduct::Tells(Vec::new())));
        world.walk.handle_inbound(world.now, &contact);
        world.run(secs(1));
    }
    let of_group = |entry: &&dht_walk::Entry| {
        entry.addresses().as_slice()[0]
            .to_string()
            .starts_with("/ip4/7.7.7.")
    };
    let table = world.walk.table();
    for cpl in (0..=u8::MAX).map(Cpl::new) {
        assert!(
            table.bucket(cpl).iter().filter(of_group).count() <= 2,
            "bucket {cpl}"
        );
    }
    assert_eq!(table.iter().filter(of_group).count(), 10);
    assert!(world.walk.refusals().count(Refusal::GroupQuota) >= 110);
}

#[test]
fn private_addresses_are_no_group() {
    let mut world = World::grown(3, crate::world::any_address());
    let mut random = random(32);
    for at in 1..=30 {
        let peer = random.uniform().as_peer().clone();
        let contact = contact_at(&peer, &format!("/ip4/10.0.0.{at}/tcp/4001"));
        world
            .peers
            .insert(peer, (contact.clone(), Conduct::Tells(Vec::new())));
        world.walk.handle_inbound(world.now, &contact);
    }
    world.run(secs(10));
    assert_eq!(world.walk.refusals().count(Refusal::GroupQuota), 0);
    assert!(world.walk.table().len() >= 30);
}

#[test]
fn the_hosts_table_may_say_no() {
    let mut world = World::grown(12, Config::default());
    let newcomer = newcomer(&mut world, 53, Conduct::Live);
    world.walk.handle_inbound(world.now, &newcomer);
    world.run(secs(1));
    assert!(world.entries().contains(&newcomer.peer));
    world.walk.handle_insert_refused(world.now, &newcomer.peer);
    assert!(!world.entries().contains(&newcomer.peer));
    assert_eq!(world.walk.refusals().count(Refusal::TableRefused), 1);
    world.inserted.clear();
    world.run(secs(300));
    assert!(
        !world.inserted.contains(&newcomer.peer),
        "it is not tried again at once"
    );
}

#[test]
fn what_the_hosts_table_does_by_itself_is_followed() {
    let mut world = World::grown(12, Config::default());
    let newcomer = newcomer(&mut world, 54, Conduct::Live);
    world.walk.handle_entry_added(world.now, &newcomer);
    assert!(world.entries().contains(&newcomer.peer));
    world.run(secs(1));
    assert!(
        world.asked.iter().any(|it| it.1 == newcomer),
        "it is checked at once"
    );
    assert!(
        !world.inserted.contains(&newcomer.peer),
        "the host knows it"
    );
    world.walk.handle_entry_removed(world.now, &newcomer.peer);
    assert!(!world.entries().contains(&newcomer.peer));
    assert!(world.evicted.is_empty());
}
