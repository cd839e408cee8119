//! A behaviour without a swarm: a test tells it what a swarm would, and sees what it wants done.

use std::task::{Context, Poll};
use std::time::Duration;

use dht_walk::swarm::{Behaviour, Config, Event, FromHandler, ToHandler, prepare};
use dht_walk::{
    AddressPolicy, Contact, Event as WalkEvent, EvictReason, Failure, Peer, Refusal, RequestId,
    SeedSource, Spent,
};
use either::Either;
use libp2p::core::Endpoint;
use libp2p::core::connection::ConnectedPoint;
use libp2p::core::transport::PortUse;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Mode};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::dial_opts::PeerCondition;
use libp2p::swarm::{ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler, ToSwarm};
use libp2p::{Multiaddr, PeerId};

use super::stage::DHT;

/// So long that nothing ends by itself, however slow the machine is.
const LONG: Duration = Duration::from_secs(3_600);

/// The behaviour, and who is who.
pub(crate) struct Hand {
    pub(crate) walk: Behaviour<MemoryStore>,
    pub(crate) peers: Vec<PeerId>,
}

/// What the behaviour wanted done, each kind in order.
#[derive(Debug, Default)]
pub(crate) struct Did {
    pub(crate) dials: Vec<(PeerId, ConnectionId)>,
    pub(crate) asks: Vec<(PeerId, ConnectionId, RequestId)>,
    pub(crate) cancels: Vec<(PeerId, ConnectionId, RequestId)>,
    pub(crate) told: Vec<WalkEvent>,
}

impl Did {
    pub(crate) fn dialled(&self) -> Vec<PeerId> {
        self.dials.iter().map(|(peer, _)| *peer).collect()
    }

    pub(crate) fn asked(&self) -> Vec<(PeerId, usize)> {
        let asks = self.asks.iter();
        asks.map(|(peer, over, _)| (*peer, number(*over))).collect()
    }

    /// Requests that failed in lookups of the rounds that ended.
    pub(crate) fn failures(&self) -> Option<u32> {
        let mut rounds = self.told.iter().filter_map(|it| match it {
            WalkEvent::Finished(report) => Some(report),
            _ => None,
        });
        let first = rounds.next()?;
        let rest = rounds.flat_map(|it| &it.lookups);
        Some(first.lookups.iter().chain(rest).map(|it| it.failures).sum())
    }

    pub(crate) fn evicted(&self) -> Vec<(PeerId, EvictReason)> {
        let told = self.told.iter().filter_map(|it| match it {
            WalkEvent::Evicted { peer, reason } => Some((peer.id(), *reason)),
            _ => None,
        });
        told.collect()
    }

    pub(crate) fn seeded(&self) -> Vec<(SeedSource, usize)> {
        let told = self.told.iter().filter_map(|it| match it {
            WalkEvent::Seeding { source, contacts } => Some((*source, *contacts)),
            _ => None,
        });
        told.collect()
    }
}

fn number(id: ConnectionId) -> usize {
    id.to_string().parse().expect("an id is a number")
}

/// Bounds under which nothing happens by itself.
pub(crate) fn still() -> Config {
    let mut config = Config::default();
    let walk = &mut config.walk;
    walk.auto = false;
    walk.addresses = AddressPolicy::Any;
    walk.peers_min = 0;
    walk.checks.interval_min = LONG;
    walk.checks.interval_max = LONG;
    walk.refresh.interval_min = LONG;
    walk.refresh.interval_max = LONG;
    walk.refresh.deadline = LONG;
    walk.lookup.request_timeout = LONG;
    walk.lookup.stall = LONG;
    walk.lookup.deadline = LONG;
    config
}

/// The same, tending its table by itself.
pub(crate) fn tending() -> Config {
    let mut config = still();
    config.walk.auto = true;
    config
}

/// Where peer number `at` listens.
pub(crate) fn address(at: usize) -> Multiaddr {
    let port = 9_000 + at;
    format!("/ip4/127.0.0.1/tcp/{port}")
        .parse()
        .expect("an address")
}

impl Hand {
    /// With `count` peers, the first `known` of which are entries of the kad from the start.
    pub(crate) fn new(config: Config, count: usize, known: usize) -> Self {
        Self::with_kad(config, count, known, |_| ())
    }

    /// The same with something else set about the kad. All peers are in the farthest bucket.
    pub(crate) fn with_kad(
        config: Config,
        count: usize,
        known: usize,
        set: impl FnOnce(&mut kad::Config),
    ) -> Self {
        let local = PeerId::random();
        let is_far = |peer: &PeerId| {
            let cpl = Peer::new(local).cpl(&Peer::new(*peer));
            cpl.is_some_and(|it| it.bits() == 0)
        };
        let peers: Vec<PeerId> = std::iter::repeat_with(PeerId::random)
            .filter(is_far)
            .take(count)
            .collect();
        let mut of_kad = kad::Config::new(DHT);
        prepare(&mut of_kad);
        set(&mut of_kad);
        let mut kad = kad::Behaviour::with_config(local, MemoryStore::new(local), of_kad);
        for (at, peer) in peers.iter().enumerate().take(known) {
            kad.add_address(peer, address(at));
        }
        let mut walk = Behaviour::new(local, kad, config).expect("the bounds make sense");
        walk.set_mode(Some(Mode::Server));
        Self { walk, peers }
    }

    /// Lets it do what it wants, until it waits.
    pub(crate) fn did(&mut self) -> Did {
        let mut did = Did::default();
        let mut cx = Context::from_waker(futures::task::noop_waker_ref());
        while let Poll::Ready(action) = self.walk.poll(&mut cx) {
            note(&mut did, action);
        }
        did
    }

