//! One connection: the FIND_NODEs that are out on it.

mod exchange;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p_core::upgrade::{DeniedUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p_swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedOutbound};
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError,
    SubstreamProtocol, SupportedProtocols,
};

use crate::output::{Failure, RequestId};
use crate::peer::Contact;

type Exchange = BoxFuture<'static, Result<Vec<Contact>, Failure>>;

/// Asks one peer, beside the handler of kad. It takes no inbound stream, and keeps a connection
/// open only while a request is out on it.
///
/// The behaviour gives it no more requests than the walk's budget allows in flight, and takes each
/// back when its time is up.
pub struct Handler {
    protocols: Arc<[StreamProtocol]>,
    answer_bytes_max: usize,
    /// No stream was asked for yet.
    waiting: VecDeque<(RequestId, Vec<u8>)>,
    /// A stream was asked for. One that comes for a request that is not here is dropped.
    opening: BTreeMap<RequestId, Vec<u8>>,
    active: BTreeMap<RequestId, Exchange>,
    announced: SupportedProtocols,
    /// Whether the peer announces kad; `None` while it announced nothing.
    is_serving: Option<bool>,
    events: VecDeque<FromHandler>,
}

/// What the behaviour tells the handler.
#[derive(Debug)]
pub enum ToHandler {
    /// Send a FIND_NODE for these bytes.
    Ask(RequestId, Vec<u8>),
    /// Nobody waits for it any more.
    Cancel(RequestId),
}

/// What the handler tells the behaviour.
#[derive(Debug)]
pub enum FromHandler {
    /// A request was answered with these contacts.
    Answered(RequestId, Vec<Contact>),
    /// A request was not answered.
    Failed(RequestId, Failure),
    /// The peer announces that it serves the DHT, or does not.
    Serving(bool),
}

impl Handler {
    pub(super) fn new(protocols: Arc<[StreamProtocol]>, answer_bytes_max: usize) -> Self {
        Self {
            protocols,
            answer_bytes_max,
            waiting: VecDeque::new(),
            opening: BTreeMap::new(),
            active: BTreeMap::new(),
            announced: SupportedProtocols::default(),
            is_serving: None,
            events: VecDeque::new(),
        }
    }

    fn opened(&mut self, id: RequestId, stream: Stream) {
        if let Some(key) = self.opening.remove(&id) {
            let exchange = exchange::ask(stream, key, self.answer_bytes_max);
            self.active.insert(id, exchange.boxed());
        }
    }

    fn not_opened(&mut self, id: RequestId, failure: Failure) {
        if self.opening.remove(&id).is_some() {
            self.events.push_back(FromHandler::Failed(id, failure));
        }
    }

    fn protocols_changed(&mut self) {
        let mut announced = self.announced.iter();
        let is_serving = Some(announced.any(|it| self.protocols.contains(it)));
        if self.is_serving != is_serving {
            self.is_serving = is_serving;
            let event = is_serving.map(FromHandler::Serving);
            self.events.extend(event);
        }
    }

    fn poll_active(&mut self, cx: &mut Context<'_>) {
        let events = &mut self.events;
        self.active.retain(|id, exchange| {
            let Poll::Ready(ended) = exchange.poll_unpin(cx) else {
                return true;
            };
            events.push_back(match ended {
                Ok(told) => FromHandler::Answered(*id, told),
                Err(failure) => FromHandler::Failed(*id, failure),
            });
            false
        });
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = FromHandler;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = RequestId;

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.waiting.is_empty() || !self.opening.is_empty() || !self.active.is_empty()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Protocols, RequestId, FromHandler>> {
        self.poll_active(cx);
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some((id, key)) = self.waiting.pop_front() {
            self.opening.insert(id, key);
            let protocols = Protocols(Arc::clone(&self.protocols));
            let protocol = SubstreamProtocol::new(protocols, id);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        match event {
            ToHandler::Ask(id, key) => self.waiting.push_back((id, key)),
            ToHandler::Cancel(id) => {
                self.waiting.retain(|(waiting, _)| *waiting != id);
                self.opening.remove(&id);
                self.active.remove(&id);
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, DeniedUpgrade, Protocols, (), RequestId>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => self.opened(info, protocol),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let failure = match error {
                    StreamUpgradeError::Timeout => Failure::TimedOut,
                    StreamUpgradeError::NegotiationFailed => Failure::NotServing,
                    StreamUpgradeError::Io(_) => Failure::Broken,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                self.not_opened(info, failure);
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                let is_changed = self.announced.on_protocols_change(change);
                if is_changed {
                    self.protocols_changed();
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("waiting", &self.waiting.len())
            .field("active", &self.active.len())
            .finish_non_exhaustive()
    }
}

/// The names under which peers are asked: those of the kad.
#[derive(Clone, Debug)]
pub struct Protocols(Arc<[StreamProtocol]>);

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        let names: Vec<_> = self.0.iter().cloned().collect();
        names.into_iter()
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
