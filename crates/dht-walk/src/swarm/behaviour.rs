//! The behaviour to put into a swarm.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use either::Either;
use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p_core::transport::PortUse;
use libp2p_core::{ConnectedPoint, Endpoint};
use libp2p_identity::PeerId;
use libp2p_kad::store::RecordStore;
use libp2p_kad::{self as kad, BootstrapError, BootstrapOk, GetClosestPeersError, QueryResult};
use libp2p_swarm::dial_opts::DialOpts;
use libp2p_swarm::{
    ConnectionDenied, ConnectionHandler as _, ConnectionHandlerSelect, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, StreamProtocol, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use multiaddr::Multiaddr;

use super::config::Config;
use super::desk::Desk;
use super::handler::{FromHandler, Handler, ToHandler};
use super::inbox::Inbox;
use super::links::{Act, Links};
use super::mirror::{Mirror, bare, contact};
use crate::budget::Spent;
use crate::config::Lookups;
use crate::driver::timer::{SLEEP_MAX, secret};
use crate::driver::{BuildError, SystemTimer, Timer as _};
use crate::output::Output;
use crate::peer::{Addresses, Contact, Peer};
use crate::reseed::SeedSource;
use crate::time::Time;
use crate::walk::Walk;

/// A kad whose table is tended.
///
/// It asks peers over connections of its own kind, beside kad's: one FIND_NODE on a stream. Who
/// answers becomes an entry of kad's table, who is gone or serves no DHT leaves it. All of kad's
/// methods are there, by `Deref`; its queries, records and its serving of others are untouched.
///
/// # Deadlines
///
/// Requests, lookups and refreshes end when their time is up, whether or not anything else happens
/// in the swarm. A dial goes on after its request was given up; how long is the transport's doing.
///
/// # What kad does beside
///
/// While it has fewer than twenty entries, libp2p-kad bootstraps by itself whenever one enters.
/// That cannot be switched off. It counts as lookups of ours: the budget pays for it, and buckets
/// that it looked up are not due again so soon.
///
/// # Peers that others add
///
/// `add_address` works as before. Whom it adds is an entry at once, is asked at once, and leaves if
/// there is no answer. Peers to fall back on belong to [`set_bootstrap`](Self::set_bootstrap).
pub struct Behaviour<S> {
    pub(super) kad: kad::Behaviour<S>,
    pub(super) walk: Walk,
    clock: SystemTimer,
    pub(super) links: Links,
    pub(super) mirror: Mirror,
    pub(super) inbox: Inbox,
    pub(super) desk: Desk,
    pub(super) spent_by_handles: Spent,
    /// Also the walk's, which does not tell them.
    pub(super) bootstrap: Vec<Contact>,
    pub(super) bucket_size: usize,
    protocols: Arc<[StreamProtocol]>,
    answer_bytes_max: usize,
    timer: Delay,
    timer_at: Option<Time>,
    actions: VecDeque<ToSwarm<Event, ToHandler>>,
}

/// What the behaviour tells the application.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an event is moved once, and kad's own are as large"
)]
pub enum Event {
    /// What the kad tells, as without the walk.
    Kad(kad::Event),
    /// What the walk tells.
    Walk(crate::output::Event),
}

/// Steps in one poll, so that the rest of the swarm has its turn.
const STEPS_MAX: usize = 1_024;

