//! The point that an example uses: a given one, or one that it starts for itself.

use std::env;
use std::error::Error;

use futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, yamux};
use rv_client::Ttl;

/// The point that the program's first argument names, by an address that ends in `/p2p/` and the
/// point's id; without an argument, one that runs in a task of this program.
pub(crate) async fn given_or_own() -> Result<(PeerId, Multiaddr), Box<dyn Error>> {
    let Some(given) = env::args().nth(1) else {
        return own().await;
    };
    let mut address: Multiaddr = given.parse()?;
    match address.pop() {
        Some(Protocol::P2p(point)) => Ok((point, address)),
        _ => Err("the address must end in /p2p/ and the peer id of the point".into()),
    }
}

async fn own() -> Result<(PeerId, Multiaddr), Box<dyn Error>> {
    let mut config = rv_server::Config::default();
    // So short that an example can show a refresh.
    config.rules.ttl_min = Ttl::from_secs(1)?;
    let behaviour = rv_server::Behaviour::in_memory(config, rv_server::random_epoch())?;
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|_| behaviour)?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let point = *swarm.local_peer_id();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    Ok((point, address))
}
