//! What others may do wrong, with what it is counted as.

use std::collections::BTreeSet;

use dht_walk::{
    Addresses, Config, Contact, EvictReason, Failure, Found, Lookups, Output, Refusal, RequestId,
};

use crate::world::{Conduct, World, any_address, contact, contact_at, random, secs};

/// A grown walk in a small network, one of whose peers tells these to whatever it is asked.
fn told(contacts: &[Contact]) -> World {
    told_with(Config::default(), contacts)
}

fn told_with(config: Config, contacts: &[Contact]) -> World {
    let mut world = World::grown(12, config);
    let liar = world.contacts()[0].clone();
    world.set(&liar.peer, Conduct::Tells(contacts.to_vec()));
    world
        .walk
        .refresh(world.now, true)
        .expect("nothing else waits");
    world.run(secs(60));
    world
}

fn stranger(seed: u8) -> Contact {
    contact(random(seed).uniform().as_peer(), 2_000 + usize::from(seed))
}

fn count(world: &World, refusal: Refusal) -> u32 {
    world.walk.refusals().count(refusal)
}

#[test]
fn self_never_admitted() {
    let local = World::new(0, Config::default()).local();
    let world = told(&[contact(&local, 5)]);
    assert!(!world.entries().contains(&local));
    assert!(world.asked.iter().all(|it| it.1.peer != local));
    assert!(count(&world, Refusal::OwnId) > 0);

    let mut world = World::grown(12, Config::default());
    let own = contact(&local, 5);
    world.walk.handle_inbound(world.now, &own);
    world.walk.handle_entry_added(world.now, &own);
    world.run(secs(60));
    assert!(!world.entries().contains(&local));
}

#[test]
fn peers_without_addresses_are_not_taken() {
    let peer = random(40).uniform().as_peer().clone();
    let nameless = Contact {
        peer: peer.clone(),
        addresses: Addresses::none(),
    };
    let world = told(&[nameless]);
    assert!(world.asked.iter().all(|it| it.1.peer != peer));
    assert!(count(&world, Refusal::NoAddress) > 0);
}

#[test]
fn peers_that_nothing_can_dial_are_not_taken() {
    let peer = random(41).uniform().as_peer().clone();
    let world = told(&[contact_at(&peer, "/ip4/9.9.9.9/tcp/0")]);
    assert!(world.asked.iter().all(|it| it.1.peer != peer));
    assert!(count(&world, Refusal::Undialable) > 0);
}

#[test]
fn an_address_of_somebody_else_is_not_taken() {
    let peer = random(42).uniform().as_peer().clone();
    let other = random(43).uniform().peer_id();
    let world = told(&[contact_at(
        &peer,
        &format!("/ip4/9.9.9.9/tcp/1/p2p/{other}"),
    )]);
    assert!(world.asked.iter().all(|it| it.1.peer != peer));
    assert!(count(&world, Refusal::OtherPeer) > 0);
}

#[test]
fn private_addresses_are_dropped_where_public_ones_are_wanted_and_kept_elsewhere() {
    let peer = random(44).uniform().as_peer().clone();
    let both = ["/ip4/192.168.1.1/tcp/1", "/ip4/9.9.9.9/tcp/1"];
    let both = Contact::new(peer.clone(), both.map(|it| it.parse().expect("an address")));
    let world = told(std::slice::from_ref(&both));
    let asked = world
        .asked
        .iter()
        .find(|it| it.1.peer == peer)
        .expect("the public one is good");
    assert_eq!(asked.1, contact_at(&peer, "/ip4/9.9.9.9/tcp/1"));
    assert!(count(&world, Refusal::PrivateAddress) > 0);

    let world = told_with(any_address(), std::slice::from_ref(&both));
    let asked = world
        .asked
        .iter()
        .find(|it| it.1.peer == peer)
        .expect("both are good");
    assert_eq!(asked.1, both);
    assert_eq!(count(&world, Refusal::PrivateAddress), 0);
}

/// go-libp2p-kad-dht's `TestInvalidServer`, and clients among the servers.
#[test]
fn a_peer_that_does_not_serve_the_dht_is_no_entry() {
    let mut world = World::grown(12, Config::default());
    let client = stranger(45);
    world
        .peers
        .insert(client.peer.clone(), (client.clone(), Conduct::Client));
    world.walk.handle_inbound(world.now, &client);
    world.run(secs(10));
    assert!(!world.entries().contains(&client.peer));
    assert_eq!(count(&world, Refusal::NotServing), 1);
    assert!(!world.walk.is_outage());
}

