//! Stays registered at a rendezvous point, and shows the first refresh.
//!
//! `cargo run -p rv-client --example register` starts a point of its own. To use another, give its
//! address, as `rv serve` prints it, and for how many seconds to register:
//! `cargo run -p rv-client --example register -- ADDRESS 120`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rv_client::{Behaviour, Config, Event, Grant, Namespace, RegisterOptions, Ttl};
use tokio::sync::mpsc;

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
    let ttl_secs = std::env::args().nth(2).map_or(Ok(2), |secs| secs.parse())?;
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
    // What others may dial: this is what gets registered. Usually autonat finds it out, and when
    // it changes, it is registered anew.
    swarm.add_external_address("/ip4/203.0.113.7/tcp/4001".parse()?);
    let rendezvous = &mut swarm.behaviour_mut().rendezvous;
    rendezvous.add_point(point, [address])?;
    let client = rendezvous.client();

    let (grants, mut granted) = mpsc::channel(16);
    tokio::spawn(run(swarm, grants));

    let namespace = Namespace::new("my-app")?;
    let options = RegisterOptions {
        ttl: Some(Ttl::from_secs(ttl_secs)?),
        ..RegisterOptions::default()
    };
    // It returns when the point has granted it. The rest of the application goes on; to refresh is
    // the behaviour's work, until `unregister`.
    let first = client.register(namespace.clone(), options).await?;
    println!("registered at {point} for {}", first[0].ttl);

    let bound = Duration::from_secs(ttl_secs + 30);
    let refreshed = tokio::time::timeout(bound, async {
        granted.recv().await; // the first one, which `register` told already
        granted.recv().await
    });
    let refreshed = refreshed.await?.ok_or("the swarm has ended")?;
    println!("refreshed in {} for {}", refreshed.namespace, refreshed.ttl);

    // Without it others would find us until the ttl is over.
    client.unregister(namespace).await?;
    println!("unregistered");
    Ok(())
}

/// Drives the swarm. Nobody waits for a handle here: that would be to wait for oneself.
async fn run(mut swarm: Swarm<App>, grants: mpsc::Sender<Grant>) {
    loop {
        match swarm.select_next_some().await {
            // What a peer says about itself tells the client what a point speaks.
            SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                let rendezvous = &mut swarm.behaviour_mut().rendezvous;
                rendezvous.on_identified(peer_id, &info.agent_version, info.protocols);
            }
            SwarmEvent::Behaviour(AppEvent::Rendezvous(Event::Registered(grant))) => {
                let _ = grants.try_send(grant);
            }
            // It is tried again by itself: this is for a log.
            SwarmEvent::Behaviour(AppEvent::Rendezvous(Event::RegistrationFailed {
                point,
                cause,
                ..
            })) => println!("{point}: {cause}"),
            _ => {}
        }
    }
}
