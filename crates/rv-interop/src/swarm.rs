//! Swarms over every transport that a point serves.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::core::Transport as _;
use libp2p::core::transport::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, websocket, yamux};

use crate::within;

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// TCP, noise and yamux.
    Tcp,
    /// QUIC.
    Quic,
    /// WebSocket over TCP, noise and yamux.
    WebSocket,
}

impl Via {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Quic, Self::WebSocket];

    /// Where to listen, on a port that the system chooses.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn listen_address(self) -> Multiaddr {
        let text = match self {
            Self::Tcp => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
            Self::WebSocket => "/ip4/127.0.0.1/tcp/0/ws",
        };
        text.parse().expect("the address is one")
    }
}

/// A swarm with all transports and no address.
///
/// # Panics
///
/// If a transport cannot be made of `key`.
pub fn new_swarm<B: NetworkBehaviour>(key: &Keypair, behaviour: B) -> Swarm<B> {
    const IDLE_TIMEOUT: Duration = Duration::from_secs(300); // tests are shorter
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("noise takes the key")
        .with_quic()
        .with_other_transport(|key| {
            let noise = noise::Config::new(key).expect("noise takes the key");
            websocket::Config::new(tcp::tokio::Transport::default())
                .upgrade(Version::V1)
                .authenticate(noise)
                .multiplex(yamux::Config::default())
        })
        .expect("websocket needs nothing")
        .with_behaviour(|_| behaviour)
        .expect("the behaviour is there")
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
        .build()
}

/// Listens on loopback, and tells where, with the peer id at the end.
///
/// # Panics
///
/// If it cannot.
pub(crate) async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, via: Via) -> Multiaddr {
    swarm
        .listen_on(via.listen_address())
        .expect("loopback can be listened on");
    let address = within("listen address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    })
    .await;
    address.with(Protocol::P2p(*swarm.local_peer_id()))
}

/// Dials `address`, which ends with a peer id, and waits until the connection stands.
///
/// # Panics
///
/// If nobody, or somebody else, is there.
pub async fn connect<B: NetworkBehaviour>(swarm: &mut Swarm<B>, address: &Multiaddr) -> PeerId {
    swarm
        .dial(address.clone())
        .expect("the address can be dialled");
    within("connection", async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => return peer_id,
                SwarmEvent::OutgoingConnectionError { error, .. } => {
                    panic!("not connected: {error}")
                }
                _ => {}
            }
        }
    })
    .await
}

/// The peer id at the end of an address.
///
/// # Panics
///
/// If there is none.
pub(crate) fn peer_of(address: &Multiaddr) -> PeerId {
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        panic!("{address} names no peer");
    };
    peer
}
