//! A swarm with `rv-client`, as an application has it.

use anyhow::Result;
use futures::StreamExt as _;
use libp2p::{
    Swarm, SwarmBuilder, identify, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use rv_client::{Client, Config};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    rendezvous: rv_client::Behaviour,
}

/// Starts one under an identity of its own. It ends with the runtime.
pub(crate) fn start(config: Config) -> Result<Client> {
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
    Ok(client)
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
