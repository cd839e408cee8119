//! Stock rust-libp2p as a client: its swarm, its rendezvous behaviour, unchanged.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use libp2p::core::Transport as _;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::rendezvous::{Namespace, client};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, Swarm, identify, noise, ping, tcp, websocket, yamux};

use super::{Address, within};

#[derive(NetworkBehaviour)]
pub(crate) struct StockBehaviour {
    rendezvous: client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// A connected stock client.
pub(crate) struct StockClient {
    swarm: Swarm<StockBehaviour>,
    point: PeerId,
}

impl StockClient {
    /// Connects over whatever transport the address names.
    pub(crate) async fn connect(point: &Address, key: &Keypair) -> Self {
        let mut swarm = swarm(key);
        swarm.add_external_address("/ip4/192.0.2.7/tcp/4001".parse().expect("a multiaddr"));
        let address = point
            .address
            .clone()
            .with_p2p(point.peer)
            .expect("no other peer id");
        swarm.dial(address).expect("a dial begins");
        let mut client = Self {
            swarm,
            point: point.peer,
        };
        client
            .until("connect", |event| match event {
                SwarmEvent::ConnectionEstablished { .. } => Some(()),
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                _ => None,
            })
            .await;
        client
    }

    /// Registers and returns the granted ttl in seconds.
    pub(crate) async fn register(&mut self, namespace: &str) -> u64 {
        let namespace = Namespace::new(namespace.to_owned()).expect("a namespace");
        let point = self.point;
        self.swarm
            .behaviour_mut()
            .rendezvous
            .register(namespace, point, None)
            .expect("an external address is known");
        self.until("register", |event| match event {
            SwarmEvent::Behaviour(StockBehaviourEvent::Rendezvous(client::Event::Registered {
                ttl,
                ..
            })) => Some(ttl),
            SwarmEvent::Behaviour(StockBehaviourEvent::Rendezvous(event)) => panic!("{event:?}"),
            _ => None,
        })
        .await
    }

    /// Registers under all of these at once, calls `at_first` when the first is granted, waits
    /// until none is open any more, and returns those that were granted.
    pub(crate) async fn register_all(
        &mut self,
        namespaces: &BTreeSet<String>,
        at_first: impl FnOnce(),
    ) -> BTreeSet<String> {
        for namespace in namespaces {
            let namespace = Namespace::new(namespace.clone()).expect("a namespace");
            let point = self.point;
            let rendezvous = &mut self.swarm.behaviour_mut().rendezvous;
            rendezvous
                .register(namespace, point, None)
                .expect("an external address is known");
        }
        let mut at_first = Some(at_first);
        let mut granted = BTreeSet::new();
        for _ in namespaces {
            let outcome = self.until("an outcome", |event| match event {
                SwarmEvent::Behaviour(StockBehaviourEvent::Rendezvous(event)) => Some(event),
                _ => None,
            });
            match outcome.await {
                client::Event::Registered { namespace, .. } => {
                    granted.insert(namespace.to_string());
                    if let Some(at_first) = at_first.take() {
                        at_first();
                    }
                }
                client::Event::RegisterFailed { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        granted
    }

    /// The peers that are registered under `namespace`.
    pub(crate) async fn discover(&mut self, namespace: &str) -> Vec<PeerId> {
        let namespace = Namespace::new(namespace.to_owned()).expect("a namespace");
        let point = self.point;
        self.swarm
            .behaviour_mut()
            .rendezvous
            .discover(Some(namespace), None, None, point);
        self.until("discover", |event| match event {
            SwarmEvent::Behaviour(StockBehaviourEvent::Rendezvous(client::Event::Discovered {
                registrations,
                ..
            })) => Some(
                registrations
                    .iter()
                    .map(|entry| entry.record.peer_id())
                    .collect(),
            ),
            SwarmEvent::Behaviour(StockBehaviourEvent::Rendezvous(event)) => panic!("{event:?}"),
            _ => None,
        })
        .await
    }

    async fn until<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(SwarmEvent<StockBehaviourEvent>) -> Option<T>,
    ) -> T {
        within(what, async {
            loop {
                if let Some(picked) = pick(self.swarm.select_next_some().await) {
                    return picked;
                }
            }
        })
        .await
    }
}

fn swarm(key: &Keypair) -> Swarm<StockBehaviour> {
    let websocket = websocket::Config::new(tcp::tokio::Transport::new(tcp::Config::default()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).expect("a noise key"))
        .multiplex(yamux::Config::default());
    let builder = libp2p::SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("a noise key")
        .with_quic();
    let Ok(builder) = builder.with_other_transport(|_| websocket);
    let Ok(builder) = builder.with_behaviour(|key| StockBehaviour {
        rendezvous: client::Behaviour::new(key.clone()),
        identify: identify::Behaviour::new(identify::Config::new(
            "/test/1.0.0".to_owned(),
            key.public(),
        )),
        ping: ping::Behaviour::default(),
    });
    builder.build()
}

/// Connects to a peer and waits until it answers a ping.
pub(crate) async fn ping(peer: &Address) {
    let mut client = StockClient::connect(peer, &Keypair::generate_ed25519()).await;
    client
        .until("ping", |event| match event {
            SwarmEvent::Behaviour(StockBehaviourEvent::Ping(event)) => {
                event.result.expect("it answers");
                Some(())
            }
            _ => None,
        })
        .await;
}