impl<S: RecordStore + Send + 'static> Behaviour<S> {
    /// Tends the table of `kad`, which is that of the peer `local`. See
    /// [`prepare`](super::prepare) for how it should be configured.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense, or the system has no randomness to give.
    pub fn new(
        local: PeerId,
        mut kad: kad::Behaviour<S>,
        config: Config,
    ) -> Result<Self, BuildError> {
        config.validate()?;
        let desk = Desk::new(Peer::new(local), &config);
        let mut bounds = config.walk;
        bounds.lookups = Lookups::Own;
        let (clock, bucket_size) = (SystemTimer::new(), bounds.bucket_size);
        let mut walk = Walk::new(clock.now(), bounds, Peer::new(local), secret()?)?;
        let mirror = Mirror::default();
        for change in mirror.compare(&mut kad) {
            change.apply(clock.now(), &mut walk);
        }
        let protocols = kad.protocol_names().into();
        Ok(Self {
            kad,
            walk,
            clock,
            links: Links::default(),
            inbox: Inbox::new(local, mirror.entries()),
            mirror,
            desk,
            spent_by_handles: Spent::default(),
            bootstrap: Vec::new(),
            bucket_size,
            protocols,
            answer_bytes_max: config.answer_bytes_max,
            timer: Delay::new(Duration::ZERO),
            timer_at: None,
            actions: VecDeque::new(),
        })
    }

    /// Since the behaviour was made.
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn serves(&self, protocols: &[StreamProtocol]) -> bool {
        protocols.iter().any(|it| self.protocols.contains(it))
    }

    fn perform(&mut self, output: Output) {
        let now = self.now();
        match output {
            Output::AskSeeds(source) => {
                let known = match source {
                    SeedSource::Connected => self.links.serving().collect(),
                    // Whose addresses the kad knows is an entry, and was asked.
                    SeedSource::Bootstrap | SeedSource::Known | SeedSource::Snapshot => Vec::new(),
                };
                self.walk.handle_seeds(now, source, known);
            }
            Output::Cancel(id) => self.links.cancel(id),
            Output::Event(event) => {
                if event.begins_refresh() {
                    self.compare();
                }
                let event = ToSwarm::GenerateEvent(Event::Walk(event));
                self.actions.push_back(event);
            }
            Output::Evict { peer, .. } => self.mirror.remove(&mut self.kad, &peer.id()),
            Output::FindNode {
                id,
                contact,
                target,
            } => self.links.ask(id, &contact, target.to_bytes()),
            Output::Insert(mut contact) => {
                if contact.addresses.is_empty() {
                    contact.addresses = self.links.addresses(&contact.peer.id());
                }
                if !self.mirror.insert(&mut self.kad, &contact) {
                    self.walk.handle_insert_refused(now, &contact.peer);
                }
            }
            // Lookups are our own, so neither is ever wanted.
            Output::CancelLookup(_) | Output::Lookup { .. } => {}
        }
    }

    fn act(&mut self, act: Act) {
        let (peer_id, connection, event) = match act {
            Act::Cancel(peer, connection, id) => (peer, connection, ToHandler::Cancel(id)),
            Act::Send(peer, connection, id, key) => (peer, connection, ToHandler::Ask(id, key)),
            Act::Dial(peer, addresses) => return self.dial(peer, &addresses),
            Act::Fail(peer, id, failure) => return self.failed(peer, id, failure),
        };
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn dial(&mut self, peer: PeerId, addresses: &Addresses) {
        let opts = DialOpts::peer_id(peer)
            .addresses(addresses.as_slice().to_vec())
            .extend_addresses_through_behaviour()
            .build();
        self.links.dialled(peer, opts.connection_id());
        self.actions.push_back(ToSwarm::Dial { opts });
    }

    pub(super) fn compare(&mut self) {
        for change in self.mirror.compare(&mut self.kad) {
            change.apply(self.clock.now(), &mut self.walk);
        }
    }

    /// Takes note of what the kad tells.
    fn observe(&mut self, event: &kad::Event) {
        let now = self.now();
        match event {
            kad::Event::RoutingUpdated {
                peer,
                is_new_peer,
                addresses,
                old_peer,
                ..
            } => {
                let dropped = old_peer.and_then(|old| self.mirror.dropped(old));
                let is_held = Mirror::is_held(&mut self.kad, peer);
                let added = is_held.then(|| self.mirror.added(*peer, addresses));
                let added = added.flatten();
                if is_held && !is_new_peer && added.is_none() {
                    let contact = contact(*peer, addresses.iter());
                    self.walk.handle_contact(now, &contact);
                }
                for change in dropped.into_iter().chain(added) {
                    change.apply(now, &mut self.walk);
                }
            }
            kad::Event::RoutablePeer { peer, address }
            | kad::Event::PendingRoutablePeer { peer, address } => {
                let contact = contact(*peer, std::iter::once(address));
                self.walk.handle_contact(now, &contact);
            }
            kad::Event::OutboundQueryProgressed { result, stats, .. } => {
                self.observe_query(result, stats.num_requests());
            }
            kad::Event::InboundRequest { .. }
            | kad::Event::ModeChanged { .. }
            | kad::Event::UnroutablePeer { .. } => {}
        }
    }

    fn observe_query(&mut self, result: &QueryResult, requests: u32) {
        let now = self.now();
        match result {
            QueryResult::Bootstrap(
                Ok(BootstrapOk { peer, .. }) | Err(BootstrapError::Timeout { peer, .. }),
            ) => self
                .walk
                .handle_host_lookup(now, &Peer::new(*peer), requests),
            QueryResult::GetClosestPeers(
                Ok(kad::GetClosestPeersOk { peers, .. })
                | Err(GetClosestPeersError::Timeout { peers, .. }),
            ) => {
                // They all have answered.
                for peer in peers {
                    self.walk.handle_alive(now, &Peer::new(peer.peer_id));
                }
            }
            _ => {}
        }
    }

    fn on_handler_event(&mut self, peer: PeerId, event: FromHandler) {
        match event {
            FromHandler::Answered(id, told) => self.answered(peer, id, told),
            FromHandler::Failed(id, failure) => {
                if self.links.settle(id, &peer) {
                    self.failed(peer, id, failure);
                }
            }
            FromHandler::Serving(is_serving) => {
                self.links.note_serving(&peer, is_serving);
                let addresses = self.links.addresses(&peer);
                self.told_serving(peer, is_serving, addresses);
            }
        }
    }

    pub(super) fn told_serving(&mut self, id: PeerId, is_serving: bool, addresses: Addresses) {
        let (now, peer) = (self.now(), Peer::new(id));
        if is_serving {
            let contact = Contact { peer, addresses };
            self.walk.handle_contact(now, &contact);
        } else {
            self.walk.handle_protocols(now, &peer, false);
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let of_walk = self.walk.poll_timeout().map(|(at, _)| at);
        let of_handles = self.desk.poll_timeout();
        let Some(at) = of_walk.into_iter().chain(of_handles).min() else {
            return Poll::Pending;
        };
        let now = self.now();
        if at <= now {
            self.walk.handle_timeout(now);
            self.expire_handles();
            return Poll::Ready(());
        }
        if self.timer_at != Some(at) {
            self.timer.reset(at.saturating_since(now).min(SLEEP_MAX));
            self.timer_at = Some(at);
        }
        self.timer.poll_unpin(cx).map(|()| self.timer_at = None)
    }

    fn handler(&self) -> Handler {
        Handler::new(Arc::clone(&self.protocols), self.answer_bytes_max)
    }
}

impl<S> Deref for Behaviour<S> {
    type Target = kad::Behaviour<S>;

    fn deref(&self) -> &Self::Target {
        &self.kad
    }
}

impl<S> DerefMut for Behaviour<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kad
    }
}

