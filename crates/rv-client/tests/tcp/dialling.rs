//! Found peers that are dialled.

use std::collections::BTreeSet;

use futures::future::join_all;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::dialling::{DialEvent, DiallingConfig};
use rv_client::rv_core::client::{DiscoverOptions, Target};
use rv_client::rv_proto::{Dialect, DiscoverResponse, Entry, PeerRecord, Response, Status};
use rv_client::{Behaviour, Config, Event};

use crate::raw_point::RawPoint;
use crate::support::*;

fn entry(key: &Keypair, address: &Multiaddr) -> Entry {
    let record = PeerRecord {
        peer: key.public().into(),
        seq: 1,
        addresses: vec![address.clone()],
    };
    Entry {
        namespace: Some("ns".into()),
        record: Some(record.seal(Dialect::Standard, key).expect("sealed")),
        ttl_secs: Some(7_200),
        verified: None,
    }
}

/// A client that dials, of a point that lists `entries`, and what it tells of its dials.
async fn found(config: DiallingConfig, entries: Vec<Entry>) -> Node<Behaviour> {
    let mut point = RawPoint::start().await;
    let key = Keypair::generate_ed25519();
    let config = Config {
        dialling: Some(config),
        ..Config::default()
    };
    let behaviour = Behaviour::new(key.clone(), config).expect("a good configuration");
    let client = behaviour.client();
    let node = Node::spawn(swarm(&key, behaviour));
    let (peer, address) = point.at.clone();
    client.add_point(peer, [address]).await.expect("room");
    let answers = async {
        let mut stream = point.accept().await;
        stream.request().await;
        let page = DiscoverResponse {
            entries,
            cookie: None,
            status: Status::OK,
            status_text: String::new(),
        };
        stream.answer(&Response::Discover(page)).await;
        stream
    };
    let listing = within("listing", client.discover(scope("ns"), None));
    let (listed, _stream) = futures::join!(listing, answers);
    listed.expect("the point answers");
    node
}

/// What is told of dials so far, in order.
fn told(node: &Node<Behaviour>) -> Vec<DialEvent> {
    node.all(|event| match event {
        Event::Dial(event) => Some(event.clone()),
        _ => None,
    })
}

#[tokio::test]
async fn among_hundreds_of_dead_peers_the_live_ones_are_connected_within_the_bounds() {
    let dead: Multiaddr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        // Closed again with the listener: whoever dials it is refused.
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("good")
    };
    let mut entries: Vec<_> = (0..300)
        .map(|_| entry(&Keypair::generate_ed25519(), &dead))
        .collect();
    let live = join_all((0..3).map(|_| own_point_with_key())).await;
    for (place, (key, point)) in (1..).zip(&live) {
        entries.insert(place * 90, entry(key, &point.address));
    }
    let config = DiallingConfig {
        dials_in_flight_max: 4,
        dials_per_minute: 6_000,
        local_addresses: true,
        ..DiallingConfig::default()
    };
    let node = found(config, entries).await;
    let wanted: BTreeSet<PeerId> = live.iter().map(|(_, point)| point.peer()).collect();
    let events = eventually("connections to all that live", async || {
        let events = told(&node);
        let connected = events.iter().filter_map(|event| match event {
            DialEvent::Connected { peer } => Some(*peer),
            DialEvent::Started(_) | DialEvent::Failed { .. } => None,
        });
        (connected.collect::<BTreeSet<_>>() == wanted).then_some(events)
    })
    .await;
    let (mut in_flight, mut dialled) = (0_usize, BTreeSet::new());
    for event in events {
        match event {
            DialEvent::Started(dial) => {
                in_flight += 1;
                assert!(in_flight <= 4, "the bound holds");
                assert!(dialled.insert(dial.peer), "each is dialled once");
                assert!(dial.is_verified);
            }
            DialEvent::Connected { .. } => in_flight -= 1,
            DialEvent::Failed { failures, .. } => {
                assert_eq!(failures, 1);
                in_flight -= 1;
            }
        }
    }
}

async fn own_point_with_key() -> (Keypair, Point<rv_server::Behaviour>) {
    let key = Keypair::generate_ed25519();
    let point = Point::start(&key, own(120), loopback()).await;
    (key, point)
}

#[tokio::test]
async fn addresses_of_our_own_network_are_not_dialled_by_default() {
    let (key, point) = own_point_with_key().await;
    let public = Keypair::generate_ed25519();
    // Nobody takes a datagram on a transport that there is not: the dial ends at once.
    let nobody: Multiaddr = "/ip4/198.0.2.1/udp/1".parse().expect("good");
    let entries = vec![entry(&key, &point.address), entry(&public, &nobody)];
    let node = found(DiallingConfig::default(), entries).await;
    let failed = eventually("end of a dial", async || {
        let events = told(&node);
        matches!(events.last(), Some(DialEvent::Failed { .. })).then_some(events)
    })
    .await;
    let [DialEvent::Started(dial), DialEvent::Failed { peer, .. }] = &failed[..] else {
        panic!("{failed:?}");
    };
    assert_eq!((dial.peer, *peer), (public.public().into(), dial.peer));
    let live = point.peer();
    let is_connected = node.with(move |swarm| swarm.is_connected(&live)).await;
    assert!(!is_connected);
}

#[tokio::test]
async fn nothing_is_dialled_unless_that_is_asked_for() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (_other, client) = client_of([at.clone()]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");
    let (seeker, _) = client_of([at]).await;
    let started = seeker.with(|swarm| {
        let options = DiscoverOptions::default();
        let behaviour = swarm.behaviour_mut();
        behaviour.discover(Target::Every, &scope("ns"), options)
    });
    started.await.expect("there is a point");
    eventually("end", async || {
        let is_done = |event: &Event| matches!(event, Event::DiscoverDone { .. });
        (seeker.count(is_done) == 1).then_some(())
    })
    .await;
    assert_eq!(told(&seeker), []);
}
