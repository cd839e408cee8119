//! Points of the tests' own: one that says anything, and the stock one.

use std::convert::Infallible;
use std::io;
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, InboundUpgrade};
use libp2p::identity::Keypair;
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, SubstreamProtocol, SwarmEvent, THandlerInEvent,
    ToSwarm,
};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identify, noise, rendezvous, tcp, yamux};
use tokio::task::JoinHandle;

use super::{Address, within};

/// A point in a task, which ends when this is dropped.
pub(crate) struct Point {
    pub(crate) address: Address,
    task: JoinHandle<()>,
}

impl Point {
    /// Answers whatever it is asked with these bytes.
    pub(crate) async fn says(answer: &[u8]) -> Self {
        Self::start(|_| Says(Arc::from(answer))).await
    }

    /// The published server of rust-libp2p.
    pub(crate) async fn stock() -> Self {
        Self::start(|key| {
            let config = rendezvous::server::Config::default();
            let identify = identify::Config::new("/test/1.0.0".to_owned(), key.public());
            Stock {
                rendezvous: rendezvous::server::Behaviour::new(config),
                identify: identify::Behaviour::new(identify),
            }
        })
        .await
    }

    async fn start<B: NetworkBehaviour + Send>(behaviour: impl FnOnce(&Keypair) -> B) -> Self {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .expect("a noise key")
            .with_behaviour(behaviour)
            .expect("a behaviour")
            .build();
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr");
        swarm.listen_on(listen).expect("TCP is there");
        let address = within("address", async {
            loop {
                if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                    return address;
                }
            }
        });
        let address = address.await;
        let peer = *swarm.local_peer_id();
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            address: Address { peer, address },
            task,
        }
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(NetworkBehaviour)]
struct Stock {
    rendezvous: rendezvous::server::Behaviour,
    identify: identify::Behaviour,
}

/// Writes the same to each stream, and closes it.
#[derive(Clone)]
struct Says(Arc<[u8]>);

impl UpgradeInfo for Says {
    type Info = StreamProtocol;
    type InfoIter = iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once(StreamProtocol::new("/rendezvous/1.0.0"))
    }
}

impl InboundUpgrade<Stream> for Says {
    type Output = ();
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<()>>;

    fn upgrade_inbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
        Box::pin(async move {
            // The beginning of a request is enough to know that there is one.
            stream.read_exact(&mut [0; 1]).await?;
            stream.write_all(&self.0).await?;
            stream.close().await
        })
    }
}

impl NetworkBehaviour for Says {
    type ConnectionHandler = Self;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Self, ConnectionDenied> {
        Ok(self.clone())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Self, ConnectionDenied> {
        Ok(self.clone())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

impl ConnectionHandler for Says {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Self;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self> {
        SubstreamProtocol::new(self.clone(), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, _: ConnectionEvent<'_, Self, DeniedUpgrade>) {}
}
