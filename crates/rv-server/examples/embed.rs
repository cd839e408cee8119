//! A rendezvous point inside an application's own swarm, and a stock client that uses it.
//!
//! `cargo run -p rv-server --example embed` prints what both see, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{SwarmBuilder, identify, noise, tcp, yamux};
use rv_server::{Behaviour, Config, random_epoch};

#[path = "common/stock.rs"]
mod stock;

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
            break address.with(Protocol::P2p(*point.local_peer_id()));
        }
    };
    println!("the point listens on {address}");
    let client = stock::register_and_discover(address);
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
