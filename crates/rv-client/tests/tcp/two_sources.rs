//! Points and a DHT as two sources of one discovery.

use std::future::pending;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Mode};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use rv_client::dht_walk::{AddressPolicy, Contact, Peer, RandomWalk, RandomWalkError, swarm};
use rv_client::{Behaviour, Discovery, FillOptions, Sighting, SourceError, WalkSource};

use crate::support::swarm as swarm_of;
use crate::support::*;

const DHT: StreamProtocol = StreamProtocol::new("/test/kad/1.0.0");

/// An application with both.
#[derive(NetworkBehaviour)]
struct App {
    rendezvous: Behaviour,
    dht: swarm::Behaviour<MemoryStore>,
}

/// A node of the DHT that knows these others.
async fn dht_node(known: &[(PeerId, Multiaddr)]) -> Point<kad::Behaviour<MemoryStore>> {
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let config = kad::Config::new(DHT);
    let mut kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), config);
    kad.set_mode(Some(Mode::Server));
    for (peer, address) in known {
        kad.add_address(peer, address.clone());
    }
    Point::start(&key, kad, loopback()).await
}

/// Nodes of which the last knows all others.
async fn dht(count: usize) -> Vec<Point<kad::Behaviour<MemoryStore>>> {
    let (mut nodes, mut known) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let node = dht_node(&known).await;
        known.push((node.peer(), node.address.clone()));
        nodes.push(node);
    }
    nodes
}

/// An application that knows a point, and a node of the DHT to begin with.
async fn app(
    point: (PeerId, Multiaddr),
    first: Option<&Point<kad::Behaviour<MemoryStore>>>,
) -> (Node<App>, Discovery) {
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let mut config = kad::Config::new(DHT);
    swarm::prepare(&mut config);
    let kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), config);
    let mut bounds = swarm::Config::default();
    // What the walk of the discovery sends is counted alone.
    bounds.walk.auto = false;
    bounds.walk.addresses = AddressPolicy::Any;
    let walk_bounds = bounds.walk.clone();
    let mut dht = swarm::Behaviour::new(peer, kad, bounds).expect("the bounds make sense");
    dht.set_bootstrap(first.map(|it| (it.peer(), vec![it.address.clone()])));
    let walk = RandomWalk::new(peer, dht.handle(), walk_bounds).expect("the bounds make sense");
    let rendezvous = Behaviour::new(key.clone(), quick()).expect("a good configuration");
    let client = rendezvous.client();
    let node = Node::spawn(swarm_of(&key, App { rendezvous, dht }));
    let added = client.add_point(point.0, [point.1]).await;
    added.expect("there is room");
    (node, Discovery::new(client).with_walk(walk))
}

/// Registers so many peers, which stay while what is returned is kept.
async fn register(at: &(PeerId, Multiaddr), count: usize) -> Vec<Node<Behaviour>> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let (node, client) = client_of([at.clone()]).await;
        let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
        granted.expect("granted");
        nodes.push(node);
    }
    nodes
}

fn sorted(peers: impl Iterator<Item = PeerId>) -> Vec<PeerId> {
    let mut peers: Vec<PeerId> = peers.collect();
    peers.sort();
    peers
}

type Told = Vec<Result<Sighting, SourceError>>;

async fn find(discovery: &Discovery, options: FillOptions) -> Told {
    let found = discovery.find_or_walk(namespace("ns"), options);
    within("end of the search", found.collect()).await
}

fn sighted(told: &Told, is_registered: bool) -> Vec<PeerId> {
    let sightings = told.iter().filter_map(|it| it.as_ref().ok());
    let wanted = sightings.filter(|it| it.is_registered() == is_registered);
    sorted(wanted.map(Sighting::peer))
}

