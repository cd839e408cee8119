//! The client of `libp2p-rendezvous`, unmodified.

use std::error::Error;

use futures::StreamExt as _;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, SwarmBuilder, multiaddr, noise, rendezvous, tcp, yamux};

/// Registers a fresh peer in `my-app` at the point with this address, which ends in `/p2p/` and the
/// point's id, and lists who is there.
pub(crate) async fn register_and_discover(address: Multiaddr) -> Result<(), Box<dyn Error>> {
    let Some(multiaddr::Protocol::P2p(point)) = address.iter().last() else {
        return Err("the address must end in /p2p/ and the peer id of the point".into());
    };
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_quic()
        .with_behaviour(|key| rendezvous::client::Behaviour::new(key.clone()))?
        .build();
    let namespace = rendezvous::Namespace::from_static("my-app");
    // Where others would reach this peer. A real program learns it from identify or AutoNAT.
    swarm.add_external_address("/ip4/203.0.113.7/tcp/4001".parse()?);
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => {
                swarm
                    .behaviour_mut()
                    .register(namespace.clone(), point, None)?;
            }
            SwarmEvent::Behaviour(rendezvous::client::Event::Registered { ttl, .. }) => {
                println!("registered {} for {ttl} s", swarm.local_peer_id());
                swarm
                    .behaviour_mut()
                    .discover(Some(namespace.clone()), None, None, point);
            }
            SwarmEvent::Behaviour(rendezvous::client::Event::Discovered {
                registrations, ..
            }) => {
                for registration in registrations {
                    let record = &registration.record;
                    println!("found {} at {:?}", record.peer_id(), record.addresses());
                }
                return Ok(());
            }
            SwarmEvent::Behaviour(event) => return Err(format!("{event:?}").into()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}
