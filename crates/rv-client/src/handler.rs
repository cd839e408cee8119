//! One connection: the requests that are out on it, and the stream that waits for more.

mod exchange;
mod subscription;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{AsyncRead as _, FutureExt as _};
use futures_timer::Delay;
use libp2p_core::upgrade::{DeniedUpgrade, ProtocolError};
use libp2p_identity::PeerId;
use libp2p_swarm::handler::{ConnectionEvent, DialUpgradeError, ProtocolsChange};
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError,
    SubstreamProtocol,
};
use rv_core::client::{Breach, Checked, Failure, Pushed, RequestId, Wanted};
use rv_proto::EXTENSION_PROTOCOL;

use crate::Config;
use exchange::{End, Exchange};
use subscription::Subscription;
use upgrade::Protocols;

/// Asks one point, in the connection's own task. It takes no inbound stream.
pub struct Handler {
    local: PeerId,
    config: Arc<Config>,
    /// Wait for a stream of their own.
    waiting: VecDeque<(RequestId, Message)>,
    /// Streams that were asked for and are not there yet.
    opening: usize,
    active: BTreeMap<RequestId, Exchange>,
    subscriptions: BTreeMap<RequestId, Subscription>,
    idle: Option<Idle>,
    /// Whether nothing is asked any more, so that no stream is kept for later.
    is_released: bool,
    protocols: BTreeSet<String>,
    /// A stream was offered under the extension's name, and the point took another.
    lacks_extension: bool,
    events: VecDeque<FromHandler>,
}

/// A stream that the point left open.
struct Idle {
    stream: Stream,
    is_extended: bool,
    until: Delay,
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// What its answer is compared with.
    pub(crate) wanted: Wanted,
    /// Its bytes, with their length in front.
    pub(crate) frame: Bytes,
    /// The same request for a stream under the extension's name, where that says more.
    pub(crate) extended: Option<Bytes>,
    /// It was written to a stream that then ended.
    pub(crate) may_be_read: bool,
}

/// What the behaviour tells the handler.
#[derive(Debug)]
pub enum ToHandler {
    /// Nobody waits for it any more.
    Cancel(RequestId),
    /// Nothing more will be asked.
    Release,
    /// Send it.
    Send(RequestId, Message),
}

/// What the handler tells the behaviour.
#[derive(Debug)]
pub enum FromHandler {
    /// The rendezvous protocols that the point announced, or took for a stream.
    Announced(Vec<String>),
    /// A request was answered.
    Answered(RequestId, Checked),
    /// A request was not answered.
    Failed(RequestId, Failure),
    /// Something came for a subscription.
    Pushed(RequestId, Pushed),
    /// An UNREGISTER is written.
    Written(RequestId),
}

impl Handler {
    pub(crate) const fn new(local: PeerId, config: Arc<Config>) -> Self {
        Self {
            local,
            config,
            waiting: VecDeque::new(),
            opening: 0,
            active: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            idle: None,
            is_released: false,
            protocols: BTreeSet::new(),
            lacks_extension: false,
            events: VecDeque::new(),
        }
    }

    fn send(&mut self, id: RequestId, message: Message) {
        self.is_released = false;
        // Whether an UNREGISTER was read shows only on a stream that is closed after it, and the
        // stream of a subscription carries nothing else.
        let needs_own = match message.wanted {
            Wanted::Subscribe { .. } | Wanted::Unregister { .. } => true,
            Wanted::Discover { .. } | Wanted::Register { .. } => false,
        };
        match self.idle.take_if(|_| !needs_own) {
            Some(idle) => self.start(id, Exchange::new(idle.stream, message, idle.is_extended)),
            None => self.waiting.push_back((id, message)),
        }
    }

    fn start(&mut self, id: RequestId, exchange: Exchange) {
        self.active.insert(id, exchange);
    }

    fn cancel(&mut self, id: RequestId) {
        self.active.remove(&id);
        self.subscriptions.remove(&id);
        self.waiting.retain(|(waiting, _)| *waiting != id);
    }

    fn keep(&mut self, stream: Stream, is_extended: bool) {
        if self.is_released {
            return;
        }
        let until = Delay::new(self.config.stream_idle_timeout);
        self.idle = Some(Idle {
            stream,
            is_extended,
            until,
        });
    }

    fn opened(&mut self, stream: Stream, name: &StreamProtocol) {
        self.opening = self.opening.saturating_sub(1);
        let is_extended = *name == EXTENSION_PROTOCOL;
        self.lacks_extension = !is_extended;
        // Before the answer, so that it is read as one of such a point.
        if self.protocols.insert(name.to_string()) {
            self.announce();
        }
        match self.waiting.pop_front() {
            Some((id, message)) if matches!(message.wanted, Wanted::Subscribe { .. }) => {
                self.subscriptions
                    .insert(id, Subscription::new(stream, message));
            }
            Some((id, message)) => {
                self.start(id, Exchange::new(stream, message, is_extended).on_fresh());
            }
            // What it was for is cancelled.
            None => self.keep(stream, is_extended),
        }
    }

    fn announce(&mut self) {
        let all = self.protocols.iter().cloned().collect();
        self.events.push_back(FromHandler::Announced(all));
    }