/// rust-libp2p's `set_client_to_server_mode`, go-libp2p-kad-dht's
/// `TestHandleRemotePeerProtocolChanges`, `TestClientModeAtInit` and `TestDynamicModeSwitching`.
#[test]
fn an_entry_that_becomes_a_client_leaves_at_once_and_comes_back_as_a_server() {
    let mut world = World::grown(12, Config::default());
    let peer = world.contacts()[3].clone();
    assert!(world.entries().contains(&peer.peer));
    world.walk.handle_protocols(world.now, &peer.peer, false);
    world.take();
    assert_eq!(
        world.evicted,
        [(peer.peer.clone(), EvictReason::NotServing)]
    );
    world.run(secs(60));
    assert!(
        !world.entries().contains(&peer.peer),
        "what others tell does not bring it back"
    );

    world.walk.handle_inbound(world.now, &peer);
    world.run(secs(1));
    assert!(world.entries().contains(&peer.peer));
}

#[test]
fn of_ten_thousand_peers_in_one_reply_twenty_are_looked_at() {
    let mut random = random(46);
    let many: Vec<Contact> = (0..10_000)
        .map(|at| contact(random.uniform().as_peer(), at + 3_000))
        .collect();
    let mut world = World::grown(12, Config::default());
    let liar = world.contacts()[0].clone();
    world.set(&liar.peer, Conduct::Tells(many));
    let before = world.asked.len();
    world
        .walk
        .refresh(world.now, true)
        .expect("nothing else waits");
    world.run(secs(60));
    let asked = world.asked[before..].iter().map(|it| &it.1.peer);
    let invented: BTreeSet<_> = asked
        .filter(|peer| !world.peers.contains_key(*peer))
        .collect();
    assert!(invented.len() <= 20, "{}", invented.len());
    assert!(count(&world, Refusal::Surplus) >= 9_980);
    assert_eq!(world.entries().len(), 12);
}

#[test]
fn the_same_peer_twice_in_a_reply_counts_once() {
    let one = stranger(47);
    let world = told(&vec![one.clone(); 20]);
    let reports = world.reports.iter().flat_map(|report| &report.found);
    assert!(reports.filter(|found| found.peer == one.peer).count() <= world.reports.len());
    assert!(count(&world, Refusal::RepeatedContact) >= 19);
}

#[test]
fn who_answers_every_question_alike_is_not_believed_twice() {
    let invented: Vec<Contact> = (48..58).map(stranger).collect();
    let mut world = told(&invented);
    let before = count(&world, Refusal::RepeatedAnswer);
    let asked = world.asked.len();
    world.walk.walks(world.now, 10).expect("nothing else waits");
    world.run(secs(60));
    assert!(count(&world, Refusal::RepeatedAnswer) > before);
    assert!(world.asked.len() > asked);
}

#[test]
fn address_poisoning_keeps_earlier_addresses() {
    let mut world = World::grown(12, Config::default());
    let victim = world.contacts()[5].clone();
    assert!(world.entries().contains(&victim.peer));
    let liars = [0, 1, 2, 3].map(|at| world.contacts()[at].clone());
    for (at, liar) in liars.iter().enumerate() {
        let wrong = (1..=4).map(|low| {
            let address = format!("/ip4/66.{at}.{low}.6/tcp/6");
            address.parse().expect("an address")
        });
        let wrong = Contact::new(victim.peer.clone(), wrong);
        world.set(&liar.peer, Conduct::Tells(vec![wrong]));
    }
    world
        .walk
        .refresh(world.now, true)
        .expect("nothing else waits");
    world.run(secs(60));
    let entry = world
        .walk
        .table()
        .entry(&victim.peer)
        .expect("it is still an entry");
    let addresses = entry.addresses().as_slice();
    assert_eq!(
        addresses[0],
        victim.addresses.as_slice()[0],
        "what worked comes first"
    );
    assert!(addresses.len() <= Addresses::MAX);
    assert!(count(&world, Refusal::AddressesFull) > 0);
}

#[test]
fn one_answer_adds_two_addresses_to_an_entry_and_no_more() {
    let mut world = World::new(
        2,
        Config {
            auto: false,
            ..Config::default()
        },
    );
    world.hold(2);
    let [victim, liar] = [0, 1].map(|at| world.contacts()[at].clone());
    let wrong = (1..=4).map(|low| format!("/ip4/66.6.{low}.6/tcp/6"));
    let wrong = wrong.map(|it| it.parse().expect("an address"));
    let wrong: Vec<multiaddr::Multiaddr> = wrong.collect();
    let told = Contact::new(victim.peer.clone(), wrong.clone());
    world.set(&liar.peer, Conduct::Tells(vec![told]));
    world.walk.walks(world.now, 1).expect("nothing waits");
    world.run(secs(60));
    let entry = world.walk.table().entry(&victim.peer).expect("an entry");
    let expected = [victim.addresses.as_slice(), &wrong[..2]].concat();
    assert_eq!(entry.addresses().as_slice(), expected);
    assert_eq!(count(&world, Refusal::AddressesFull), 2);
}

