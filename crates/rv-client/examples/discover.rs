//! Finds peers at a rendezvous point: some quickly, then all of them.
//!
//! `cargo run -p rv-client --example discover` starts a point of its own, with two peers to find.
//! To look at another, give its address, as `rv serve` prints it:
//! `cargo run -p rv-client --example discover -- ADDRESS`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rv_client::{Behaviour, Config, Discovery, FindOptions, Namespace};

#[path = "common/others.rs"]
mod others;
#[path = "common/point.rs"]
mod point;

/// What the application runs: the client is one behaviour among others.
#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    rendezvous: Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (point, address) = point::given_or_own().await?;
    let namespace = Namespace::new("my-app")?;
    if std::env::args().len() == 1 {
        others::register(point, &address, namespace.clone()).await?;
        others::register(point, &address, namespace.clone()).await?;
    }
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let identify = identify::Config::new("/my-app/1.0.0".to_owned(), key.public());
            Ok(App {
                identify: identify::Behaviour::new(identify),
                rendezvous: Behaviour::new(key.clone(), Config::default())?,
            })
        })?
        .build();
    let rendezvous = &mut swarm.behaviour_mut().rendezvous;
    // More than one may be added: what they list is merged, and a dead one delays nobody.
    rendezvous.add_point(point, [address])?;
    let discovery = Discovery::new(rendezvous.client());
    tokio::spawn(run(swarm));

    tokio::time::timeout(Duration::from_secs(30), find(&discovery, namespace)).await?
}

async fn find(discovery: &Discovery, namespace: Namespace) -> Result<(), Box<dyn Error>> {
    // A stream of peers as they are found. The first to come may be of the cache.
    let options = FindOptions {
        limit: Some(1),
        ..FindOptions::default()
    };
    let mut peers = discovery.find_peers(namespace.clone(), options);
    while let Some(found) = peers.try_next().await? {
        println!("found {} at {:?}", found.peer(), found.addresses());
    }
    // Pages until the end, however many there are.
    let all = discovery.find_all_peers(namespace, |count| println!("listed {count} so far"));
    println!("there are {} peers", all.await?.peers.len());
    Ok(())
}

/// Drives the swarm. Nobody waits for a handle here: that would be to wait for oneself.
async fn run(mut swarm: Swarm<App>) {
    loop {
        // What a peer says about itself tells the client what a point speaks.
        if let SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) = swarm.select_next_some().await
        {
            let rendezvous = &mut swarm.behaviour_mut().rendezvous;
            rendezvous.on_identified(peer_id, &info.agent_version, info.protocols);
        }
    }
}
