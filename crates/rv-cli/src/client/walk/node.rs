//! A peer that asks others of a DHT and serves nobody: it does not listen, and its kad is a client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dht_walk::swarm::{self, Behaviour, libp2p_kad as kad};
use dht_walk::{Contact, Event, Peer};
use futures::StreamExt as _;
use kad::store::MemoryStore;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, StreamProtocol, Swarm, identify};
use tokio::time::{Instant, timeout_at};

use super::super::trouble::Trouble;
use super::{Points, internal, transport, trouble};
use crate::failure::{Exit, Failure};

pub(super) struct Node {
    swarm: Swarm<Parts>,
    bootstrap: Points,
    protocol: StreamProtocol,
    connected: BTreeSet<PeerId>,
    /// Who said what it speaks.
    identified: BTreeSet<PeerId>,
    troubles: BTreeMap<PeerId, Trouble>,
    /// What those who were asked run.
    agents: BTreeMap<PeerId, String>,
    /// Happened, and was not told yet.
    events: VecDeque<Event>,
}

#[derive(NetworkBehaviour)]
struct Parts {
    identify: identify::Behaviour,
    walk: Behaviour<MemoryStore>,
}

/// How long a connection is kept that nothing uses: as long as a peer waits for its next question.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Agents that are remembered until they are told.
const AGENTS_MAX: usize = 4_096;

impl Node {
    /// A node that is not connected yet. Each has an identity of its own, since nobody is to find
    /// it again.
    pub(super) async fn start(
        bootstrap: Points,
        protocol: &StreamProtocol,
        config: swarm::Config,
    ) -> Result<Self, Failure> {
        let name = protocol.clone();
        let parts = |key: &Keypair| {
            let local = key.public().to_peer_id();
            let mut kad_config = kad::Config::new(name);
            swarm::prepare(&mut kad_config);
            let store = MemoryStore::new(local);
            let kad = kad::Behaviour::with_config(local, store, kad_config);
            let mut walk = Behaviour::new(local, kad, config)?;
            walk.set_mode(Some(kad::Mode::Client));
            let identify = identify::Behaviour::new(transport::identify(key));
            Ok(Parts { identify, walk })
        };
        let key = Keypair::generate_ed25519();
        let swarm = transport::build(key, bootstrap.need_dns(), IDLE_TIMEOUT, parts);
        let mut swarm = swarm.await.map_err(internal)?;
        let all = bootstrap.iter().map(|(peer, at)| (peer, at.to_vec()));
        swarm.behaviour_mut().walk.set_bootstrap(all);
        Ok(Self {
            swarm,
            bootstrap,
            protocol: protocol.clone(),
            connected: BTreeSet::new(),
            identified: BTreeSet::new(),
            troubles: BTreeMap::new(),
            agents: BTreeMap::new(),
            events: VecDeque::new(),
        })
    }

    pub(super) fn peer(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    pub(super) fn walk(&mut self) -> &mut Behaviour<MemoryStore> {
        &mut self.swarm.behaviour_mut().walk
    }

    /// The bootstrap peers, as seeds.
    pub(super) fn seeds(&self) -> Vec<Contact> {
        let peers = self.bootstrap.iter();
        let contact =
            |(peer, at): (PeerId, &[_])| Contact::new(Peer::new(peer), at.iter().cloned());
        peers.map(contact).collect()
    }

    /// What a peer that was asked runs, if it said so. It is told once.
    pub(super) fn take_agent(&mut self, peer: &PeerId) -> Option<String> {
        self.agents.remove(peer)
    }

    /// Dials the bootstrap peers, and waits until they said what they speak. Returns what is wrong
    /// with some of them.
    ///
    /// # Errors
    ///
    /// If something is wrong with all of them.
    pub(super) async fn connect(&mut self) -> Result<Vec<Trouble>, Failure> {
        let dials: Vec<_> = self
            .bootstrap
            .iter()
            .map(|(peer, addresses)| (peer, addresses.to_vec()))
            .collect();
        for (peer, addresses) in dials {
            // The walk may dial it too, at the same addresses.
            let options = DialOpts::peer_id(peer)
                .addresses(addresses)
                .condition(PeerCondition::Always)
                .build();
            if let Err(error) = self.swarm.dial(options) {
                let trouble = Trouble::of_dial(&peer, &error);
                self.troubles.insert(peer, trouble);
            }
        }
        let mut until = None;
        while !self.is_settled() {
            if !self.connected.is_empty() {
                until.get_or_insert_with(|| Instant::now() + transport::SETTLE);
            }
            let step = self.step();
            match until {
                None => step.await,
                Some(until) => {
                    if timeout_at(until, step).await.is_err() {
                        break;
                    }
                }
            }
        }
        let troubles: Vec<_> = self.troubles.values().cloned().collect();
        if self
            .bootstrap
            .ids()
            .all(|it| self.troubles.contains_key(&it))
        {
            return Err(trouble::failure(troubles));
        }
        Ok(troubles)
    }

    /// The next thing that the walk tells.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.next_or_idle().await {
                return event;
            }
        }
    }

    /// Ends what kad looks up by itself; says whether there was anything.
    pub(super) fn end_bootstraps(&mut self) -> bool {
        let mut is_any = false;
        for mut query in self.walk().iter_queries_mut() {
            query.finish();
            is_any = true;
        }
        is_any
    }

    /// The next thing that the walk tells, or nothing where something else happened.
    pub(super) async fn next_or_idle(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.step().await;
        }
        self.events.pop_front()
    }

    fn is_settled(&self) -> bool {
        let mut peers = self.bootstrap.ids();
        peers.all(|it| self.identified.contains(&it) || self.troubles.contains_key(&it))
    }

    /// Lets one thing happen.
    pub(super) async fn step(&mut self) {
        match self.swarm.select_next_some().await {
            SwarmEvent::Behaviour(PartsEvent::Walk(swarm::Event::Walk(event))) => {
                self.events.push_back(event);
            }
            SwarmEvent::Behaviour(PartsEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.on_identified(peer_id, info),
            // It does not say what it is, which is no reason to wait for it.
            SwarmEvent::Behaviour(PartsEvent::Identify(identify::Event::Error {
                peer_id, ..
            })) => {
                self.identified.insert(peer_id);
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. }
                if self.bootstrap.contains(&peer_id) =>
            {
                self.connected.insert(peer_id);
                self.troubles.remove(&peer_id);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } if self.bootstrap.contains(&peer) && !self.connected.contains(&peer) => {
                let trouble = Trouble::of_dial(&peer, &error);
                self.troubles.insert(peer, trouble);
            }
            _ => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let walk = &mut self.swarm.behaviour_mut().walk;
        walk.on_identified(peer, &info.protocols, &info.listen_addrs);
        if self.bootstrap.contains(&peer) && self.identified.insert(peer) {
            let protocol = &self.protocol;
            if !info.protocols.contains(protocol) {
                let name = self.bootstrap.name(&peer);
                let sentence = format!(
                    "{name} does not serve {protocol}: use another peer, or the name of its own \
                     DHT in --protocol"
                );
                let trouble = Trouble::new(Exit::Broken, sentence);
                self.troubles.insert(peer, trouble);
            }
        }
        if self.agents.len() < AGENTS_MAX {
            self.agents.insert(peer, info.agent_version);
        }
    }
}
