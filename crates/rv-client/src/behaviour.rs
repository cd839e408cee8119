//! The behaviour to put into a swarm.

mod book;
mod calls;
mod dialling;
mod links;
mod news;
mod serve;
mod signer;
#[cfg(test)]
mod tests;
mod verbs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt as _, StreamExt as _};
use futures_timer::Delay;
use libp2p_core::transport::PortUse;
use libp2p_core::{Endpoint, Multiaddr};
use libp2p_identity::{Keypair, PeerId};
use libp2p_swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandlerInEvent,
    ToSwarm,
};
use rv_core::client::dialling::DialEvent;
use rv_core::client::{self as machine, Discovered, Event, Output};

use crate::clock::{Clock, random};
use crate::command::Command;
use crate::handler::{FromHandler, ToHandler};
use crate::{Client, Config, ConfigError, Handler};
use book::Book;
use calls::Calls;
use dialling::Dialling;
use links::{Act, Links};
use news::News;
use signer::Signer;

/// A client of rendezvous points for any swarm.
///
/// It dials points when it has something to ask them, and never listens. Its verbs do not wait:
/// what becomes of a call is told as an [`Event`], by the id that the call returned. The same verbs
/// with async are at [`client`](Self::client).
///
/// # Addresses
///
/// It registers the swarm's external addresses: those that the application adds, and those that
/// sibling behaviours such as autonat confirm. What was found and verified is told to sibling
/// behaviours. Whoever in this swarm dials a found peer by its id is offered its addresses, the
/// verified ones first. Unverified ones are told to nobody: a dial that names the peer ends in a
/// connection to that peer or in none, so a lie costs one attempt, but what is told spreads.
///
/// # Found peers are dialled
///
/// Only where [`Config::dialling`] says so, and then at the pace and to the places that it allows,
/// as [`Event::Dial`] tells. Whoever an application does not want at all it denies with
/// `libp2p-allow-block-list`; such a dial fails, and is tried ever more seldom.
///
/// # What points speak
///
/// Which dialect a point speaks shows best in what identify says: call
/// [`on_identified`](Self::on_identified) where the swarm reports it.
pub struct Behaviour {
    config: Arc<Config>,
    clock: Clock,
    machine: machine::Client,
    signer: Signer,
    links: Links,
    /// Signed records.
    book: Book,
    /// Unsigned ones.
    hearsay: Book,
    dialling: Option<Dialling>,
    calls: Calls,
    point_addresses: BTreeMap<PeerId, Vec<Multiaddr>>,
    external_addresses: BTreeSet<Multiaddr>,
    /// Of connected peers alone.
    identities: BTreeMap<PeerId, Identity>,
    commands: mpsc::Receiver<Command>,
    handle: mpsc::Sender<Command>,
    timer: Delay,
    timer_at: Option<rv_proto::Time>,
    actions: VecDeque<ToSwarm<Event, ToHandler>>,
    news: News,
    is_closed: bool,
}

/// What a connected peer says about itself, as far as it matters here.
#[derive(Default)]
struct Identity {
    agent: String,
    protocols: Vec<String>,
}

/// Calls of handles before others in the swarm get their turn.
const COMMANDS_PER_POLL_MAX: usize = 32;

/// The longest sleep of the timer. Timers do not count the time that the machine is asleep, which
/// the clock does: what became due meanwhile is noticed so long after it woke up at the latest.
const SLEEP_MAX: Duration = Duration::from_secs(60);