#[tokio::test]
async fn who_registered_comes_first_and_the_dht_fills_up_to_the_limit() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let members = register(&at, 2).await;
    let nodes = dht(5).await;
    let (node, discovery) = app(at, nodes.last()).await;
    let spent = || node.with(|swarm| swarm.behaviour().dht.spent_by_handles().messages);

    let few = FillOptions {
        limit: 2,
        ..FillOptions::default()
    };
    let told = find(&discovery, few).await;
    let members = sorted(members.iter().map(|it| it.peer));
    assert_eq!(sighted(&told, true), members);
    assert_eq!((told.len(), spent().await), (2, 0), "the points had enough");

    let told = find(&discovery, FillOptions::default()).await;
    assert!(told[..2].iter().flatten().all(Sighting::is_registered));
    assert_eq!(sighted(&told, true), members);
    let of_dht = sorted(nodes.iter().map(Point::peer));
    assert_eq!(sighted(&told, false), of_dht);
    assert_eq!(told.len(), 7, "{told:?}");
    for sighting in told.iter().flatten().filter(|it| !it.is_registered()) {
        let here = nodes.iter().find(|it| it.peer() == sighting.peer());
        assert_eq!(
            sighting.addresses(),
            [here.expect("one of them").address.clone()]
        );
    }

    let some = FillOptions {
        limit: 4,
        ..FillOptions::default()
    };
    let told = find(&discovery, some).await;
    assert_eq!((told.len(), sighted(&told, false).len()), (4, 2));
}

#[tokio::test]
async fn a_source_that_fails_is_told_and_the_other_goes_on() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let members = register(&at, 1).await;
    let (_node, discovery) = app(at.clone(), None).await;
    let told = find(&discovery, FillOptions::default()).await;
    assert_eq!(sighted(&told, true), [members[0].peer]);
    assert!(
        matches!(
            &told[1..],
            [Err(SourceError::Walk(RandomWalkError::Query(_)))]
        ),
        "{told:?}"
    );

    point.node.kill().await;
    let nodes = dht(3).await;
    let (_node, discovery) = app(at, nodes.last()).await;
    let told = find(&discovery, FillOptions::default()).await;
    assert!(matches!(told[0], Err(SourceError::Points(_))), "{told:?}");
    let of_dht = sorted(nodes.iter().map(Point::peer));
    assert_eq!((told.len(), sighted(&told, false)), (4, of_dht));
}

/// A walk of a test's own.
struct Canned(Option<Vec<Contact>>);

impl WalkSource for Canned {
    fn walk(&self) -> BoxFuture<'_, Result<Vec<Contact>, RandomWalkError>> {
        match &self.0 {
            Some(heard) => std::future::ready(Ok(heard.clone())).boxed(),
            None => pending().boxed(),
        }
    }
}

#[tokio::test]
async fn points_that_do_not_answer_hold_up_no_walk_and_all_ends_at_the_deadline() {
    // Its swarm is never polled.
    let behaviour = Behaviour::new(Keypair::generate_ed25519(), quick()).expect("it makes sense");
    let contact = Contact::new(Peer::new(PeerId::random()), [external()]);
    let hasty = FillOptions {
        patience: Duration::from_millis(10),
        deadline: Duration::from_millis(500),
        ..FillOptions::default()
    };
    let discovery = Discovery::new(behaviour.client());
    let walking = discovery
        .clone()
        .with_walk(Canned(Some(vec![contact.clone()])));
    let told = find(&walking, hasty).await;
    let [Ok(sighting), Err(SourceError::Deadline(_))] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(*sighting, Sighting::Walked(contact));

    drop(behaviour);
    let told = find(&discovery.with_walk(Canned(None)), hasty).await;
    assert!(
        matches!(
            &told[..],
            [Err(SourceError::Points(_)), Err(SourceError::Deadline(_))]
        ),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_discovery_without_a_walk_has_the_points_alone() {
    let behaviour = Behaviour::new(Keypair::generate_ed25519(), quick()).expect("it makes sense");
    let discovery = Discovery::new(behaviour.client());
    drop(behaviour);
    let told = find(&discovery, FillOptions::default()).await;
    assert!(
        matches!(&told[..], [Err(SourceError::Points(_))]),
        "{told:?}"
    );
}
