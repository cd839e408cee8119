//! The swarm of the client commands: it dials points, and listens only where it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping};
use rv_client::rv_core::client::{Cause, ClientConfig, Event};
use rv_client::{Behaviour, Config};
use tokio::time::{Instant, timeout_at};

use super::points::Points;
use super::transport;
use super::trouble::{self, Trouble};
use crate::args::CommonArgs;
use crate::failure::{Exit, Failure};

/// A peer on the network with the points that it talks to.
pub(super) struct Node {
    swarm: Swarm<Parts>,
    points: Points,
    /// The names of the protocol, for people.
    protocols: String,
    connected: BTreeSet<PeerId>,
    identified: BTreeSet<PeerId>,
    /// Why points that are not connected could not be dialled.
    troubles: BTreeMap<PeerId, Trouble>,
}

#[derive(NetworkBehaviour)]
struct Parts {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    rendezvous: Behaviour,
}

/// How long a connection is kept that nothing uses: a person reads meanwhile, and pings keep no
/// connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one request may take on a connection that stands.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Entries and pages of one listing: what a point holds by default, in the smallest pages of all
/// known ones.
const LISTING_ENTRIES_MAX: usize = 1_000_000;
const LISTING_PAGES_MAX: usize = 20_000;

impl Node {
    /// A node that is not connected yet. `change` sets what differs between the commands.
    pub(super) async fn start(
        args: &CommonArgs,
        key: Keypair,
        points: Points,
        change: impl FnOnce(&mut ClientConfig),
    ) -> Result<Self, Failure> {
        let mut config = Config {
            client: ClientConfig {
                lists_own: true,
                request_timeout: REQUEST_TIMEOUT,
                listing_entries_max: LISTING_ENTRIES_MAX,
                listing_pages_max: LISTING_PAGES_MAX,
                ..ClientConfig::default()
            },
            // Nobody who was found is dialled.
            found_peers_max: 0,
            ..Config::default()
        };
        if !args.protocols.is_empty() {
            config.protocols.clone_from(&args.protocols);
        }
        change(&mut config.client);
        let protocols: Vec<_> = config.protocols.iter().map(ToString::to_string).collect();
        let parts = |key: &Keypair| {
            Ok(Parts {
                identify: identify::Behaviour::new(transport::identify(key)),
                ping: ping::Behaviour::default(),
                rendezvous: Behaviour::new(key.clone(), config)?,
            })
        };
        let swarm = transport::build(key, points.need_dns(), IDLE_TIMEOUT, parts)
            .await
            .map_err(|error| Failure::new(Exit::Internal, error))?;
        Ok(Self {
            swarm,
            points,
            protocols: protocols.join(" or "),
            connected: BTreeSet::new(),
            identified: BTreeSet::new(),
            troubles: BTreeMap::new(),
        })
    }

    pub(super) const fn points(&self) -> &Points {
        &self.points
    }

    pub(super) fn peer(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    pub(super) fn rendezvous(&mut self) -> &mut Behaviour {
        &mut self.swarm.behaviour_mut().rendezvous
    }

    /// Announces an address to every point.
    pub(super) fn add_external_address(&mut self, address: Multiaddr) {
        self.swarm.add_external_address(address);
    }

    /// Dials every point, and waits until they said what they speak. Returns those that can be
    /// asked, and what is wrong with the others.
    pub(super) async fn connect(&mut self) -> (Vec<PeerId>, Vec<Trouble>) {
        let dials: Vec<_> = self
            .points
            .iter()
            .map(|(point, addresses)| (point, addresses.to_vec()))
            .collect();
        for (point, addresses) in dials {
            let options = DialOpts::peer_id(point).addresses(addresses).build();
            if let Err(error) = self.swarm.dial(options) {
                self.troubles
                    .insert(point, Trouble::of_dial(&point, &error));
            }
        }
        let mut until = None;
        while !self.is_settled() {
            if !self.connected.is_empty() {
                until.get_or_insert_with(|| Instant::now() + transport::SETTLE);
            }
            match until {
                None => drop(self.step().await),
                Some(until) => {
                    if timeout_at(until, self.step()).await.is_err() {
                        break;
                    }
                }
            }
        }
        let troubles = &self.troubles;
        let ready = self.points.ids();
        let ready = ready.filter(|point| !troubles.contains_key(point));
        (ready.collect(), troubles.values().cloned().collect())
    }

    /// As [`connect`](Self::connect), and lets those that can be asked be asked.
    ///
    /// # Errors
    ///
    /// If none can be asked, or more than the client takes.
    pub(super) async fn reach(&mut self) -> Result<(Vec<PeerId>, Vec<Trouble>), Failure> {
        let (ready, troubles) = self.connect().await;
        if ready.is_empty() {
            return Err(trouble::failure(troubles));
        }
        self.add_points(ready.iter().copied())?;
        Ok((ready, troubles))
    }

    /// Lets these points be asked.
    ///
    /// # Errors
    ///
    /// If there are more than the client takes.
    pub(super) fn add_points(
        &mut self,
        points: impl IntoIterator<Item = PeerId>,
    ) -> Result<(), Failure> {
        for point in points {
            let addresses = self.points.addresses(&point).to_vec();
            self.rendezvous()
                .add_point(point, addresses)
                .map_err(|error| Failure::new(Exit::Internal, error))?;
        }
        Ok(())
    }

    /// Listens on a free port of this address. Returns where.
    pub(super) async fn listen(&mut self, on: Multiaddr) -> anyhow::Result<Multiaddr> {
        let listener = self.swarm.listen_on(on)?;
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr {
                    listener_id,
                    address,
                } if listener_id == listener => return Ok(address),
                SwarmEvent::ListenerClosed {
                    listener_id,
                    reason: Err(error),
                    ..
                } if listener_id == listener => return Err(error.into()),
                event => drop(self.take(event)),
            }
        }
    }

    /// The next thing that happened between us and a point.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.step().await {
                return event;
            }
        }
    }

    /// What a failure at a point means, for people.
    pub(super) fn explain(&self, point: &PeerId, cause: &Cause) -> Trouble {
        use rv_client::rv_core::client::Failure as Fault;
        let is_unreachable = *cause == Cause::Failed(Fault::Unreachable);
        match self.troubles.get(point) {
            Some(trouble) if is_unreachable => trouble.clone(),
            _ => Trouble::of_cause(&self.points.name(point), &self.protocols, cause),
        }
    }

    fn is_settled(&self) -> bool {
        self.points
            .ids()
            .all(|point| self.identified.contains(&point) || self.troubles.contains_key(&point))
    }

    async fn step(&mut self) -> Option<Event> {
        let event = self.swarm.select_next_some().await;
        self.take(event)
    }

    fn take(&mut self, event: SwarmEvent<PartsEvent>) -> Option<Event> {
        match event {
            SwarmEvent::Behaviour(PartsEvent::Rendezvous(event)) => return Some(event),
            SwarmEvent::Behaviour(PartsEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                self.rendezvous()
                    .on_identified(peer_id, &info.agent_version, info.protocols);
                self.identified.insert(peer_id);
            }
            // It does not say what it is, which is no reason to wait for it.
            SwarmEvent::Behaviour(PartsEvent::Identify(identify::Event::Error {
                peer_id, ..
            })) => {
                self.identified.insert(peer_id);
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                self.connected.insert(peer_id);
                self.troubles.remove(&peer_id);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(point),
                error,
                ..
            } => {
                self.troubles
                    .insert(point, Trouble::of_dial(&point, &error));
            }
            _ => {}
        }
        None
    }
}
