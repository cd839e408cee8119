//! A small DHT of stock nodes: libp2p-kad in server mode, and identify.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Mode};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use tokio::runtime::Runtime;

use super::{Address, within};

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

/// It runs until it is dropped.
pub(crate) struct Dht {
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
    nodes: Vec<Address>,
    gone: Vec<Address>,
}

/// What its nodes say that they are.
pub(crate) const AGENT: &str = "dht-node/1";

impl Dht {
    /// So many nodes, which know each other, and so many others that are gone.
    pub(crate) fn start(nodes: usize, gone: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let mut swarms = runtime.block_on(async {
            let mut swarms = Vec::new();
            for _ in 0..nodes + gone {
                swarms.push(within("a node", start()).await);
            }
            swarms
        });
        let all: Vec<Address> = swarms.iter().map(|(_, address)| address.clone()).collect();
        swarms.truncate(nodes);
        for (mut swarm, _) in swarms {
            for Address { peer, address } in &all {
                let kad = &mut swarm.behaviour_mut().kad;
                kad.add_address(peer, address.clone());
            }
            runtime.spawn(async move {
                loop {
                    swarm.select_next_some().await;
                }
            });
        }
        let (nodes, gone) = all.split_at(nodes);
        Self {
            runtime: Some(runtime),
            nodes: nodes.to_vec(),
            gone: gone.to_vec(),
        }
    }

    /// Where one of its nodes is.
    pub(crate) fn entrance(&self) -> String {
        self.nodes[0].whole()
    }

    pub(crate) fn peers(&self) -> BTreeSet<String> {
        ids(&self.nodes)
    }

    /// Where one of those was that are gone.
    pub(crate) fn gone_address(&self) -> String {
        self.gone[0].whole()
    }

    pub(crate) fn gone(&self) -> BTreeSet<String> {
        ids(&self.gone)
    }
}

fn ids(addresses: &[Address]) -> BTreeSet<String> {
    addresses.iter().map(|it| it.peer.to_string()).collect()
}

impl Drop for Dht {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn start() -> (Swarm<Node>, Address) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("a noise key")
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            let identify = identify::Config::new("/test/1.0.0".to_owned(), key.public());
            let mut config = kad::Config::new(kad::PROTOCOL_NAME);
            config.set_periodic_bootstrap_interval(None);
            Node {
                identify: identify::Behaviour::new(identify.with_agent_version(AGENT.to_owned())),
                kad: kad::Behaviour::with_config(peer, MemoryStore::new(peer), config),
            }
        })
        .expect("a behaviour")
        .build();
    swarm.behaviour_mut().kad.set_mode(Some(Mode::Server));
    let any = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr");
    swarm.listen_on(any).expect("loopback is there");
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            let peer = *swarm.local_peer_id();
            return (swarm, Address { peer, address });
        }
    }
}
