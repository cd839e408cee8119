//! The listing by the client of `libp2p-rendezvous` as published, which verifies each record where
//! it decodes a page.

use anyhow::{Result, bail};
use futures::StreamExt as _;
use libp2p::{
    SwarmBuilder, identify,
    multiaddr::Protocol,
    noise,
    rendezvous::{Namespace, Registration, client},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

use super::{Reading, Start};
use crate::client::{NAMESPACE, Server};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    rendezvous: client::Behaviour,
}

pub(super) async fn list(server: &Server, page_entries: u32) -> Result<Reading> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let identify = identify::Config::new("rv-bench/1.0.0".to_owned(), key.public());
            Behaviour {
                identify: identify::Behaviour::new(identify),
                rendezvous: client::Behaviour::new(key.clone()),
            }
        })?
        .build();
    let namespace = Namespace::from_static(NAMESPACE);
    // Without a limit a stock server answers with everything at once, which no stock client reads
    // above 1 MiB.
    let limit = Some(u64::from(page_entries));

    let start = Start::now()?;
    swarm.dial(server.address.clone().with(Protocol::P2p(server.peer)))?;
    let (mut found, mut requests) = (Vec::new(), 0);
    loop {
        let cookie = match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => None,
            SwarmEvent::Behaviour(BehaviourEvent::Rendezvous(client::Event::Discovered {
                registrations,
                cookie,
                ..
            })) => {
                if registrations.is_empty() {
                    let peers = found.iter().map(|it: &Registration| it.record.peer_id());
                    return start.reading(requests, peers);
                }
                found.extend(registrations);
                Some(cookie)
            }
            SwarmEvent::Behaviour(BehaviourEvent::Rendezvous(event)) => bail!("{event:?}"),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => continue,
        };
        requests += 1;
        let scope = Some(namespace.clone());
        let rendezvous = &mut swarm.behaviour_mut().rendezvous;
        rendezvous.discover(scope, cookie, limit, server.peer);
    }
}
