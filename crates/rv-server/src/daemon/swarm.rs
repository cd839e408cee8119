//! The swarm of a point: TCP, QUIC and WebSocket, identify and ping, and the bounds on connections.

use libp2p::connection_limits::ConnectionLimits;
use libp2p::core::Transport as _;
use libp2p::core::upgrade::Version;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{connection_limits, identify, memory_connection_limits, noise, ping, tcp};
use libp2p_identity::Keypair;

use super::config::ConnectionsConfig;
use super::{Config, DaemonError, transport};
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
        let memory = memory_limit(config.connections.memory_bytes_max);
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

    /// Refuses every connection from now on, also those that are being set up. Those that are
    /// established stay: limits are asked about new ones alone.
    pub(super) fn refuse_connections(&mut self) {
        *self.limits.limits_mut() = ConnectionLimits::default()
            .with_max_pending_incoming(Some(0))
            .with_max_pending_outgoing(Some(0))
            .with_max_established(Some(0));
    }
}

/// The part of the machine's memory above which connections are refused by default. The rest is
/// for the system, and for what the connections that are there may still ask.
const MEMORY_PART_MAX: f64 = 0.8;

/// Refuses connections above so many bytes of memory; 0 is [`MEMORY_PART_MAX`].
fn memory_limit(bytes_max: usize) -> Option<memory_connection_limits::Behaviour> {
    if bytes_max > 0 {
        return Some(memory_connection_limits::Behaviour::with_max_bytes(
            bytes_max,
        ));
    }
    let limit = memory_connection_limits::Behaviour::with_max_percentage(MEMORY_PART_MAX);
    if limit.max_allowed_bytes() == 0 {
        tracing::warn!("this system does not tell how much memory it has: set memory_bytes_max");
        return None;
    }
    Some(limit)
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
    let streams = config.streams.streams_per_connection;
    let noise = noise::Config::new(&keypair).map_err(|error| failed(error.into()))?;
    let websocket = transport::websocket()
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(transport::yamux());
    let behaviour = PointBehaviour::new(config, behaviour, &keypair);
    let builder = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, transport::yamux)
        .map_err(|error| failed(error.into()))?
        .with_quic_config(|quic| transport::quic(quic, streams));
    let Ok(builder) = builder.with_other_transport(|_| websocket);
    let Ok(builder) = builder.with_behaviour(|_| behaviour);
    let idle_timeout = config.connections.idle_timeout;
    Ok(builder
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(idle_timeout)
                .with_max_negotiating_inbound_streams(transport::NEGOTIATING_STREAMS_MAX)
        })
        .build())
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> DaemonError {
    DaemonError::Transport(error)
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::{ConnectionId, NetworkBehaviour as _};
    use libp2p::{Multiaddr, PeerId};
    use rv_proto::Epoch;

    use super::*;

    fn behaviour() -> PointBehaviour {
        let rendezvous = Behaviour::in_memory(crate::Config::default(), Epoch::from_bits(1));
        PointBehaviour::new(
            &Config::default(),
            rendezvous.expect("the default is valid"),
            &Keypair::generate_ed25519(),
        )
    }

    #[tokio::test]
    async fn a_stop_refuses_also_what_is_being_set_up() {
        let mut point = behaviour();
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr");
        let ids = [1, 2, 3].map(ConnectionId::new_unchecked);
        for id in &ids[..2] {
            point
                .handle_pending_inbound_connection(*id, &address, &address)
                .expect("below every limit");
        }
        let establish = |point: &mut PointBehaviour, id: ConnectionId| {
            let peer = PeerId::random();
            point
                .handle_established_inbound_connection(id, peer, &address, &address)
                .is_ok()
        };
        assert!(establish(&mut point, ids[0]));
        point.refuse_connections();
        assert!(!establish(&mut point, ids[1]), "half of its setup was done");
        point
            .handle_pending_inbound_connection(ids[2], &address, &address)
            .expect_err("a new one");
    }

    #[test]
    fn no_limit_of_memory_is_a_part_of_the_machine() {
        let machine = memory_connection_limits::Behaviour::with_max_percentage(1.0);
        let machine = machine.max_allowed_bytes();
        let limit = memory_limit(0).expect("this machine tells its memory");
        assert!(limit.max_allowed_bytes() < machine);
        assert!(limit.max_allowed_bytes() > machine / 4 * 3);
        assert_eq!(
            memory_limit(7).map(|limit| limit.max_allowed_bytes()),
            Some(7)
        );
    }
}
