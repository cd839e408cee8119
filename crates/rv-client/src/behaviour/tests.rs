//! What is told to siblings, and which connection a request takes.

use libp2p_swarm::DialError;
use rv_core::client::{
    Client as Machine, ClientConfig, DiscoverOptions, Failure, RequestId, Target, Wanted,
};
use rv_proto::{
    Dialect, DiscoverResponse, Entry, Namespace, PeerRecord, Record, Response, Scope, Status, Time,
    UnverifiedRecord,
};

use super::*;
use crate::handler::Message;
use crate::watch::Queue;
use crate::{Watch, WatchEvent};

fn found(record: Record) -> Discovered {
    Discovered {
        namespace: Namespace::new("ns").expect("a namespace"),
        record: Arc::new(record),
        until: Time::from_millis(u64::MAX),
    }
}

fn address() -> Multiaddr {
    "/ip4/203.0.113.7/tcp/1".parse().expect("an address")
}

fn told(behaviour: &mut Behaviour) -> Vec<PeerId> {
    let told = std::iter::from_fn(|| behaviour.news.next_in_row());
    told.map(|(peer, _)| peer).collect()
}

#[test]
fn siblings_are_told_verified_addresses_once_and_unverified_ones_never() {
    let behaviour = Behaviour::new(Keypair::generate_ed25519(), Config::default());
    let mut behaviour = behaviour.expect("a good configuration");
    let key = Keypair::generate_ed25519();
    let record = PeerRecord {
        peer: key.public().into(),
        seq: 1,
        addresses: vec![address()],
    };
    let sealed = record.seal(Dialect::Standard, &key).expect("signed");
    let signed = UnverifiedRecord::parse(sealed).and_then(UnverifiedRecord::verify);
    let signed = found(signed.expect("a good record"));
    behaviour.tell(Event::Joined(signed.clone()));
    assert_eq!(told(&mut behaviour), [signed.peer()]);
    behaviour.tell(Event::Renewed(signed));
    assert_eq!(told(&mut behaviour), []);
    let plain = Record::plain(&PeerId::random(), &[address()]);
    behaviour.tell(Event::Joined(found(plain)));
    assert_eq!(told(&mut behaviour), []);
}

#[test]
fn a_stream_begins_with_whom_a_discovery_found_and_tells_it_once() {
    let behaviour = Behaviour::new(Keypair::generate_ed25519(), Config::default());
    let mut behaviour = behaviour.expect("a good configuration");
    let (now, key) = (behaviour.clock.now(), Keypair::generate_ed25519());
    let scope = Scope::Namespace(Namespace::new("ns").expect("a namespace"));
    let machine = &mut behaviour.machine;
    machine.add_point(now, PeerId::random()).expect("room");
    let options = DiscoverOptions::default();
    let asked = machine.discover(now, Target::Every, &scope, options);
    asked.expect("starts");
    let Some(Output::Request { id, .. }) = machine.poll_output() else {
        panic!("nothing is asked");
    };
    let record = PeerRecord {
        peer: key.public().into(),
        seq: 1,
        addresses: vec![address()],
    };
    let listed = Entry {
        namespace: Some(b"ns".as_slice().into()),
        record: Some(record.seal(Dialect::Standard, &key).expect("signed")),
        ttl_secs: Some(600),
        verified: None,
    };
    let page = DiscoverResponse {
        entries: vec![listed],
        cookie: None,
        status: Status::OK,
        status_text: String::new(),
    };
    machine.handle_response(now, id, Response::Discover(page));

    let queue = Arc::new(Queue::default());
    let watched = behaviour.watch_with(scope.clone(), Arc::clone(&queue));
    watched.expect("room");
    let mut watch = Watch::new(scope, queue, mpsc::channel(1).0);
    let first = watch.next().now_or_never();
    assert!(matches!(first, Some(Some(WatchEvent::Joined(found))) if found.peer() == record.peer));
    while let Some(output) = behaviour.machine.poll_output() {
        behaviour.perform(output);
    }
    assert_eq!(watch.next().now_or_never(), None);
    let is_joined =
        |action: &&ToSwarm<_, _>| matches!(action, ToSwarm::GenerateEvent(Event::Joined(_)));
    assert_eq!(behaviour.actions.iter().filter(is_joined).count(), 1);
}

#[test]
fn who_dials_a_found_peer_is_offered_signed_addresses_before_unsigned_ones() {
    let behaviour = Behaviour::new(Keypair::generate_ed25519(), Config::default());
    let mut behaviour = behaviour.expect("a good configuration");
    let key = Keypair::generate_ed25519();
    let peer = key.public().into();
    let heard: Multiaddr = "/ip4/203.0.113.8/tcp/2".parse().expect("an address");
    let plain = found(Record::plain(&peer, std::slice::from_ref(&heard)));
    let mut offered = |event| {
        behaviour.tell(event);
        behaviour
            .handle_pending_outbound_connection(connection(1), Some(peer), &[], Endpoint::Dialer)
            .expect("not denied")
    };
    assert_eq!(offered(Event::Joined(plain)), std::slice::from_ref(&heard));
    let record = PeerRecord {
        peer,
        seq: 1,
        addresses: vec![address()],
    };
    let sealed = record.seal(Dialect::Standard, &key).expect("signed");
    let signed = UnverifiedRecord::parse(sealed).and_then(UnverifiedRecord::verify);
    let signed = found(signed.expect("a good record"));
    assert_eq!(offered(Event::Joined(signed)), [address(), heard]);
}

