//! A rendezvous point inside an application's own swarm, and a stock client that uses it.
//!
//! The point serves peers of several dialects, and most of them fail a whole list over one entry
//! of another. What identify says tells which one a peer reads, but the swarm tells it to nobody
//! but the application: so this one hands it on.
//!
//! `cargo run -p rv-server --example embed` prints what both see, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{SwarmBuilder, identify, noise, tcp, yamux};
use rv_server::rv_core::Rules;
use rv_server::rv_proto::{Dialect, classify};
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
            let mut config = Config::default();
            // Who is unknown is answered when identify has said who it is, or after this.
            config.rules.identify_wait = Rules::IDENTIFY_WAIT_MAX;
            Ok(App {
                identify: identify::Behaviour::new(identify),
                rendezvous: Behaviour::in_memory(config, random_epoch())?,
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
            match point.select_next_some().await {
                SwarmEvent::Behaviour(AppEvent::Rendezvous(event)) => {
                    println!("the point saw {:?}", event.report);
                }
                SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
                    peer_id,
                    info,
                    ..
                })) => {
                    let record = record_dialect(&info);
                    let rendezvous = &mut point.behaviour_mut().rendezvous;
                    rendezvous.on_identified(peer_id, &info.agent_version, record);
                }
                _ => {}
            }
        }
    };
    tokio::select! {
        done = tokio::time::timeout(Duration::from_secs(30), client) => done??,
        () = serve => {}
    }
    Ok(())
}

/// The dialect of the signed record that a peer may send in identify.
fn record_dialect(info: &identify::Info) -> Option<Dialect> {
    let record = info.signed_peer_record.clone()?;
    classify(&record.into_protobuf_encoding()).ok()
}
