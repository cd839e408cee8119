//! The behaviour in an application's own swarm, beside other behaviours.

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, StreamProtocol, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, kad, rendezvous};
use rv_interop::{Identity, Point, Via, new_swarm, within};
use rv_server::rv_core::Report;
use rv_server::rv_proto::{Epoch, Namespace, Scope, Ttl};
use rv_server::{Behaviour, Config};

const NAMESPACE: &str = "my-app";

#[derive(NetworkBehaviour)]
struct Server {
    point: Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

#[derive(NetworkBehaviour)]
struct Client {
    rendezvous: rendezvous::client::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// A point that registers at another point.
#[derive(NetworkBehaviour)]
struct Both {
    point: Behaviour,
    rendezvous: rendezvous::client::Behaviour,
}

fn identify(key: &Keypair) -> identify::Behaviour {
    identify::Behaviour::new(identify::Config::new("/test/1".into(), key.public()))
}

fn new_kad(peer: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut kad = kad::Behaviour::new(peer, MemoryStore::new(peer));
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn point() -> Behaviour {
    Behaviour::in_memory(Config::default(), Epoch::from_bits(9)).expect("a good configuration")
}

fn namespace() -> rendezvous::Namespace {
    rendezvous::Namespace::from_static(NAMESPACE)
}

async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    swarm
        .listen_on(Via::Tcp.listen_address())
        .expect("loopback can be listened on");
    let address = within("address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    })
    .await;
    address.with(Protocol::P2p(*swarm.local_peer_id()))
}

/// What a client with three behaviours has seen so far.
#[derive(Default)]
struct Seen {
    protocols: Vec<StreamProtocol>,
    closest: Option<usize>,
    listed: Option<Vec<PeerId>>,
}

impl Seen {
    fn is_all(&self) -> bool {
        !self.protocols.is_empty() && self.closest.is_some() && self.listed.is_some()
    }

    /// Registers and walks once it is connected, and discovers once it is registered.
    fn handle(&mut self, event: SwarmEvent<ClientEvent>, client: &mut Client, point: &Multiaddr) {
        let event = match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                let register = client.rendezvous.register(namespace(), peer_id, None);
                register.expect("an address is known");
                client.kad.add_address(&peer_id, point.clone());
                client.kad.get_closest_peers(PeerId::random());
                return;
            }
            SwarmEvent::Behaviour(event) => event,
            _ => return,
        };
        match event {
            ClientEvent::Identify(identify::Event::Received { info, .. }) => {
                self.protocols = info.protocols;
            }
            ClientEvent::Kad(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(found),
                ..
            }) => self.closest = Some(found.expect("the other peer answers").peers.len()),
            ClientEvent::Identify(_) | ClientEvent::Kad(_) => {}
            ClientEvent::Rendezvous(rendezvous::client::Event::Registered {
                ttl,
                rendezvous_node,
                ..
            }) => {
                assert_eq!(ttl, 7_200);
                client
                    .rendezvous
                    .discover(Some(namespace()), None, None, rendezvous_node);
            }
            ClientEvent::Rendezvous(rendezvous::client::Event::Discovered {
                registrations,
                ..
            }) => {
                let peers = registrations.iter().map(|one| one.record.peer_id());
                self.listed = Some(peers.collect());
            }
            ClientEvent::Rendezvous(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_behaviour_serves_beside_kad_and_identify() {
    let key = Keypair::generate_ed25519();
    let peer = PeerId::from(key.public());
    let behaviour = Server {
        point: point(),
        kad: new_kad(peer),
        identify: identify(&key),
    };
    let mut server = new_swarm(&key, behaviour);
    let address = listen(&mut server).await;

    let alice = Identity::new();
    let behaviour = Client {
        rendezvous: rendezvous::client::Behaviour::new(alice.key().clone()),
        kad: new_kad(alice.peer()),
        identify: identify(alice.key()),
    };
    let mut client = new_swarm(alice.key(), behaviour);
    client.add_external_address(alice.address());
    client
        .dial(address.clone())
        .expect("the address can be dialled");

    let (mut seen, mut reports) = (Seen::default(), Vec::new());
    within("everything", async {
        while !seen.is_all() || reports.len() < 2 {
            tokio::select! {
                event = server.select_next_some() => {
                    if let SwarmEvent::Behaviour(ServerEvent::Point(event)) = event {
                        assert_eq!(event.peer, alice.peer());
                        reports.push(event.report);
                    }
                }
                event = client.select_next_some() => {
                    seen.handle(event, client.behaviour_mut(), &address);
                }
            }
        }
    })
    .await;

    assert_eq!(seen.listed, Some(vec![alice.peer()]));
    let names: Vec<_> = seen.protocols.iter().map(AsRef::as_ref).collect();
    assert!(names.contains(&"/rendezvous/1.0.0"), "{names:?}");
    assert!(names.contains(&"/ipfs/kad/1.0.0"), "{names:?}");
    assert_eq!(seen.closest, Some(1), "kad is not disturbed");
    let namespace = Namespace::new(NAMESPACE).expect("a namespace");
    let registered = Report::Registered {
        namespace: namespace.clone(),
        ttl: Ttl::DEFAULT,
    };
    let scope = Scope::Namespace(namespace.clone());
    assert_eq!(
        reports,
        [registered, Report::Discovered { scope, count: 1 }]
    );
    let point = &mut server.behaviour_mut().point;
    assert_eq!(point.namespace_stats(), [(namespace, 1)]);
    assert_eq!((point.stats().registers, point.stats().discovers), (1, 1));
    assert_eq!(point.requests_in_work(), 0);
}

#[tokio::test]
async fn a_point_can_be_a_client_of_another_point_in_the_same_swarm() {
    let elsewhere = Point::in_memory(Config::default()).await;
    let both = Identity::new();
    let rendezvous = rendezvous::client::Behaviour::new(both.key().clone());
    let mut swarm = new_swarm(
        both.key(),
        Both {
            point: point(),
            rendezvous,
        },
    );
    let address = listen(&mut swarm).await;
    swarm.add_external_address(both.address());
    swarm
        .dial(elsewhere.address(Via::Tcp).clone())
        .expect("the address can be dialled");

    let alice = Identity::new();
    let rendezvous = rendezvous::client::Behaviour::new(alice.key().clone());
    let mut client = new_swarm(alice.key(), rendezvous);
    client.add_external_address(alice.address());
    client.dial(address).expect("the address can be dialled");

    let (mut served, mut granted_abroad, mut granted_here) = (None, None, None);
    within("both registrations", async {
        while served.is_none() || granted_abroad.is_none() || granted_here.is_none() {
            tokio::select! {
                event = swarm.select_next_some() => match event {
                    SwarmEvent::ConnectionEstablished { peer_id, .. }
                        if peer_id == elsewhere.peer() =>
                    {
                        let client = &mut swarm.behaviour_mut().rendezvous;
                        client.register(namespace(), peer_id, Some(3_600)).expect("an address");
                    }
                    SwarmEvent::Behaviour(BothEvent::Point(event)) => served = Some(event),
                    SwarmEvent::Behaviour(BothEvent::Rendezvous(
                        rendezvous::client::Event::Registered { ttl, rendezvous_node, .. },
                    )) => {
                        assert_eq!(rendezvous_node, elsewhere.peer());
                        granted_abroad = Some(ttl);
                    }
                    SwarmEvent::Behaviour(BothEvent::Rendezvous(other)) => panic!("{other:?}"),
                    _ => {}
                },
                event = client.select_next_some() => match event {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        let client = client.behaviour_mut();
                        client.register(namespace(), peer_id, None).expect("an address");
                    }
                    SwarmEvent::Behaviour(rendezvous::client::Event::Registered {
                        ttl, ..
                    }) => granted_here = Some(ttl),
                    SwarmEvent::Behaviour(other) => panic!("{other:?}"),
                    _ => {}
                },
            }
        }
    })
    .await;

    assert_eq!((granted_abroad, granted_here), (Some(3_600), Some(7_200)));
    assert_eq!(served.map(|event| event.peer), Some(alice.peer()));
    assert_eq!(elsewhere.stats().await.registrations, 1);
    assert_eq!(swarm.behaviour_mut().point.stats().registrations, 1);
}
