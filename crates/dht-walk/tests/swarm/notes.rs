//! What the swarm and the application tell, and what comes of it.

use dht_walk::{AddressPolicy, Event, EvictReason, Lookups, SeedSource};
use libp2p::StreamProtocol;
use libp2p::swarm::behaviour::ExternalAddrConfirmed;
use libp2p::swarm::{FromSwarm, NetworkBehaviour as _};

use super::hand::{Hand, address, still, tending};
use super::stage::DHT;

const OTHER: StreamProtocol = StreamProtocol::new("/other/kad/1.0.0");

#[test]
fn who_announces_the_dht_on_a_connection_of_ours_is_asked_and_leaves_when_it_no_longer_does() {
    let mut hand = Hand::new(tending(), 1, 0);
    hand.dialled(0, 1);
    assert_eq!(hand.did().asked(), []);
    hand.announce(0, 1, true);
    let did = hand.did();
    assert_eq!(did.asked(), [(hand.peers[0], 1)]);
    assert_eq!(hand.contacts(), [], "it has not answered");
    hand.answer(0, 1, did.asks[0].2);
    hand.did();
    assert_eq!(hand.contacts(), [hand.contact(0)]);
    hand.announce(0, 1, false);
    assert_eq!(
        hand.did().evicted(),
        [(hand.peers[0], EvictReason::NotServing)]
    );
    assert_eq!(hand.contacts(), []);
}

#[test]
fn who_dialled_us_is_asked_where_identify_says_that_it_serves() {
    let mut hand = Hand::new(tending(), 1, 0);
    hand.accepted(0, 1);
    hand.announce(0, 1, true);
    assert_eq!(hand.did().asked(), [], "nobody could be told where it is");
    let peer = hand.peers[0];
    hand.walk.on_identified(peer, &[OTHER], &[address(0)]);
    assert_eq!(hand.did().asked(), []);
    hand.walk.on_identified(peer, &[OTHER, DHT], &[address(0)]);
    let did = hand.did();
    assert_eq!(did.asked(), [(peer, 1)]);
    hand.answer(0, 1, did.asks[0].2);
    hand.did();
    assert_eq!(hand.contacts(), [hand.contact(0)]);
    hand.walk.on_identified(peer, &[OTHER], &[address(0)]);
    assert_eq!(hand.did().evicted(), [(peer, EvictReason::NotServing)]);
    assert_eq!(hand.contacts(), []);
}

#[test]
fn connected_peers_that_serve_are_seeds() {
    let mut config = tending();
    config.walk.peers_min = 10;
    let mut hand = Hand::new(config, 4, 0);
    // Announced on a connection of ours, told by identify, not serving, of no address.
    hand.dialled(0, 1);
    hand.announce(0, 1, true);
    hand.accepted(1, 2);
    let peer = hand.peers[1];
    hand.walk.on_identified(peer, &[DHT], &[address(1)]);
    hand.dialled(2, 3);
    hand.announce(2, 3, false);
    hand.accepted(3, 4);
    hand.announce(3, 4, true);
    let did = hand.did();
    assert_eq!(did.seeded(), [(SeedSource::Connected, 2)]);
    let mut asked = did.asked();
    asked.sort_by_key(|(_, over)| *over);
    assert_eq!(asked, [(hand.peers[0], 1), (hand.peers[1], 2)]);
}

#[test]
fn a_seed_whose_addresses_are_not_to_be_told_of_enters_the_kad_with_those_it_is_reached_at() {
    let mut config = tending();
    config.walk.peers_min = 10;
    config.walk.addresses = AddressPolicy::Public;
    let mut hand = Hand::new(config, 1, 0);
    hand.dialled(0, 1);
    hand.announce(0, 1, true);
    hand.answer_all();
    let kept: Vec<_> = hand
        .walk
        .kbuckets()
        .flat_map(|bucket| {
            let entries = bucket.iter().map(|it| it.node.value.clone().into_vec());
            entries.collect::<Vec<_>>()
        })
        .collect();
    let with_id = address(0).with_p2p(hand.peers[0]).expect("no id yet");
    assert_eq!(kept, [vec![with_id]]);
}

#[test]
fn a_snapshot_and_a_bootstrap_list_are_seeds() {
    let snapshot = Hand::new(still(), 3, 3).walk.snapshot();
    let mut config = tending();
    config.walk.peers_min = 10;
    let mut hand = Hand::new(config.clone(), 1, 0);
    hand.walk.restore(&snapshot);
    assert_eq!(hand.did().seeded(), [(SeedSource::Snapshot, 3)]);
    let mut hand = Hand::new(config, 1, 0);
    let peer = hand.peers[0];
    hand.walk.set_bootstrap([(peer, vec![address(0)])]);
    let did = hand.did();
    assert_eq!(did.seeded(), [(SeedSource::Bootstrap, 1)]);
    assert_eq!(did.dialled(), [peer]);
}

#[test]
fn an_application_may_say_that_there_is_no_network() {
    let mut hand = Hand::new(tending(), 1, 1);
    hand.did();
    hand.walk.on_connectivity(false);
    assert!(hand.did().told.contains(&Event::OutageBegan));
    assert!(hand.walk.walk().is_outage());
}

#[test]
fn a_new_address_of_our_own_is_followed_by_a_refresh() {
    let refreshes = |told: &[Event]| {
        let is_one = |it: &&Event| matches!(it, Event::Finished(_));
        told.iter().filter(is_one).count()
    };
    let mut hand = Hand::new(tending(), 1, 1);
    hand.dialled(0, 1);
    assert_eq!(refreshes(&hand.answer_all().told), 1, "that of the start");
    assert_eq!(refreshes(&hand.answer_all().told), 0);
    let addr = &address(500);
    let event = FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr });
    hand.walk.on_swarm_event(event);
    assert_eq!(refreshes(&hand.answer_all().told), 1);
}

#[test]
fn lookups_are_its_own_whatever_the_bounds_say() {
    let mut config = still();
    config.walk.lookups = Lookups::Delegated;
    let mut hand = Hand::new(config, 1, 1);
    hand.walk.walks(1).expect("nothing waits");
    assert_eq!(hand.did().dialled(), [hand.peers[0]]);
}
