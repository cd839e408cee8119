//! The behaviour to put into a swarm.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p_core::transport::PortUse;
use libp2p_core::{Endpoint, Multiaddr};
use libp2p_identity::PeerId;
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandlerInEvent,
    ToSwarm,
};
use multiaddr::Protocol;
use rv_core::{Agents, Registry, Report};
use rv_proto::{Dialect, Epoch, Namespace, Origin};

use crate::committer::{Open, tidy_some};
use crate::desk::{Home, Point};
use crate::handler::Identified;
use crate::{Config, ConfigError, Handler, Stats, SystemClock};

/// A rendezvous point for any swarm.
///
/// It never dials and never listens; it serves whoever the swarm is connected to.
///
/// # Bounds
///
/// What it holds is bounded by [`Limits`](rv_core::Limits), what one connection may have open by
/// [`StreamLimits`](crate::StreamLimits). How many connections there are is the swarm's matter:
/// put `connection_limits` beside it.
///
/// # Which dialect a reader reads
///
/// Most readers fail a whole list over one entry in another dialect than theirs. Readers that never
/// registered are best told by what identify says of them, which the swarm tells the application
/// alone: call [`on_identified`](Self::on_identified) for each, and set
/// [`Rules::identify_wait`](rv_core::Rules::identify_wait), so that their first request waits for
/// it.
#[derive(Debug)]
pub struct Behaviour {
    config: Arc<Config>,
    open: Arc<Open>,
    actions: VecDeque<ToSwarm<Event, Identified>>,
    /// Connected peers.
    peers: BTreeMap<PeerId, Connected>,
    tick: Option<Delay>,
}

#[derive(Debug, Default)]
struct Connected {
    connections: BTreeSet<ConnectionId>,
    identified: Option<Identified>,
}

/// What a peer did. Emitted unless [`Config::events`] is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The peer.
    pub peer: PeerId,
    /// What it did, and what became of it.
    pub report: Report,
}

impl Behaviour {
    /// A point that keeps everything in memory. There is nothing to spawn.
    ///
    /// `epoch` must differ from start to start, else cookies of an earlier run would skip what was
    /// registered since: [`random_epoch`](crate::random_epoch) gives one.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself.
    pub fn in_memory(config: Config, epoch: Epoch) -> Result<Self, ConfigError> {
        config.validate()?;
        // Nothing was registered before the clock was right.
        let config = Config {
            erase_after: Duration::ZERO,
            ..config
        };
        let registry = Registry::new(epoch);
        let point = Point::new(&config, SystemClock::new(), registry, Home::Memory);
        let mut behaviour = Self::new(config, Arc::new(Open(point)));
        behaviour.tick = Some(Delay::new(Duration::ZERO));
        Ok(behaviour)
    }

    pub(crate) fn new(config: Config, open: Arc<Open>) -> Self {
        Self {
            config: Arc::new(config),
            open,
            actions: VecDeque::new(),
            peers: BTreeMap::new(),
            tick: None,
        }
    }

    /// Refuses every further write as unavailable, and ends subscriptions. DISCOVER is answered as
    /// before.
    pub fn drain(&mut self) {
        self.point().drain();
    }

    /// Requests that were read and not answered yet.
    pub fn requests_in_work(&self) -> usize {
        self.point().counters.in_work()
    }

    /// What the point holds and has done.
    pub fn stats(&self) -> Stats {
        self.point().stats()
    }

    /// Every namespace with the number of its registrations. One that has just expired may still
    /// be counted.
    pub fn namespace_stats(&self) -> Vec<(Namespace, usize)> {
        let registry = self.point().registry();
        registry
            .namespaces()
            .map(|(namespace, count)| (namespace.clone(), count))
            .collect()
    }

    /// Erases expired registrations now, and returns how many. It happens by itself in time; nobody
    /// is shown an expired registration meanwhile. With a journal it goes as far as that keeps
    /// pace, which is about 8,000 at a time.
    pub fn expire(&mut self) -> usize {
        self.point().expire()
    }

    /// Takes what a peer says about itself in identify: the name of its program, and the dialect of
    /// the signed record that it sent, if it sent one. It tells which dialect the peer reads, as
    /// [`Rules::agents`](rv_core::Rules::agents) has it.
    ///
    /// Of peers that are not connected nothing is kept.
    pub fn on_identified(&mut self, peer: PeerId, agent: &str, record_dialect: Option<Dialect>) {
        let Some(connected) = self.peers.get_mut(&peer) else {
            return;
        };
        let end = agent.floor_char_boundary(Agents::AGENT_BYTES_MAX);
        let identified = Identified {
            agent: agent[..end].into(),
            record: record_dialect,
        };
        if connected.identified.as_ref() == Some(&identified) {
            return;
        }
        for connection in &connected.connections {
            self.actions.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(*connection),
                event: identified.clone(),
            });
        }
        connected.identified = Some(identified);
    }

    fn point(&self) -> &Point {
        &self.open.0
    }

    fn handler(&self, peer: PeerId, remote: &Multiaddr) -> Handler {
        let mut handler = Handler::new(
            peer,
            origin(remote),
            Arc::clone(&self.config),
            Arc::clone(&self.open),
        );
        let connected = self.peers.get(&peer);
        if let Some(identified) = connected.and_then(|it| it.identified.as_ref()) {
            handler.identified(identified);
        }
        handler
    }

    fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(connected) = self.peers.get_mut(&peer) {
            connected.connections.remove(&connection);
            if connected.connections.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }
}

/// The network that an address lies in.
fn origin(remote: &Multiaddr) -> Option<Origin> {
    remote.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(Origin::from_ip(ip.into())),
        Protocol::Ip6(ip) => Some(Origin::from_ip(ip.into())),
        _ => None,
    })?
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(peer, remote))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(peer, remote))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(it) => {
                let connected = self.peers.entry(it.peer_id).or_default();
                connected.connections.insert(it.connection_id);
            }
            FromSwarm::ConnectionClosed(it) => self.disconnected(it.peer_id, it.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, report: Report) {
        let event = Event { peer, report };
        self.actions.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        let subscribers = &self.open.0.subscribers;
        subscribers.register_herald(cx.waker());
        if subscribers.wake_some() {
            cx.waker().wake_by_ref();
        }
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        if let Some(tick) = &mut self.tick {
            while tick.poll_unpin(cx).is_ready() {
                tick.reset(tidy_some(&self.open.0));
            }
        }
        Poll::Pending
    }
}
