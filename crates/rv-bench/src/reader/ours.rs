//! The listing by `rv-client`.

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use libp2p::{
    Swarm, SwarmBuilder, identify, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use rv_client::{Config, Discovery};
use rv_proto::Namespace;

use super::{Reading, Start};
use crate::client::{NAMESPACE, Server};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    rendezvous: rv_client::Behaviour,
}

pub(super) async fn list(server: &Server, page_entries: u32) -> Result<Reading> {
    let mut config = Config::default();
    config.client.page_entries = usize::try_from(page_entries)?;
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let identify = identify::Config::new("rv-bench/1.0.0".to_owned(), key.public());
            Ok(Behaviour {
                identify: identify::Behaviour::new(identify),
                rendezvous: rv_client::Behaviour::new(key.clone(), config)?,
            })
        })?
        .build();
    let client = swarm.behaviour_mut().rendezvous.client();
    tokio::spawn(drive(swarm));

    let start = Start::now()?;
    client
        .add_point(server.peer, [server.address.clone()])
        .await?;
    let namespace = Namespace::new(NAMESPACE)?;
    let found = Discovery::new(client)
        .find_all_peers(namespace, |_| {})
        .await?;
    let requests = found.points.iter().map(|it| it.pages).sum();
    let reading = start.reading(requests, found.peers.iter().map(|it| it.peer()))?;
    ensure!(found.points.iter().all(|it| it.cause.is_none()), "cut");
    ensure!(found.peers.iter().all(|it| it.is_verified()), "unverified");
    Ok(reading)
}

async fn drive(mut swarm: Swarm<Behaviour>) {
    loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
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
