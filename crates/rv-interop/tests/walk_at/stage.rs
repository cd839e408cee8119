//! A node of ours, and the network that it meets.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use dht_walk::swarm::{Behaviour, Config, Event, prepare};
use dht_walk::{AddressPolicy, Event as WalkEvent, EvictReason, Report, RoundId};
use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, InboundRequest, Mode};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder};
use libp2p::{identify, noise, tcp, yamux};
use rv_interop::{Identity, KadNode, KadRuntime, Kademlia, within};

/// The name that py-libp2p cannot change.
const DHT: StreamProtocol = kad::PROTOCOL_NAME;

/// How long somebody may take to answer. A busy machine is no reason to give somebody up, and who
/// was killed refuses dials at once.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
pub(crate) struct App {
    identify: identify::Behaviour,
    pub(crate) walk: Behaviour<MemoryStore>,
}

/// A node of ours. Its swarm moves while a test waits by it.
pub(crate) struct Walker {
    pub(crate) swarm: Swarm<App>,
    pub(crate) address: Multiaddr,
    /// The same with its id at the end, for others to join by.
    pub(crate) full_address: Multiaddr,
    pub(crate) told: Vec<WalkEvent>,
    /// FIND_NODEs that its kad answered with somebody.
    pub(crate) answered: usize,
}

/// Peers with the addresses that are known of them.
pub(crate) type Known = BTreeMap<PeerId, BTreeSet<Multiaddr>>;

impl Walker {
    /// Serves the DHT, checks each of its entries every two seconds, and may send what it likes.
    pub(crate) async fn start() -> Self {
        let identity = Identity::new();
        let mut swarm = SwarmBuilder::with_existing_identity(identity.key().clone())
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .expect("noise takes the key")
            .with_behaviour(|key| {
                let peer = key.public().to_peer_id();
                let mut of_kad = kad::Config::new(DHT);
                prepare(&mut of_kad);
                let kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), of_kad);
                let walk = Behaviour::new(peer, kad, brisk());
                let identify = identify::Config::new("/ipfs/0.1.0".to_owned(), key.public());
                App {
                    identify: identify::Behaviour::new(identify),
                    walk: walk.expect("the bounds make sense"),
                }
            })
            .expect("the behaviour is there")
            .build();
        swarm.behaviour_mut().walk.set_mode(Some(Mode::Server));
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        swarm.listen_on(listen).expect("loopback is there");
        let mut walker = Self {
            swarm,
            address: Multiaddr::empty(),
            full_address: Multiaddr::empty(),
            told: Vec::new(),
            answered: 0,
        };
        let address = walker.until("address", |it| it.swarm.listeners().next().cloned());
        walker.address = address.await;
        let peer = Protocol::P2p(walker.peer());
        walker.full_address = walker.address.clone().with(peer);
        walker
    }

    pub(crate) fn peer(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Begins with one node.
    pub(crate) fn join(&mut self, node: &KadNode) {
        let known = [(node.peer(), vec![node.address().clone()])];
        self.walk().set_bootstrap(known);
    }

    pub(crate) fn walk(&mut self) -> &mut Behaviour<MemoryStore> {
        &mut self.swarm.behaviour_mut().walk
    }

    /// What `look` gives as soon as it gives something, looking after each event.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        within(what, async {
            loop {
                if let Some(found) = look(self) {
                    return found;
                }
                let event = self.swarm.select_next_some().await;
                self.take(event);
            }
        })
        .await
    }

    /// Waits for something else.
    pub(crate) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                output = &mut other => return output,
                event = self.swarm.select_next_some() => self.take(event),
            }
        }
    }

    /// Until its own table and that of its kad have exactly these nodes.
    pub(crate) async fn until_entries(&mut self, nodes: &[&KadNode]) {
        let wanted: BTreeSet<_> = nodes.iter().map(|it| it.peer()).collect();
        self.until("tables as they should be", |it| {
            (it.entries() == wanted && it.entries_of_kad() == wanted).then_some(())
        })
        .await;
    }

    /// The report of this round.
    pub(crate) async fn report(&mut self, round: RoundId) -> Report {
        self.until("report", |it| {
            let mut finished = it.told.iter().filter_map(|event| match event {
                WalkEvent::Finished(report) => Some(report.as_ref()),
                _ => None,
            });
            finished.find(|report| report.id == round).cloned()
        })
        .await
    }

    pub(crate) fn was_admitted(&self, node: &KadNode) -> bool {
        let mut admitted = self.told.iter().filter_map(|event| match event {
            WalkEvent::Admitted(peer) => Some(peer.id()),
            _ => None,
        });
        admitted.any(|peer| peer == node.peer())
    }

    /// Who left and why, in the order of their ids.
    pub(crate) fn evicted(&self) -> Vec<(PeerId, EvictReason)> {
        let evicted = self.told.iter().filter_map(|event| match event {
            WalkEvent::Evicted { peer, reason } => Some((peer.id(), *reason)),
            _ => None,
        });
        let mut evicted: Vec<_> = evicted.collect();
        evicted.sort();
        evicted
    }

    fn entries(&self) -> BTreeSet<PeerId> {
        let table = self.swarm.behaviour().walk.table();
        table.iter().map(|it| it.peer().id()).collect()
    }

    fn entries_of_kad(&mut self) -> BTreeSet<PeerId> {
        let mut all = BTreeSet::new();
        for bucket in self.walk().kbuckets() {
            all.extend(bucket.iter().map(|it| *it.node.key.preimage()));
        }
        all
    }

    fn take(&mut self, event: SwarmEvent<AppEvent>) {
        match event {
            SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                let walk = self.walk();
                walk.on_identified(peer_id, &info.protocols, &info.listen_addrs);
            }
            SwarmEvent::Behaviour(AppEvent::Walk(Event::Walk(event))) => self.told.push(event),
            SwarmEvent::Behaviour(AppEvent::Walk(Event::Kad(kad::Event::InboundRequest {
                request: InboundRequest::FindNode { num_closer_peers },
            }))) => self.answered += usize::from(num_closer_peers > 0),
            _ => {}
        }
    }
}

fn brisk() -> Config {
    let mut config = Config::default();
    let walk = &mut config.walk;
    walk.addresses = AddressPolicy::Any;
    walk.checks.interval_min = Duration::from_secs(2);
    walk.checks.interval_max = Duration::from_secs(2);
    walk.checks.retry_pause = Duration::from_millis(200);
    walk.checks.outage_after = Duration::from_secs(2);
    walk.refresh.interval_min = Duration::from_secs(1);
    walk.lookup.request_timeout = REQUEST_TIMEOUT;
    walk.admission.failed_pause = Duration::from_secs(1);
    walk.budget.messages_per_hour = 1_000_000;
    walk.budget.dials_per_hour = 1_000_000;
    config
}

/// How to run go's nodes and py's; `None` if either is not made.
pub(crate) fn runtimes() -> Option<(KadRuntime, KadRuntime)> {
    let (go, py) = (
        KadRuntime::find(Kademlia::Go),
        KadRuntime::find(Kademlia::Py),
    );
    go.zip(py)
}

/// Until a node's own table holds somebody, with an address.
pub(crate) async fn until_holds(node: &mut KadNode, peers: &[PeerId]) {
    let holds = |table: &Known, peer: &PeerId| table.get(peer).is_some_and(|it| !it.is_empty());
    rv_interop::eventually("entry in a stock table", async || {
        let table = node.table().await;
        let is_there = peers.iter().all(|peer| holds(&table, peer));
        is_there.then_some(())
    })
    .await;
}
