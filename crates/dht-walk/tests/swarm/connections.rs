//! Which request goes over which connection, and how it ends.

use std::task::{Context, Poll};
use std::time::Duration;

use dht_walk::swarm::{Behaviour, FromHandler, ToHandler};
use dht_walk::{Failure, Refusal};
use either::Either;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::handler::{ConnectionEvent, ConnectionHandlerEvent, DialUpgradeError};
use libp2p::swarm::{
    ConnectionHandler as _, ConnectionId, NetworkBehaviour as _, StreamUpgradeError, THandler,
};

use super::hand::{Hand, address, still, tending};
use super::stage::within;

#[test]
fn a_peer_is_dialled_once_for_all_that_wait_and_all_goes_over_the_connection() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.walk.walks(3).expect("nothing waits");
    let did = hand.did();
    assert_eq!(did.dialled(), [hand.peers[0]]);
    assert_eq!(did.asked(), []);
    hand.dialled(0, 7);
    let did = hand.did();
    assert_eq!(did.dialled(), []);
    assert_eq!(did.asked(), [(hand.peers[0], 7); 3]);
}

#[test]
fn who_is_being_dialled_is_not_dialled_for_another_request() {
    let mut hand = Hand::new(tending(), 2, 1);
    hand.dialled(0, 1);
    let asks = hand.did().asks;
    let beside = hand.peers[1];
    hand.walk.add_address(&beside, address(1));
    assert_eq!(hand.did().dialled(), [beside]);
    // Lookups learn of it, and want it too.
    let told = hand.contact(1);
    for (_, over, id) in asks {
        hand.tell_of(0, over, id, std::slice::from_ref(&told));
    }
    assert_eq!(hand.did().dialled(), []);
    hand.dialled(1, 2);
    assert!(hand.did().asked().len() > 1, "a check, and a lookup");
}

#[test]
fn a_dial_that_fails_ends_all_that_waits_for_it_and_the_next_request_dials_anew() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.walk.walks(3).expect("nothing waits");
    let dial = hand.did().dials[0].1;
    hand.not_dialled(0, dial);
    let did = hand.did();
    assert_eq!((did.failures(), did.asked()), (Some(3), vec![]));
    assert_eq!(hand.refused(Refusal::Unreachable), 3);
    hand.walk.walks(1).expect("nothing waits");
    assert_eq!(hand.did().dialled(), [hand.peers[0]]);
}

#[test]
fn a_dial_of_somebody_else_is_waited_for_and_followed_by_ours_where_it_fails() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.walk.walks(1).expect("nothing waits");
    let ours = hand.did().dials[0].1;
    hand.dial_refused(0, ours);
    let did = hand.did();
    assert_eq!((did.failures(), did.dialled()), (None, vec![]));
    hand.not_dialled(0, ConnectionId::new_unchecked(1_000_000));
    let did = hand.did();
    assert_eq!((did.failures(), did.dialled()), (None, vec![hand.peers[0]]));
    hand.not_dialled(0, did.dials[0].1);
    assert_eq!(hand.did().failures(), Some(1));
}

#[test]
fn a_request_whose_connection_closes_goes_over_another_one_once() {
    let mut hand = Hand::new(still(), 1, 1);
    for connection in [1, 2, 3] {
        hand.dialled(0, connection);
    }
    hand.walk.walks(1).expect("nothing waits");
    assert_eq!(hand.did().asked(), [(hand.peers[0], 3)]);
    hand.close(0, 3, 2);
    let did = hand.did();
    assert_eq!(
        (did.failures(), did.asked()),
        (None, vec![(hand.peers[0], 2)])
    );
    hand.close(0, 2, 1);
    let did = hand.did();
    assert_eq!((did.failures(), did.asked()), (Some(1), vec![]));
    assert_eq!(hand.refused(Refusal::NoAnswer), 1);
}

#[test]
fn what_was_answered_is_over_and_outlives_no_connection() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.dialled(0, 1);
    hand.walk.walks(1).expect("nothing waits");
    let (_, _, id) = hand.did().asks[0];
    hand.answer(0, 1, id);
    assert_eq!(hand.did().failures(), Some(0));
    hand.close(0, 1, 0);
    let did = hand.did();
    assert_eq!((did.dialled(), did.asked()), (vec![], vec![]));
    hand.fail(0, 1, id, Failure::Broken);
    assert_eq!(hand.refused(Refusal::NoAnswer), 0, "it was settled before");
}

