//! Two applications that meet at a rendezvous point, all three on this machine.
//!
//! `cargo run -p rv-client --example register_discover` prints what they see, and ends by itself.
//! To let them meet at another point, give its address.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rv_client::{Behaviour, Client, Config, Discovery, FindOptions, Namespace};

#[path = "common/point.rs"]
mod point;

/// What each application runs: the client is one behaviour among others.
#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    rendezvous: Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (point, address) = point::given_or_own().await?;
    println!("the point listens on {address}");
    let meeting = async {
        let first = start_app(point, &address)?;
        let second = start_app(point, &address)?;
        let namespace = Namespace::new("my-app")?;

        // From here on it stays registered until it unregisters.
        for grant in first.advertise(namespace.clone(), None).await? {
            println!("registered at {} for {}", grant.point, grant.ttl);
        }
        let mut peers = second.find_peers(namespace.clone(), FindOptions::default());
        while let Some(found) = peers.next().await {
            let found = found?;
            println!("found {} at {:?}", found.peer(), found.addresses());
        }
        first.unregister(namespace).await?;
        println!("unregistered");
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::time::timeout(Duration::from_secs(30), meeting).await?
}

/// Starts an application in a task of its own, and returns how the rest of it finds peers.
fn start_app(point: PeerId, address: &Multiaddr) -> Result<Discovery, Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| -> Result<App, Box<dyn Error + Send + Sync>> {
            let identify = identify::Config::new("/my-app/1.0.0".to_owned(), key.public());
            Ok(App {
                identify: identify::Behaviour::new(identify),
                rendezvous: Behaviour::new(key.clone(), Config::default())?,
            })
        })?
        .build();
    // What others may dial. Usually autonat finds it out.
    swarm.add_external_address("/ip4/203.0.113.7/tcp/4001".parse()?);
    let rendezvous = &mut swarm.behaviour_mut().rendezvous;
    rendezvous.add_point(point, [address.clone()])?;
    let client: Client = rendezvous.client();
    tokio::spawn(run(swarm));
    Ok(Discovery::new(client))
}

/// Drives the swarm. Nobody waits for a handle here: that would be to wait for oneself.
async fn run(mut swarm: Swarm<App>) {
    loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) = event
        {
            let rendezvous = &mut swarm.behaviour_mut().rendezvous;
            rendezvous.on_identified(peer_id, &info.agent_version, info.protocols);
        }
    }
}