impl Behaviour {
    /// A client without points that signs its records with `key`, the swarm's own.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself.
    pub fn new(key: Keypair, config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let signer = Signer::new(key);
        let dialling = config.dialling.clone();
        let dialling = dialling.map(|config| Dialling::new(config, signer.local()));
        let dialling = dialling.transpose()?;
        let (handle, commands) = mpsc::channel(Config::CALLS_MAX);
        Ok(Self {
            machine: machine::Client::new(config.client.clone(), signer.local(), random())?,
            clock: Clock::new(),
            signer,
            links: Links::default(),
            book: Book::new(config.found_peers_max, config.found_bytes_max),
            hearsay: Book::new(config.found_peers_max, config.found_bytes_max),
            dialling,
            calls: Calls::default(),
            point_addresses: BTreeMap::new(),
            external_addresses: BTreeSet::new(),
            identities: BTreeMap::new(),
            commands,
            handle,
            timer: Delay::new(Duration::ZERO),
            timer_at: None,
            actions: VecDeque::new(),
            news: News::default(),
            is_closed: false,
            config: Arc::new(config),
        })
    }

    /// A handle with async verbs, for tasks other than the one that polls the swarm: that one would
    /// wait for itself.
    pub fn client(&self) -> Client {
        Client::new(self.handle.clone())
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Cancel { id } => self.links.cancel(id),
            Output::Event(event) => self.tell(event),
            Output::Request { id, point, request } => match self.signer.message(point, request) {
                Ok(message) => self.links.send(id, point, message),
                Err(failure) => {
                    let now = self.clock.now();
                    self.machine.handle_failure(now, id, failure);
                }
            },
        }
    }

    fn act(&mut self, act: Act) {
        let (peer_id, connection, event) = match act {
            Act::Cancel(peer, connection, id) => (peer, connection, ToHandler::Cancel(id)),
            Act::Send(peer, connection, id, message) => {
                (peer, connection, ToHandler::Send(id, message))
            }
            Act::Dial(point) => return self.dial(point),
            Act::Fail(id, failure) => {
                let now = self.clock.now();
                return self.machine.handle_failure(now, id, failure);
            }
        };
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn dial(&mut self, point: PeerId) {
        let addresses = self.point_addresses.get(&point);
        let opts = DialOpts::peer_id(point)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses.cloned().unwrap_or_default())
            .extend_addresses_through_behaviour()
            .build();
        self.links.dialled(point, opts.connection_id());
        self.actions.push_back(ToSwarm::Dial { opts });
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Found { peers, .. } => peers.iter().for_each(|found| self.note(found)),
            Event::Joined(found) | Event::Renewed(found) => self.note(found),
            _ => {}
        }
        if let Some(event) = self.calls.tell(event) {
            self.actions.push_back(ToSwarm::GenerateEvent(event));
        }
    }

    /// Tells sibling behaviours where a found peer is reached, once for each of its signed records.
    fn note(&mut self, found: &Discovered) {
        let now = self.clock.now();
        if !found.is_verified() {
            self.hearsay.add(now, found);
        } else if self.book.add(now, found) {
            self.news.push(Arc::clone(&found.record));
        }
    }

    fn tell_dial(&mut self, told: Option<DialEvent>) {
        let event = told.map(|told| ToSwarm::GenerateEvent(Event::Dial(told)));
        self.actions.extend(event);
    }

    /// Gives up what keeps connections to a point open on our behalf.
    fn release(&mut self, point: PeerId) {
        for connection in self.links.connections(&point) {
            self.actions.push_back(ToSwarm::NotifyHandler {
                peer_id: point,
                handler: NotifyHandler::One(connection),
                event: ToHandler::Release,
            });
        }
    }

    fn addresses_changed(&mut self) {
        let all = self.external_addresses.iter().cloned();
        self.machine.set_addresses(self.clock.now(), all);
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.clock.now();
        let of_machine = self.machine.poll_timeout().map(|(at, _)| at);
        if of_machine.is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
            return Poll::Ready(());
        }
        let of_dials = self.dialling.as_ref().and_then(Dialling::poll_timeout);
        let Some(at) = of_machine.into_iter().chain(of_dials).min() else {
            return Poll::Pending;
        };
        if self.timer_at != Some(at) {
            self.timer.reset(at.saturating_since(now).min(SLEEP_MAX));
            self.timer_at = Some(at);
        }
        self.timer.poll_unpin(cx).map(|()| self.timer_at = None)
    }

    fn handler(&self) -> Handler {
        Handler::new(self.signer.local(), Arc::clone(&self.config))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let Some(peer) = peer else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let found = self.book.addresses(now, &peer).iter();
        let found = found.chain(self.hearsay.addresses(now, &peer));
        let given = self.point_addresses.get(&peer).into_iter().flatten();
        Ok(found.chain(given).cloned().collect())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let now = self.clock.now();
        match event {
            FromSwarm::ConnectionEstablished(it) => {
                self.links.connected(it.peer_id, it.connection_id);
                let dialling = self.dialling.as_mut();
                let told = dialling
                    .and_then(|dialling| dialling.connected(now, it.connection_id, it.peer_id));
                self.tell_dial(told);
                self.machine.handle_connected(now, it.peer_id);
            }
            FromSwarm::ConnectionClosed(it) => {
                self.links.disconnected(it.peer_id, it.connection_id);
                if !self.links.is_connected(&it.peer_id) {
                    self.identities.remove(&it.peer_id);
                    if let Some(dialling) = &mut self.dialling {
                        dialling.disconnected(now, it.peer_id);
                    }
                }
            }
            FromSwarm::DialFailure(it) => {
                if let Some(peer) = it.peer_id {
                    self.links.dial_failed(peer, it.connection_id, it.error);
                }
                let dialling = self.dialling.as_mut();
                let told = dialling
                    .and_then(|dialling| dialling.dial_failed(now, it.connection_id, it.error));
                self.tell_dial(told);
            }
            FromSwarm::ExternalAddrConfirmed(it) => {
                self.external_addresses.insert(it.addr.clone());
                self.addresses_changed();
            }
            FromSwarm::ExternalAddrExpired(it) => {
                self.external_addresses.remove(it.addr);
                self.addresses_changed();
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: FromHandler) {
        let now = self.clock.now();
        match event {
            FromHandler::Announced(protocols) => self.announced(peer, protocols),
            FromHandler::Answered(id, checked) => {
                if self.links.settle(id, &peer) {
                    if let Some(dialling) = &mut self.dialling {
                        dialling.listed(now, peer, checked.listed());
                    }
                    self.machine.handle_checked(now, id, checked);
                }
            }
            FromHandler::Failed(id, failure) => {
                if let Some(failure) = self.links.failed(id, &peer, failure) {
                    self.machine.handle_failure(now, id, failure);
                }
            }
            FromHandler::Pushed(id, pushed) => {
                let is_out = if pushed.is_end() {
                    self.links.settle(id, &peer)
                } else {
                    self.links.is_out(id, &peer)
                };
                if is_out {
                    if let Some(dialling) = &mut self.dialling {
                        dialling.listed(now, peer, pushed.listed());
                    }
                    self.machine.handle_pushed(now, id, pushed);
                }
            }
            FromHandler::Written(id) => {
                if self.links.settle(id, &peer) {
                    self.machine.handle_written(now, id);
                }
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        let mut commands = COMMANDS_PER_POLL_MAX;
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if let Some(output) = self.machine.poll_output() {
                self.perform(output);
                continue;
            }
            if let Some(act) = self.links.poll() {
                self.act(act);
                continue;
            }
            let now = self.clock.now();
            if let Some((opts, started)) = self.dialling.as_mut().and_then(|it| it.poll(now)) {
                self.actions.push_back(ToSwarm::Dial { opts });
                self.tell_dial(Some(started));
                continue;
            }
            if self.poll_timer(cx).is_ready() {
                continue;
            }
            if commands > 0
                && let Poll::Ready(Some(command)) = self.commands.poll_next_unpin(cx)
            {
                commands -= 1;
                self.serve(command);
                continue;
            }
            if let Some((peer_id, address)) = self.news.next_in_row() {
                return Poll::Ready(ToSwarm::NewExternalAddrOfPeer { peer_id, address });
            }
            if commands == 0 || !self.news.is_empty() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
    }
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour")
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}
