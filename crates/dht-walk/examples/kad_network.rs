//! A Kademlia network on loopback, to walk in: stock nodes of libp2p-kad, each of which knows
//! others as after a while of running.
//!
//! It prints where one of them is, and ends at the end of stdin (Ctrl-D), at Ctrl-C, or by itself
//! after ten minutes.
//!
//! `cargo run -p dht-walk --features swarm --example kad_network -- 100`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Mode};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use tokio::sync::oneshot;

/// Nodes, if nobody says how many.
const NODES: usize = 50;

/// Each of them has a port, and they share one processor.
const NODES_MAX: usize = 500;

/// For so long there is a network.
const LIFE: Duration = Duration::from_secs(600);

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let nodes = match env::args().nth(1) {
        Some(nodes) => nodes.parse::<usize>()?.clamp(1, NODES_MAX),
        None => NODES,
    };
    let mut swarms = Vec::new();
    for _ in 0..nodes {
        swarms.push(start().await?);
    }
    let all: Vec<(PeerId, Multiaddr)> = swarms
        .iter()
        .map(|(swarm, address)| (*swarm.local_peer_id(), address.clone()))
        .collect();
    for (mut swarm, _) in swarms {
        for (peer, address) in &all {
            // Where a bucket is full, whoever came first stays.
            let kad = &mut swarm.behaviour_mut().kad;
            kad.add_address(peer, address.clone());
        }
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
    }
    let (peer, address) = &all[0];
    println!("{nodes} nodes, one of them at {address}/p2p/{peer}");
    tokio::select! {
        () = end_of_stdin() => {}
        () = tokio::time::sleep(LIFE) => println!("ten minutes are over"),
    }
    Ok(())
}

async fn start() -> Result<(Swarm<Node>, Multiaddr), Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            let identify = identify::Config::new("/example/1.0.0".to_owned(), key.public());
            let identify = identify.with_agent_version("kad-network/0.1.0".to_owned());
            let mut kad_config = kad::Config::new(kad::PROTOCOL_NAME);
            kad_config.set_periodic_bootstrap_interval(None);
            let store = MemoryStore::new(peer);
            Node {
                identify: identify::Behaviour::new(identify),
                kad: kad::Behaviour::with_config(peer, store, kad_config),
            }
        })?
        .build();
    swarm.behaviour_mut().kad.set_mode(Some(Mode::Server));
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((swarm, address));
        }
    }
}

/// Reading blocks, so it has a thread of its own.
async fn end_of_stdin() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let read = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Nobody waits any more where the time was up first.
        let _ = ended.send(read);
    });
    // Whether it ended or cannot be read, nothing more comes from there.
    let _ = end.await;
}
