//! A rendezvous point and a DHT as two sources of peers: who registered comes first, and where
//! these are too few, peers of the DHT fill up.
//!
//! `cargo run -p rv-client --features walk --example two_sources` starts a point of its own with
//! one registered peer, and a DHT of six nodes, all on this machine.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder};
use libp2p::{identify, kad, noise, tcp, yamux};
use rv_client::dht_walk::{AddressPolicy, RandomWalk, swarm};
use rv_client::{Behaviour, Config, Discovery, FillOptions, Namespace, Sighting};

#[path = "common/others.rs"]
mod others;
#[path = "common/point.rs"]
mod point;

/// The DHT of this application alone.
const DHT: StreamProtocol = StreamProtocol::new("/my-app/kad/1.0.0");

#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    dht: swarm::Behaviour<MemoryStore>,
    rendezvous: Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tokio::time::timeout(Duration::from_secs(60), find()).await?
}

async fn find() -> Result<(), Box<dyn Error>> {
    let (point, address) = point::given_or_own().await?;
    let namespace = Namespace::new("my-app")?;
    others::register(point, &address, namespace.clone()).await?;

    let (node, at) = start(None).await?;
    let first = (*node.local_peer_id(), at);
    tokio::spawn(run(node));
    for _ in 0..5 {
        tokio::spawn(run(start(Some(first.clone())).await?.0));
    }

    let (mut last, _) = start(Some(first)).await?;
    let peer = *last.local_peer_id();
    let app = last.behaviour_mut();
    app.rendezvous.add_point(point, [address])?;
    let walk = RandomWalk::new(peer, app.dht.handle(), bounds().walk)?;
    let discovery = Discovery::new(app.rendezvous.client()).with_walk(walk);
    tokio::spawn(run(last));

    let options = FillOptions {
        limit: 4,
        ..FillOptions::default()
    };
    let mut found = discovery.find_or_walk(namespace, options);
    while let Some(sighting) = found.next().await {
        match sighting {
            Ok(Sighting::Registered(found)) => println!("registered: {}", found.peer()),
            Ok(Sighting::Walked(contact)) => println!("of the DHT: {}", contact.peer),
            // The other source goes on.
            Err(error) => println!("a source failed: {error}"),
        }
    }
    println!("that is enough");
    Ok(())
}

/// A node of the DHT, with the client of rendezvous points beside it.
async fn start(
    known: Option<(PeerId, Multiaddr)>,
) -> Result<(Swarm<App>, Multiaddr), Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            let identify = identify::Config::new("/my-app/1.0.0".to_owned(), key.public());
            let mut config = kad::Config::new(DHT);
            swarm::prepare(&mut config);
            let mut kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), config);
            kad.set_mode(Some(kad::Mode::Server));
            Ok(App {
                identify: identify::Behaviour::new(identify),
                dht: swarm::Behaviour::new(peer, kad, bounds())?,
                rendezvous: Behaviour::new(key.clone(), Config::default())?,
            })
        })?
        .build();
    let known = known.map(|(peer, address)| (peer, vec![address]));
    swarm.behaviour_mut().dht.set_bootstrap(known);
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((swarm, address));
        }
    }
}

/// Here all addresses are private. In a public network the default leaves such ones out.
fn bounds() -> swarm::Config {
    let mut config = swarm::Config::default();
    config.walk.addresses = AddressPolicy::Any;
    config
}

/// Drives the swarm. What identify tells is told to both.
async fn run(mut swarm: Swarm<App>) {
    loop {
        if let SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) = swarm.select_next_some().await
        {
            let app = swarm.behaviour_mut();
            app.dht
                .on_identified(peer_id, &info.protocols, &info.listen_addrs);
            app.rendezvous
                .on_identified(peer_id, &info.agent_version, info.protocols);
        }
    }
}
