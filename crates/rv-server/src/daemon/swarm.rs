//! The swarm of a point: TCP, QUIC and WebSocket, identify and ping, and the bounds on connections.

use libp2p::connection_limits::ConnectionLimits;
use libp2p::core::Transport as _;
use libp2p::core::upgrade::Version;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{
    connection_limits, identify, memory_connection_limits, noise, ping, tcp, websocket, yamux,
};
use libp2p_identity::Keypair;

use super::config::ConnectionsConfig;
use super::{Config, DaemonError};
use crate::Behaviour;

/// The protocol version that identify announces: what go, rust and js nodes say.
const PROTOCOL_VERSION: &str = "/ipfs/id/1.0.0";

/// What the swarm does. The bounds come first: a connection that they refuse is shown to no other.
#[derive(NetworkBehaviour)]
pub(super) struct PointBehaviour {
    pub(super) limits: connection_limits::Behaviour,
    memory: Toggle<memory_connection_limits::Behaviour>,
    pub(super) rendezvous: Behaviour,
    pub(super) identify: identify::Behaviour,
    ping: ping::Behaviour,
}

impl PointBehaviour {
    fn new(config: &Config, rendezvous: Behaviour, keypair: &Keypair) -> Self {
        let memory_bytes_max = config.connections.memory_bytes_max;
        let memory = (memory_bytes_max > 0)
            .then(|| memory_connection_limits::Behaviour::with_max_bytes(memory_bytes_max));
        let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), keypair.public())
            .with_agent_version(concat!("rv/", env!("CARGO_PKG_VERSION")).to_owned())
            // A point never dials, so it need not remember where peers are.
            .with_cache_size(0);
        Self {
            limits: connection_limits::Behaviour::new(limits(&config.connections)),
            memory: Toggle::from(memory),
            rendezvous,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
        }
    }

    /// Refuses every connection from now on. Those that are established stay.
    pub(super) fn refuse_connections(&mut self) {
        *self.limits.limits_mut() = ConnectionLimits::default()
            .with_max_pending_incoming(Some(0))
            .with_max_pending_outgoing(Some(0));
    }
}

fn limits(config: &ConnectionsConfig) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(config.pending_inbound))
        .with_max_pending_outgoing(Some(0))
        .with_max_established_incoming(Some(config.total))
        .with_max_established_per_peer(Some(config.per_peer))
}

/// Assembles the swarm.
///
/// There is no DNS in it: a point never dials, and listens on addresses alone. So it starts on
/// machines without a resolver too.
pub(super) fn build(
    config: &Config,
    behaviour: Behaviour,
    keypair: Keypair,
) -> Result<Swarm<PointBehaviour>, DaemonError> {
    let noise = noise::Config::new(&keypair).map_err(|error| failed(error.into()))?;
    let websocket = websocket::Config::new(tcp::tokio::Transport::new(tcp::Config::default()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default());
    let behaviour = PointBehaviour::new(config, behaviour, &keypair);
    let builder = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|error| failed(error.into()))?
        .with_quic();
    let Ok(builder) = builder.with_other_transport(|_| websocket);
    let Ok(builder) = builder.with_behaviour(|_| behaviour);
    let idle_timeout = config.connections.idle_timeout;
    Ok(builder
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(idle_timeout))
        .build())
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> DaemonError {
    DaemonError::Transport(error)
}
