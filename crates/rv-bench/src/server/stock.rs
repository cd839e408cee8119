//! The server of `libp2p-rendezvous` as published, assembled as its example does.

use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use libp2p::{
    SwarmBuilder, identify, noise, rendezvous,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

use super::{print_listening, stdin_ended};

/// Registrations that it takes, of one peer and in all: no limit that this benchmark reaches.
const REGISTRATIONS_MAX: usize = 2_000_000;

/// Connections that are idle between two measurements must live.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    rendezvous: rendezvous::server::Behaviour,
}

/// Serves on a free port of loopback until stdin ends.
#[tokio::main]
pub(crate) async fn run() -> Result<()> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new(
                "rendezvous-example/1.0.0".to_owned(),
                key.public(),
            )),
            rendezvous: rendezvous::server::Behaviour::new(
                rendezvous::server::Config::default()
                    .with_max_registration_per_peer(REGISTRATIONS_MAX)
                    .with_max_registration_total(REGISTRATIONS_MAX),
            ),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let peer = *swarm.local_peer_id();
    let ended = stdin_ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::NewListenAddr { address, .. } = event {
                    print_listening(&address, peer)?;
                }
            }
            () = &mut ended => return Ok(()),
        }
    }
}
