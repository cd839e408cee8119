//! A rendezvous point inside an application's own swarm, and a stock client that uses it.
//!
//! `cargo run -p rv-server --example embed` prints what both see, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, rendezvous, tcp, yamux};
use rv_server::{Behaviour, Config, random_epoch};

/// What the application runs: the point is one behaviour among others.
#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    rendezvous: Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut point = SwarmBuilder::with_new_identity()
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
                rendezvous: Behaviour::in_memory(Config::default(), random_epoch())?,
            })
        })?
        .build();
    point.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = point.select_next_some().await {
            break address;
        }
    };
    println!("the point listens on {address}");
    let point_id = *point.local_peer_id();
    let client = use_point(point_id, address);
    let serve = async {
        loop {
            if let SwarmEvent::Behaviour(AppEvent::Rendezvous(event)) =
                point.select_next_some().await
            {
                println!("the point saw {:?}", event.report);
            }
        }
    };
    tokio::select! {
        done = tokio::time::timeout(Duration::from_secs(30), client) => done??,
        () = serve => {}
    }
    Ok(())
}

/// Registers with the client of `libp2p-rendezvous` and discovers itself.
async fn use_point(point: PeerId, address: Multiaddr) -> Result<(), Box<dyn Error>> {
    let mut swarm: Swarm<rendezvous::client::Behaviour> = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| rendezvous::client::Behaviour::new(key.clone()))?
        .build();
    let namespace = rendezvous::Namespace::from_static("my-app");
    swarm.add_external_address("/ip4/203.0.113.7/tcp/4001".parse()?);
    swarm.dial(address.with(Protocol::P2p(point)))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => {
                swarm
                    .behaviour_mut()
                    .register(namespace.clone(), point, None)?;
            }
            SwarmEvent::Behaviour(rendezvous::client::Event::Registered { ttl, .. }) => {
                println!("the client is registered for {ttl} s");
                swarm
                    .behaviour_mut()
                    .discover(Some(namespace.clone()), None, None, point);
            }
            SwarmEvent::Behaviour(rendezvous::client::Event::Discovered {
                registrations, ..
            }) => {
                for registration in registrations {
                    println!("the client found {}", registration.record.peer_id());
                }
                return Ok(());
            }
            SwarmEvent::Behaviour(event) => return Err(format!("{event:?}").into()),
            _ => {}
        }
    }
}