    fn not_opened(&mut self, failure: Failure) {
        self.opening = self.opening.saturating_sub(1);
        if self.waiting.len() > self.opening
            && let Some((id, message)) = self.waiting.pop_front()
        {
            let failure = match failure {
                Failure::Unreachable if message.may_be_read => Failure::ConnectionLost,
                failure => failure,
            };
            self.events.push_back(FromHandler::Failed(id, failure));
        }
    }

    fn poll_active(&mut self, cx: &mut Context<'_>) {
        let mut ended = Vec::new();
        for (id, exchange) in &mut self.active {
            if let Poll::Ready(end) = exchange.poll(cx, &self.config) {
                ended.push((*id, end));
            }
        }
        for (id, end) in ended {
            if let Some(exchange) = self.active.remove(&id) {
                self.ended(id, exchange, end);
            }
        }
    }

    /// Takes in what subscriptions bring, one thing of each at a time: what the behaviour has not
    /// taken stays with the point.
    fn poll_subscriptions(&mut self, cx: &mut Context<'_>) {
        if !self.events.is_empty() {
            return;
        }
        let unwanted = (!self.config.client.lists_own).then_some(&self.local);
        let mut ended = Vec::new();
        for (id, subscription) in &mut self.subscriptions {
            let event = match subscription.poll(cx, &self.config, unwanted) {
                Poll::Ready(Ok(pushed)) => {
                    if pushed.is_end() {
                        ended.push(*id);
                    }
                    FromHandler::Pushed(*id, pushed)
                }
                Poll::Ready(Err(failure)) => {
                    ended.push(*id);
                    FromHandler::Failed(*id, failure)
                }
                Poll::Pending => continue,
            };
            self.events.push_back(event);
        }
        for id in ended {
            self.subscriptions.remove(&id);
        }
    }

    fn ended(&mut self, id: RequestId, exchange: Exchange, end: End) {
        let event = match end {
            End::Answered { response, stream } => {
                if let Some(stream) = stream {
                    self.keep(stream, exchange.is_extended);
                }
                let wanted = &exchange.message.wanted;
                let unwanted = (!self.config.client.lists_own).then_some(&self.local);
                FromHandler::Answered(id, Checked::new(unwanted, wanted, *response))
            }
            End::Failed(failure) => FromHandler::Failed(id, failure),
            End::Silent if exchange.is_fresh => FromHandler::Failed(id, Failure::EndOfStream),
            End::Silent => {
                // The point mostly had closed the kept stream before it saw this request.
                let message = Message {
                    may_be_read: true,
                    ..exchange.message
                };
                self.waiting.push_front((id, message));
                return;
            }
            End::Written => FromHandler::Written(id),
        };
        self.events.push_back(event);
    }

    /// Drops the kept stream once the point ends it, says something unasked, or time is up.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if let Some(idle) = &mut self.idle {
            let stream = Pin::new(&mut idle.stream);
            let is_over = stream.poll_read(cx, &mut [0]).is_ready();
            if is_over || idle.until.poll_unpin(cx).is_ready() {
                self.idle = None;
            }
        }
    }

    fn protocols_changed(&mut self, change: ProtocolsChange<'_>) {
        let names = |name: &StreamProtocol| name.as_ref().contains("rendezvous");
        let before = self.protocols.len();
        match change {
            ProtocolsChange::Added(added) => {
                let added = added.filter(|name| names(name)).map(ToString::to_string);
                self.protocols.extend(added);
            }
            ProtocolsChange::Removed(removed) => {
                for name in removed {
                    self.protocols.remove(name.as_ref());
                }
            }
        }
        // Either names were added or some were removed, never both.
        if self.protocols.len() != before {
            self.announce();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = FromHandler;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.waiting.is_empty() || !self.active.is_empty() || !self.subscriptions.is_empty()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Protocols, (), FromHandler>> {
        self.poll_active(cx);
        self.poll_idle(cx);
        self.poll_subscriptions(cx);
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if self.opening < self.waiting.len() {
            self.opening += 1;
            let upgrade = Protocols {
                config: Arc::clone(&self.config),
                has_extension: !self.lacks_extension,
            };
            let protocol = SubstreamProtocol::new(upgrade, ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        match event {
            ToHandler::Cancel(id) => self.cancel(id),
            ToHandler::Release => {
                self.is_released = true;
                self.idle = None;
            }
            ToHandler::Send(id, message) => self.send(id, message),
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, DeniedUpgrade, Protocols>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(opened) => {
                let (stream, name) = opened.protocol;
                self.opened(stream, &name);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.not_opened(match error {
                    StreamUpgradeError::Timeout => Failure::TimedOut,
                    StreamUpgradeError::NegotiationFailed => Failure::Unsupported,
                    StreamUpgradeError::Io(error) if is_garbage(&error) => {
                        Breach::Negotiation.into()
                    }
                    StreamUpgradeError::Io(_) => Failure::Unreachable,
                    StreamUpgradeError::Apply(never) => match never {},
                });
            }
            ConnectionEvent::RemoteProtocolsChange(change) => self.protocols_changed(change),
            _ => {}
        }
    }
}

/// Whether the point sent what is no negotiation; else the connection broke.
fn is_garbage(error: &io::Error) -> bool {
    let inner = error.get_ref();
    error.kind() == io::ErrorKind::InvalidData || inner.is_some_and(|it| it.is::<ProtocolError>())
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("waiting", &self.waiting.len())
            .field("active", &self.active.len())
            .finish_non_exhaustive()
    }
}
