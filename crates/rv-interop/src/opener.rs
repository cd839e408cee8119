//! A behaviour that opens streams and hands them out as they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, SubstreamProtocol, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};

/// A stream that is wanted, and who waits for it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) protocol: StreamProtocol,
    pub(crate) reply: oneshot::Sender<Result<Stream, String>>,
}

#[derive(Debug)]
pub(crate) struct Opener {
    peer: PeerId,
    wanted: mpsc::Receiver<Opening>,
}

impl Opener {
    pub(crate) fn new(peer: PeerId, wanted: mpsc::Receiver<Opening>) -> Self {
        Self { peer, wanted }
    }
}

impl NetworkBehaviour for Opener {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        let Poll::Ready(Some(event)) = self.wanted.poll_next_unpin(cx) else {
            return Poll::Pending;
        };
        Poll::Ready(ToSwarm::NotifyHandler {
            peer_id: self.peer,
            handler: NotifyHandler::Any,
            event,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Handler {
    openings: VecDeque<Opening>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Opening;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = oneshot::Sender<Result<Stream, String>>;

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Infallible>>
    {
        let Some(Opening { protocol, reply }) = self.openings.pop_front() else {
            return Poll::Pending;
        };
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(protocol), reply);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, opening: Opening) {
        self.openings.push_back(opening);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            (),
            Self::OutboundOpenInfo,
        >,
    ) {
        // Nobody waits any more if sending fails.
        if let ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
            protocol: stream,
            info: reply,
        }) = event
        {
            let _ = reply.send(Ok(stream));
        } else if let ConnectionEvent::DialUpgradeError(DialUpgradeError { info: reply, error }) =
            event
        {
            let _ = reply.send(Err(error.to_string()));
        }
    }
}