#[test]
fn a_message_over_a_connection_that_is_there_costs_no_dial() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.dialled(0, 1);
    hand.walk.walks(1).expect("nothing waits");
    hand.answer_all();
    assert_eq!((hand.spent().messages, hand.spent().dials), (1, 0));
    hand.dialled(0, 2);
    hand.close(0, 1, 1);
    hand.walk.walks(1).expect("nothing waits");
    hand.answer_all();
    assert_eq!((hand.spent().messages, hand.spent().dials), (2, 0));
    hand.close(0, 2, 0);
    hand.walk.walks(1).expect("nothing waits");
    hand.did();
    assert_eq!((hand.spent().messages, hand.spent().dials), (3, 1));
}

#[tokio::test]
async fn a_request_whose_time_is_up_is_taken_back_from_its_connection() {
    let mut config = still();
    config.walk.lookup.request_timeout = Duration::from_millis(50);
    let mut hand = Hand::new(config, 1, 1);
    hand.dialled(0, 1);
    hand.walk.walks(1).expect("nothing waits");
    let asked = hand.did().asks;
    assert_eq!(asked.len(), 1);
    let did = within("end of a round", hand.until_finished()).await;
    assert_eq!((did.failures(), did.cancels), (Some(1), asked));
}

/// A handler of the connection to peer 0, as a swarm would get it.
fn handler(hand: &mut Hand) -> THandler<Behaviour<MemoryStore>> {
    let handler = hand.walk.handle_established_outbound_connection(
        ConnectionId::new_unchecked(1),
        hand.peers[0],
        &address(0),
        Endpoint::Dialer,
        PortUse::Reuse,
    );
    handler.expect("nobody is denied")
}

#[test]
fn a_stream_that_cannot_be_opened_says_what_the_peer_is() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.dialled(0, 1);
    hand.walk.walks(3).expect("nothing waits");
    let asks = hand.did().asks;
    let mut handler = handler(&mut hand);
    let mut cx = Context::from_waker(futures::task::noop_waker_ref());
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let errors = [
        (StreamUpgradeError::NegotiationFailed, Failure::NotServing),
        (StreamUpgradeError::Timeout, Failure::TimedOut),
        (StreamUpgradeError::Io(broken), Failure::Broken),
    ];
    for ((_, _, id), (error, failure)) in asks.into_iter().zip(errors) {
        handler.on_behaviour_event(Either::Right(ToHandler::Ask(id, vec![7; 34])));
        while handler.poll(&mut cx).is_ready() {}
        let info = Either::Right(id);
        let error = DialUpgradeError { info, error };
        handler.on_connection_event(ConnectionEvent::DialUpgradeError(error));
        let told = handler.poll(&mut cx);
        let Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Either::Right(told))) = told else {
            panic!("it says nothing");
        };
        assert!(
            matches!(told, FromHandler::Failed(of, why) if of == id && why == failure),
            "{told:?}"
        );
    }
    assert!(!handler.connection_keep_alive());
}

#[test]
fn a_request_keeps_its_connection_open_until_it_is_taken_back_and_nothing_else_does() {
    let mut hand = Hand::new(still(), 1, 1);
    hand.dialled(0, 1);
    hand.walk.walks(2).expect("nothing waits");
    let ids: Vec<_> = hand.did().asks.into_iter().map(|(_, _, id)| id).collect();
    let mut handler = handler(&mut hand);
    assert!(!handler.connection_keep_alive());

    let mut cx = Context::from_waker(futures::task::noop_waker_ref());
    let ask = |id| Either::Right(ToHandler::Ask(id, vec![7; 34]));
    // One whose stream was asked for, one that waits.
    handler.on_behaviour_event(ask(ids[0]));
    assert!(handler.connection_keep_alive());
    let mut streams = 0;
    while let Poll::Ready(event) = handler.poll(&mut cx) {
        if let ConnectionHandlerEvent::OutboundSubstreamRequest { .. } = event {
            streams += 1;
        }
    }
    assert_eq!(streams, 1);
    handler.on_behaviour_event(ask(ids[1]));
    for id in ids {
        assert!(handler.connection_keep_alive());
        handler.on_behaviour_event(Either::Right(ToHandler::Cancel(id)));
    }
    assert!(!handler.connection_keep_alive());
}
