//! Peers to be found, so that an example that starts its own point does not look in vain.

use std::error::Error;

use futures::StreamExt as _;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, yamux};
use rv_client::{Behaviour, Config, Namespace, RegisterOptions};

/// Registers a peer at the point. It stays so for as long as this program runs.
pub(crate) async fn register(
    point: PeerId,
    address: &Multiaddr,
    namespace: Namespace,
) -> Result<(), Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| Ok(Behaviour::new(key.clone(), Config::default())?))?
        .build();
    swarm.add_external_address("/ip4/203.0.113.7/tcp/4001".parse()?);
    swarm.behaviour_mut().add_point(point, [address.clone()])?;
    let client = swarm.behaviour().client();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    client
        .register(namespace, RegisterOptions::default())
        .await?;
    Ok(())
}