#[test]
fn an_answer_to_no_question_changes_nothing() {
    let mut donor = World::grown(12, Config::default());
    donor.walk.walks(donor.now, 1).expect("nothing else waits");
    let id = std::iter::from_fn(|| donor.walk.poll_output()).find_map(|output| match output {
        Output::FindNode { id, .. } => Some(id),
        _ => None,
    });
    let id: RequestId = id.expect("a walk asks");
    let mut world = World::new(
        12,
        Config {
            auto: false,
            ..Config::default()
        },
    );
    world.walk.handle_answer(world.now, id, vec![stranger(60)]);
    world.walk.handle_failure(world.now, id, Failure::Broken);
    world.take();
    assert_eq!(count(&world, Refusal::Unasked), 1);
    assert!(world.walk.table().is_empty() && world.asked.is_empty() && world.events.is_empty());
}

/// go-libp2p-kad-dht's `TestQueryWithEmptyRTShouldNotPanic`.
#[test]
fn an_empty_table_ends_every_round_at_once() {
    use dht_walk::RoundEnd::NobodyToAsk;
    let mut world = World::new(0, Config::default());
    world.walk.refresh(world.now, true).expect("nothing waits");
    world.walk.walks(world.now, 3).expect("little waits");
    world
        .walk
        .sweep(world.now, 100, secs(60))
        .expect("little waits");
    world.take();
    let ends: Vec<_> = world.reports.iter().map(|report| report.end).collect();
    assert_eq!(ends, [NobodyToAsk; 3]);
    world.run(secs(3_600));
    assert!(world.asked.is_empty());
}

#[test]
fn a_network_that_never_answers_costs_a_bounded_number_of_messages() {
    let mut world = World::new(30, Config::default());
    for contact in world.contacts() {
        world.set(&contact.peer, Conduct::Silent);
    }
    world.know(30);
    world.run(secs(3_600));
    assert!(world.walk.table().is_empty());
    assert!(world.asked.len() < 1_000, "{}", world.asked.len());
    assert!(count(&world, Refusal::NoAnswer) > 0);
}

#[test]
fn a_peer_that_cannot_be_dialled_is_counted_as_such_and_no_entry() {
    let mut world = World::grown(12, Config::default());
    let gone = stranger(61);
    world
        .peers
        .insert(gone.peer.clone(), (gone.clone(), Conduct::Unreachable));
    world.walk.handle_inbound(world.now, &gone);
    world.run(secs(10));
    assert!(world.asked.iter().any(|it| it.1 == gone));
    assert!(!world.entries().contains(&gone.peer));
    assert_eq!(count(&world, Refusal::Unreachable), 1);
    assert_eq!(count(&world, Refusal::NoAnswer), 0);
}

#[test]
fn of_ten_thousand_peers_in_a_lookup_of_the_hosts_a_lookups_worth_is_looked_at() {
    let config = Config {
        lookups: Lookups::Delegated,
        auto: false,
        ..Config::default()
    };
    let mut world = World::new(0, config);
    world.walk.walks(world.now, 1).expect("nothing waits");
    world.take();
    let Some(Output::Lookup { id, .. }) = world.other.pop() else {
        panic!("a walk begins with a lookup");
    };
    let mut random = random(62);
    let mut many = || -> Vec<Contact> {
        let all = (0..10_000).map(|at| contact(random.uniform().as_peer(), at));
        all.collect()
    };
    let found = Found {
        closest: many(),
        heard: many(),
        is_complete: true,
        ..Found::default()
    };
    world.walk.handle_lookup_ended(world.now, id, found);
    world.take();
    let report = &world.reports[0];
    assert_eq!(
        (report.found.len(), report.lookups[0].closest.len()),
        (256, 20)
    );
    assert_eq!(count(&world, Refusal::Surplus), 2 * (10_000 - 128));
}

#[test]
fn a_host_that_never_answers_ends_its_lookups_by_time() {
    let config = Config {
        lookups: Lookups::Delegated,
        auto: false,
        ..Config::default()
    };
    let mut world = World::new(0, config);
    world.walk.walks(world.now, 1).expect("nothing waits");
    world.run_to(secs(60), |world| !world.reports.is_empty());
    assert_eq!(
        world.other.len(),
        2,
        "the lookup, and that it is to end: {:?}",
        world.other
    );
    let lookup = &world.reports[0].lookups[0];
    assert_eq!(
        (lookup.end, lookup.closest.len()),
        (dht_walk::LookupEnd::Deadline, 0)
    );
    assert_eq!(lookup.ended_at.as_millis(), 31_000);
}
