//! A rendezvous point as the way into a Kademlia DHT: no list of bootstrap nodes is needed.
//!
//! Two applications with `kad`, `identify` and the rendezvous client meet in a namespace. Where one
//! is found, `kad` is told where it is reached, and bootstraps by itself.
//!
//! `cargo run -p rv-client --example with_kad` starts a point of its own. To meet at another, give
//! its address: `cargo run -p rv-client --example with_kad -- ADDRESS`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder};
use libp2p::{identify, kad, noise, tcp, yamux};
use rv_client::{Behaviour, Config, Event, Namespace, RegisterOptions, Scope, Target};

#[path = "common/point.rs"]
mod point;

/// The DHT of this application alone.
const DHT: StreamProtocol = StreamProtocol::new("/my-app/kad/1.0.0");

#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    rendezvous: Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (point, address) = point::given_or_own().await?;
    let meeting = async {
        let mut first = start(point, &address).await?;
        run_until_registered(&mut first, point).await;
        tokio::spawn(async move { run_until_bootstrapped(&mut first, point).await });

        let mut second = start(point, &address).await?;
        let peers = run_until_bootstrapped(&mut second, point).await;
        println!("the DHT answers: {peers} peers in the routing table");
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::time::timeout(Duration::from_secs(60), meeting).await?
}

async fn start(point: PeerId, address: &Multiaddr) -> Result<Swarm<App>, Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let (public, peer) = (key.public(), key.public().to_peer_id());
            let identify = identify::Config::new("/my-app/1.0.0".to_owned(), public);
            let store = MemoryStore::new(peer);
            Ok(App {
                identify: identify::Behaviour::new(identify),
                kad: kad::Behaviour::with_config(peer, store, kad::Config::new(DHT)),
                rendezvous: Behaviour::new(key.clone(), Config::default())?,
            })
        })?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    // Here others can dial what it listens on. Elsewhere autonat finds out what they can.
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            swarm.add_external_address(address);
            break;
        }
    }
    let rendezvous = &mut swarm.behaviour_mut().rendezvous;
    rendezvous.add_point(point, [address.clone()])?;
    let namespace = Namespace::new("my-app-dht")?;
    // These verbs do not wait: what becomes of them comes as events of the swarm.
    rendezvous.watch(&Scope::Namespace(namespace.clone()))?;
    rendezvous.register(Target::Every, namespace, RegisterOptions::default())?;
    Ok(swarm)
}

async fn run_until_registered(swarm: &mut Swarm<App>, point: PeerId) {
    loop {
        if let Some(AppEvent::Rendezvous(Event::Registered(grant))) = step(swarm, point).await {
            println!("registered in {} for {}", grant.namespace, grant.ttl);
            return;
        }
    }
}

/// Returns with the number of peers that `kad` knows, once one of them has answered it.
async fn run_until_bootstrapped(swarm: &mut Swarm<App>, point: PeerId) -> usize {
    loop {
        if let Some(AppEvent::Kad(kad::Event::OutboundQueryProgressed { stats, step, .. })) =
            step(swarm, point).await
            && step.last
            && stats.num_successes() > 0
        {
            let buckets = swarm.behaviour_mut().kad.kbuckets();
            return buckets.map(|bucket| bucket.num_entries()).sum();
        }
    }
}

/// Takes one event of the swarm, does with it what every application does, and returns it.
async fn step(swarm: &mut Swarm<App>, point: PeerId) -> Option<AppEvent> {
    match swarm.select_next_some().await {
        // The rendezvous client tells its siblings where a found peer is reached, if that is signed
        // by the peer itself. `kad` hears it from us. The point is no part of the DHT.
        SwarmEvent::NewExternalAddrOfPeer { peer_id, address } if peer_id != point => {
            println!("found {peer_id} at {address}");
            swarm.behaviour_mut().kad.add_address(&peer_id, address);
            None
        }
        SwarmEvent::Behaviour(event) => {
            if let AppEvent::Identify(identify::Event::Received { peer_id, info, .. }) = &event {
                let (agent, protocols) = (&info.agent_version, &info.protocols);
                let rendezvous = &mut swarm.behaviour_mut().rendezvous;
                rendezvous.on_identified(*peer_id, agent, protocols);
            }
            Some(event)
        }
        _ => None,
    }
}