impl<S> fmt::Debug for Behaviour<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("entries", &self.walk.table().len())
            .finish_non_exhaustive()
    }
}

impl<S: RecordStore + Send + 'static> NetworkBehaviour for Behaviour<S> {
    type ConnectionHandler = ConnectionHandlerSelect<THandler<kad::Behaviour<S>>, Handler>;
    type ToSwarm = Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let kad = &mut self.kad;
        kad.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let kad = &mut self.kad;
        let of_kad = kad.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(of_kad.select(self.handler()))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let kad = &mut self.kad;
        let mut more = kad.handle_pending_outbound_connection(connection, peer, addresses, role)?;
        // The swarm takes an address with the peer's id and the same without for two.
        if let Some(peer) = peer {
            let given: Vec<_> = addresses.iter().map(|it| bare(&peer, it)).collect();
            more.retain(|it| !given.contains(&bare(&peer, it)));
        }
        Ok(more)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let of_kad = self
            .kad
            .handle_established_outbound_connection(connection, peer, address, role, port_use)?;
        Ok(of_kad.select(self.handler()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.kad.on_swarm_event(event);
        let now = self.now();
        match event {
            FromSwarm::ConnectionEstablished(it) => {
                let is_first = self.links.connected(it.peer_id, it.connection_id);
                if let ConnectedPoint::Dialer { address, .. } = it.endpoint {
                    let bare = contact(it.peer_id, std::iter::once(address));
                    let addresses = bare.addresses.as_slice().iter().cloned();
                    addresses.for_each(|bare| self.links.note_address(&it.peer_id, bare));
                }
                if is_first {
                    let peer = Peer::new(it.peer_id);
                    self.walk.handle_connection(now, &peer, true);
                }
            }
            FromSwarm::ConnectionClosed(it) => {
                let is_last = self.links.disconnected(it.peer_id, it.connection_id);
                if is_last {
                    let peer = Peer::new(it.peer_id);
                    self.walk.handle_connection(now, &peer, false);
                }
            }
            FromSwarm::DialFailure(it) => {
                if let Some(peer) = it.peer_id {
                    self.links.dial_failed(peer, it.connection_id, it.error);
                }
            }
            FromSwarm::ExternalAddrConfirmed(_) | FromSwarm::ExternalAddrExpired(_) => {
                self.walk.handle_local_addresses(now);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self
                .kad
                .on_connection_handler_event(peer, connection, event),
            Either::Right(event) => self.on_handler_event(peer, event),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        for _ in 0..STEPS_MAX {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action.map_in(Either::Right));
            }
            if let Some(output) = self.walk.poll_output() {
                self.perform(output);
                continue;
            }
            if let Some(act) = self.links.poll() {
                self.act(act);
                continue;
            }
            if self.poll_handles(cx).is_ready() {
                continue;
            }
            if self.poll_timer(cx).is_ready() {
                continue;
            }
            let Poll::Ready(action) = self.kad.poll(cx) else {
                return Poll::Pending;
            };
            if let ToSwarm::GenerateEvent(event) = &action {
                self.observe(event);
            }
            return Poll::Ready(action.map_out(Event::Kad).map_in(Either::Left));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