    /// What it does until a round has ended, by a time that is up where nothing else ends it.
    pub(crate) async fn until_finished(&mut self) -> Did {
        let mut did = Did::default();
        while did.failures().is_none() {
            let action = std::future::poll_fn(|cx| self.walk.poll(cx)).await;
            note(&mut did, action);
        }
        let rest = self.did();
        did.cancels.extend(rest.cancels);
        did
    }

    /// A connection that we dialled, to where the peer listens.
    pub(crate) fn dialled(&mut self, at: usize, connection: usize) {
        let endpoint = ConnectedPoint::Dialer {
            address: address(at),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        self.connect(at, connection, &endpoint);
    }

    /// A connection that the peer dialled, from a port that says nothing.
    pub(crate) fn accepted(&mut self, at: usize, connection: usize) {
        let endpoint = ConnectedPoint::Listener {
            local_addr: address(999),
            send_back_addr: address(1_000 + at),
        };
        self.connect(at, connection, &endpoint);
    }

    fn connect(&mut self, at: usize, connection: usize, endpoint: &ConnectedPoint) {
        let event = ConnectionEstablished {
            peer_id: self.peers[at],
            connection_id: ConnectionId::new_unchecked(connection),
            endpoint,
            failed_addresses: &[],
            other_established: 0,
        };
        self.walk
            .on_swarm_event(FromSwarm::ConnectionEstablished(event));
    }

    pub(crate) fn close(&mut self, at: usize, connection: usize, remaining: usize) {
        let endpoint = ConnectedPoint::Listener {
            local_addr: address(999),
            send_back_addr: address(at),
        };
        let event = ConnectionClosed {
            peer_id: self.peers[at],
            connection_id: ConnectionId::new_unchecked(connection),
            endpoint: &endpoint,
            cause: None,
            remaining_established: remaining,
        };
        self.walk.on_swarm_event(FromSwarm::ConnectionClosed(event));
    }

    /// A dial came to nothing.
    pub(crate) fn not_dialled(&mut self, at: usize, dial: ConnectionId) {
        self.dial_failure(at, dial, &DialError::NoAddresses);
    }

    /// A dial was not begun, because another one is under way.
    pub(crate) fn dial_refused(&mut self, at: usize, dial: ConnectionId) {
        let error = DialError::DialPeerConditionFalse(PeerCondition::NotDialing);
        self.dial_failure(at, dial, &error);
    }

    fn dial_failure(&mut self, at: usize, dial: ConnectionId, error: &DialError) {
        let event = DialFailure {
            peer_id: Some(self.peers[at]),
            error,
            connection_id: dial,
        };
        self.walk.on_swarm_event(FromSwarm::DialFailure(event));
    }

    pub(crate) fn answer(&mut self, at: usize, over: usize, id: RequestId) {
        self.tell(at, over, FromHandler::Answered(id, Vec::new()));
    }

    pub(crate) fn tell_of(
        &mut self,
        at: usize,
        over: ConnectionId,
        id: RequestId,
        told: &[Contact],
    ) {
        self.tell(at, number(over), FromHandler::Answered(id, told.to_vec()));
    }

    pub(crate) fn fail(&mut self, at: usize, over: usize, id: RequestId, failure: Failure) {
        self.tell(at, over, FromHandler::Failed(id, failure));
    }

    pub(crate) fn announce(&mut self, at: usize, over: usize, is_serving: bool) {
        self.tell(at, over, FromHandler::Serving(is_serving));
    }

    fn tell(&mut self, at: usize, over: usize, event: FromHandler) {
        let over = ConnectionId::new_unchecked(over);
        self.walk
            .on_connection_handler_event(self.peers[at], over, Either::Right(event));
    }

    /// Answers all requests with nobody, until there is none.
    pub(crate) fn answer_all(&mut self) -> Did {
        let mut all = Did::default();
        loop {
            let did = self.did();
            let asks = did.asks.clone();
            all.dials.extend(did.dials);
            all.asks.extend(did.asks);
            all.told.extend(did.told);
            if asks.is_empty() {
                return all;
            }
            for (peer, over, id) in asks {
                let at = self.peers.iter().position(|it| *it == peer);
                self.answer(at.expect("one of ours"), number(over), id);
            }
        }
    }

    pub(crate) fn spent(&self) -> Spent {
        self.walk.walk().spent()
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> u32 {
        self.walk.walk().refusals().count(refusal)
    }

    pub(crate) fn contact(&self, at: usize) -> Contact {
        Contact::new(Peer::new(self.peers[at]), [address(at)])
    }

    /// The contacts of the walk's table, after it was found that the kad has the same peers.
    pub(crate) fn contacts(&mut self) -> Vec<Contact> {
        let mut of_kad = super::stage::kad_table(&mut self.walk);
        let mut contacts: Vec<Contact> = self.walk.table().iter().map(|it| it.contact()).collect();
        contacts.sort_by_key(|it| it.peer.id());
        of_kad.sort();
        let of_walk: Vec<PeerId> = contacts.iter().map(|it| it.peer.id()).collect();
        assert_eq!(of_walk, of_kad);
        contacts
    }
}

fn note<I>(did: &mut Did, action: ToSwarm<Event, Either<I, ToHandler>>) {
    match action {
        ToSwarm::Dial { opts } => {
            let peer = opts.get_peer_id().expect("a peer is dialled");
            did.dials.push((peer, opts.connection_id()));
        }
        ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event: Either::Right(event),
        } => match event {
            ToHandler::Ask(id, _) => did.asks.push((peer_id, connection, id)),
            ToHandler::Cancel(id) => did.cancels.push((peer_id, connection, id)),
        },
        ToSwarm::GenerateEvent(Event::Walk(event)) => did.told.push(event),
        _ => {}
    }
}
