//! A point that does on each stream what the test says.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::identity::Keypair;
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, SubstreamProtocol, THandlerInEvent, ToSwarm,
};
use rv_client::PROTOCOL;
use rv_client::rv_proto::{Request, Response, decode_frame, encode_frame};
use tokio::sync::mpsc;

use crate::support::{Node, Point, loopback, within};

/// Hands each stream that is opened to the test.
#[derive(Clone)]
pub(crate) struct Streams(mpsc::Sender<Stream>);

/// A point, and the streams that are opened to it.
pub(crate) struct RawPoint {
    _node: Node<Streams>,
    pub(crate) at: (PeerId, Multiaddr),
    streams: mpsc::Receiver<Stream>,
}

/// One stream, from the point's side.
pub(crate) struct RawStream {
    io: Stream,
    inbound: BytesMut,
}

impl RawPoint {
    pub(crate) async fn start() -> Self {
        let (sender, streams) = mpsc::channel(16);
        let key = Keypair::generate_ed25519();
        let point = Point::start(&key, Streams(sender), loopback()).await;
        Self {
            at: (point.peer(), point.address.clone()),
            _node: point.node,
            streams,
        }
    }

    /// The next stream that the client opens.
    pub(crate) async fn accept(&mut self) -> RawStream {
        let stream = within("stream", self.next_stream()).await;
        stream.expect("the point runs")
    }

    /// The next stream, however long it takes; `None` once the point is gone.
    pub(crate) async fn next_stream(&mut self) -> Option<RawStream> {
        let io = self.streams.recv().await?;
        let inbound = BytesMut::new();
        Some(RawStream { io, inbound })
    }
}

impl RawStream {
    /// The next request.
    pub(crate) async fn request(&mut self) -> Request {
        let request = within("request", self.next_request()).await;
        request.expect("the client closed the stream")
    }

    /// The next request, however long it takes; `None` once the client ended the stream.
    pub(crate) async fn next_request(&mut self) -> Option<Request> {
        loop {
            if let Some(payload) = decode_frame(&mut self.inbound, 16_384).expect("a frame") {
                return Some(Request::decode(payload).expect("a request"));
            }
            let mut chunk = [0; 4_096];
            let count = self.io.read(&mut chunk).await.ok()?;
            if count == 0 {
                return None;
            }
            self.inbound.extend_from_slice(&chunk[..count]);
        }
    }

    pub(crate) async fn answer(&mut self, response: &Response) {
        self.write(&encode_frame(&response.encode())).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let is_written = within("room to write", self.try_write(bytes)).await;
        assert!(is_written, "the client ended the stream");
    }

    /// Writes as long as the client takes it. Returns whether it took all.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        let written = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        written.await.is_ok()
    }

    /// Ends the point's side of the stream.
    pub(crate) async fn close(&mut self) {
        // The client may have been quicker.
        let _ = self.io.close().await;
    }

    /// Waits until the client ends the stream.
    pub(crate) async fn ended(&mut self) {
        let read = within("end", self.io.read(&mut [0; 64])).await;
        assert_eq!(read.unwrap_or(0), 0, "the client goes on");
    }
}

impl NetworkBehaviour for Streams {
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

impl ConnectionHandler for Streams {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
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

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, ReadyUpgrade<StreamProtocol>, DeniedUpgrade>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(opened) = event {
            assert!(self.0.try_send(opened.protocol).is_ok(), "too many streams");
        }
    }
}