/// A request to a point.
fn request() -> (RequestId, PeerId, Message) {
    let (local, point) = (PeerId::random(), PeerId::random());
    let machine = Machine::new(ClientConfig::default(), local, 1);
    let mut machine = machine.expect("a good configuration");
    let (now, target) = (Time::ZERO, Target::Point(point));
    machine.add_point(now, point).expect("room");
    let options = DiscoverOptions::default();
    let started = machine.discover(now, target, &Scope::All, options);
    started.expect("there is such a point");
    let Some(Output::Request { id, request, .. }) = machine.poll_output() else {
        panic!("nothing is asked");
    };
    assert!(matches!(request, Wanted::Discover { .. }));
    let frame = bytes::Bytes::new();
    let wanted = request;
    let message = Message {
        wanted,
        frame,
        extended: None,
        may_be_read: false,
    };
    (id, point, message)
}

fn connection(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn is_dial(act: Option<Act>, point: PeerId) -> bool {
    matches!(act, Some(Act::Dial(peer)) if peer == point)
}

#[test]
fn a_request_is_given_to_another_connection_once_and_then_fails() {
    let (id, point, message) = request();
    let mut links = Links::default();
    links.send(id, point, message);
    assert!(is_dial(links.poll(), point));
    links.dialled(point, connection(1));
    links.connected(point, connection(1));
    assert!(matches!(links.poll(), Some(Act::Send(_, over, ..)) if over == connection(1)));

    links.disconnected(point, connection(1));
    assert!(is_dial(links.poll(), point));
    links.dialled(point, connection(2));
    links.connected(point, connection(2));
    assert!(matches!(links.poll(), Some(Act::Send(_, over, ..)) if over == connection(2)));
    links.disconnected(point, connection(2));
    assert!(
        matches!(links.poll(), Some(Act::Fail(failed, Failure::ConnectionLost)) if failed == id)
    );
    assert!(links.poll().is_none());
    assert!(!links.settle(id, &point));
}

/// A request whose first connection closed under it.
fn lost() -> (RequestId, PeerId, Links) {
    let (id, point, message) = request();
    let mut links = Links::default();
    links.connected(point, connection(1));
    links.send(id, point, message);
    assert!(matches!(links.poll(), Some(Act::Send(_, over, ..)) if over == connection(1)));
    links.disconnected(point, connection(1));
    assert!(is_dial(links.poll(), point));
    links.dialled(point, connection(2));
    (id, point, links)
}

#[test]
fn a_request_that_may_have_arrived_is_told_so_though_the_point_is_gone() {
    let (id, point, mut links) = lost();
    links.dial_failed(point, connection(2), &DialError::NoAddresses);
    let told = links.poll();
    assert!(matches!(told, Some(Act::Fail(failed, Failure::ConnectionLost)) if failed == id));

    let (id, point, mut links) = lost();
    links.connected(point, connection(2));
    assert!(matches!(links.poll(), Some(Act::Send(_, over, ..)) if over == connection(2)));
    let told = links.failed(id, &point, Failure::Unreachable);
    assert_eq!(told, Some(Failure::ConnectionLost));
    assert_eq!(links.failed(id, &point, Failure::Unreachable), None);

    let (id, point, mut links) = lost();
    links.connected(point, connection(2));
    let told = links.failed(id, &point, Failure::EndOfStream);
    assert_eq!(told, Some(Failure::EndOfStream));

    let (id, point, message) = request();
    let mut links = Links::default();
    links.connected(point, connection(1));
    links.send(id, point, message);
    let told = links.failed(id, &point, Failure::Unreachable);
    assert_eq!(told, Some(Failure::Unreachable), "there was no stream");
}

#[test]
fn a_dial_of_others_that_fails_is_followed_by_one_of_our_own() {
    let (id, point, message) = request();
    let mut links = Links::default();
    links.send(id, point, message);
    assert!(is_dial(links.poll(), point));
    links.dialled(point, connection(1));
    let refused = DialError::DialPeerConditionFalse(PeerCondition::DisconnectedAndNotDialing);
    links.dial_failed(point, connection(1), &refused);
    assert!(links.poll().is_none(), "another behaviour dials");

    links.dial_failed(point, connection(7), &DialError::Aborted);
    assert!(is_dial(links.poll(), point));
    links.dialled(point, connection(2));
    links.dial_failed(point, connection(2), &DialError::NoAddresses);
    assert!(matches!(links.poll(), Some(Act::Fail(failed, Failure::Unreachable)) if failed == id));
}
