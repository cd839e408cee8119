//! The table of kad and that of the walk: what happens to either happens to both.

use std::num::NonZeroUsize;
use std::time::Duration;

use dht_walk::{EvictReason, Refusal};

use super::hand::{Hand, address, still, tending};
use super::stage::DHT;

fn one() -> NonZeroUsize {
    NonZeroUsize::new(1).expect("one is not zero")
}

#[test]
fn whom_an_application_adds_is_an_entry_and_is_asked_at_once() {
    let mut hand = Hand::new(tending(), 1, 0);
    hand.did();
    let peer = hand.peers[0];
    hand.walk.add_address(&peer, address(0));
    assert_eq!(hand.did().dialled(), [peer]);
    assert_eq!(hand.contacts(), [hand.contact(0)]);
    hand.walk.add_address(&peer, address(1));
    hand.did();
    let addresses = hand.contacts()[0].addresses.as_slice().to_vec();
    assert_eq!(addresses, [address(0), address(1)]);
}

#[test]
fn whom_an_application_adds_and_removes_at_once_is_no_entry() {
    let mut hand = Hand::new(tending(), 1, 0);
    let peer = hand.peers[0];
    hand.walk.add_address(&peer, address(0));
    hand.walk.remove_peer(&peer).expect("it was there");
    hand.did();
    assert_eq!(hand.contacts(), []);
}

#[test]
fn whom_an_application_removes_is_no_entry_from_the_next_refresh_on() {
    let mut hand = Hand::new(still(), 2, 2);
    hand.walk.refresh(true).expect("nothing waits");
    hand.did();
    let mut hand = Hand::new(still(), 2, 2);
    let gone = hand.peers[0];
    hand.walk.remove_peer(&gone).expect("it was there");
    assert_eq!(hand.walk.table().len(), 2, "that is no event");
    hand.walk.refresh(true).expect("nothing waits");
    hand.did();
    assert_eq!(hand.contacts(), [hand.contact(1)]);
}

#[test]
fn whom_we_put_in_and_an_application_removes_is_no_entry_either() {
    let mut hand = Hand::new(tending(), 1, 0);
    hand.dialled(0, 1);
    hand.announce(0, 1, true);
    hand.answer_all();
    assert_eq!(hand.contacts(), [hand.contact(0)]);
    let gone = hand.peers[0];
    hand.walk.remove_peer(&gone).expect("it was there");
    hand.walk.refresh(true).expect("nothing waits");
    hand.did();
    assert_eq!(hand.contacts(), []);
}

#[test]
fn who_left_and_is_added_by_an_application_is_an_entry_again() {
    let mut hand = Hand::new(tending(), 1, 1);
    hand.dialled(0, 1);
    hand.announce(0, 1, false);
    let did = hand.did();
    assert_eq!(did.evicted(), [(hand.peers[0], EvictReason::NotServing)]);
    let peer = hand.peers[0];
    hand.walk.add_address(&peer, address(0));
    hand.did();
    assert_eq!(hand.contacts(), [hand.contact(0)]);
}

#[test]
fn whom_a_full_bucket_of_kad_does_not_take_is_no_entry_and_takes_nobodys_place_later() {
    let mut hand = Hand::with_kad(tending(), 2, 1, |kad| {
        kad.set_kbucket_size(one());
    });
    let peer = hand.peers[1];
    hand.dialled(1, 1);
    hand.walk.on_identified(peer, &[DHT], &[address(1)]);
    let did = hand.did();
    assert_eq!(did.asked(), [(peer, 1)]);
    hand.answer(1, 1, did.asks[0].2);
    hand.did();
    assert_eq!(hand.refused(Refusal::TableRefused), 1);
    assert_eq!(hand.contacts(), [hand.contact(0)]);
    assert!(hand.walk.kbuckets().all(|bucket| !bucket.has_pending()));
}

#[test]
fn who_takes_anothers_place_in_kad_takes_it_in_the_walk() {
    let mut hand = Hand::with_kad(tending(), 2, 1, |kad| {
        kad.set_kbucket_size(one());
        kad.set_kbucket_pending_timeout(Duration::ZERO);
    });
    hand.did();
    assert_eq!(hand.contacts(), [hand.contact(0)]);
    let peer = hand.peers[1];
    hand.dialled(1, 1);
    hand.walk.add_address(&peer, address(1));
    // Who waits takes its place when the bucket is next looked at.
    assert_eq!(hand.walk.kbuckets().count(), 1);
    let did = hand.did();
    assert_eq!(did.evicted(), [], "that was kad's doing");
    assert_eq!(hand.contacts(), [hand.contact(1)]);
}
