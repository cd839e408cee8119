//! A node: a swarm with a kad, alone or in the behaviour of `dht-walk`, and identify.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dht_walk::driver::Crawler;
use dht_walk::swarm::{Behaviour, Config, Event, Handle, prepare};
use dht_walk::{
    AddressPolicy, CrawlConfig, CrawlCounts, Event as WalkEvent, Peer, Report, RoundKind,
    SweepForecast,
};
use futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, InboundRequest, Mode, QueryResult};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder};
use libp2p::{identify, noise, tcp, yamux};
use rv_sim::walk::Lookups;
use tokio::sync::{mpsc, watch};

/// The DHT of these networks.
const DHT: StreamProtocol = StreamProtocol::new("/rv-bench/kad/1.0.0");

/// Far more than a sweep takes on one machine.
const SWEEP_DEADLINE: Duration = Duration::from_secs(60);

/// Where a node is reached.
pub(crate) type Place = (PeerId, Multiaddr);

/// What all nodes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They tend their tables.
    Tend,
    /// The tables are as they are; who can, sweeps the network.
    Sweep,
}

/// What a node came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) peer: Peer,
    /// When it was told to sweep.
    pub(crate) entries: Vec<Peer>,
    /// FIND_NODE requests that it was asked until then.
    pub(crate) asked: u64,
    /// Its own lookups until then, those of a kad's bootstraps among them.
    pub(crate) lookups: Lookups,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) crawl: Option<CrawlCounts>,
}

/// What a node does after it was told to sweep.
pub(crate) struct Errand {
    pub(crate) is_crawler: bool,
    /// Dropped when all is done.
    pub(crate) done: mpsc::Sender<()>,
}

/// A sweep that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    pub(crate) announced: SweepForecast,
    pub(crate) messages: u64,
    /// Peers that were told of.
    pub(crate) found: usize,
}

/// Kad and identify, as most applications have them.
#[derive(NetworkBehaviour)]
pub(crate) struct Stock {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// The same with the kad wrapped.
#[derive(NetworkBehaviour)]
pub(crate) struct Ours {
    walk: Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// What an event tells of.
pub(crate) enum Told {
    /// A FIND_NODE of another node.
    Asked,
    /// A lookup of so many requests ended.
    Lookup(u32),
    /// A round ended.
    Ended(Box<Report>),
    Nothing,
}

impl Told {
    fn of(event: &kad::Event) -> Self {
        match event {
            kad::Event::InboundRequest {
                request: InboundRequest::FindNode { .. },
            } => Self::Asked,
            kad::Event::OutboundQueryProgressed {
                result: QueryResult::Bootstrap(_),
                stats,
                ..
            } => Self::Lookup(stats.num_requests()),
            _ => Self::Nothing,
        }
    }
}

/// What an application does around a kad.
pub(crate) trait App: NetworkBehaviour<ToSwarm: Send> + Send + Sized {
    /// With the pause between bootstraps that it has where it is alone, and whom it knows.
    fn new(key: &Keypair, bootstrap_every: Duration, known: Option<Place>) -> Result<Self>;

    /// Handles an event.
    fn on_event(&mut self, event: Self::ToSwarm) -> Told;

    /// Begins to sweep the network, where it can and knows what that takes.
    fn sweep(&mut self) -> Option<SweepForecast>;

    /// A crawl of the network that begins with the table, where it can.
    fn crawler(&mut self) -> Option<Crawler<Handle>>;

    fn kad(&mut self) -> &mut kad::Behaviour<MemoryStore>;
}

fn identify(key: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new("/rv-bench/1.0.0".to_owned(), key.public());
    identify::Behaviour::new(config)
}

impl App for Stock {
    fn new(key: &Keypair, bootstrap_every: Duration, known: Option<Place>) -> Result<Self> {
        let peer = key.public().to_peer_id();
        let mut config = kad::Config::new(DHT);
        config.set_periodic_bootstrap_interval(Some(bootstrap_every));
        let mut kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), config);
        kad.set_mode(Some(Mode::Server));
        if let Some((known, address)) = known {
            kad.add_address(&known, address);
        }
        let identify = identify(key);
        Ok(Self { kad, identify })
    }

    fn on_event(&mut self, event: StockEvent) -> Told {
        match event {
            StockEvent::Identify(identify::Event::Received { peer_id, info, .. })
                if info.protocols.contains(&DHT) =>
            {
                for address in info.listen_addrs {
                    self.kad.add_address(&peer_id, address);
                }
                Told::Nothing
            }
            StockEvent::Identify(_) => Told::Nothing,
            StockEvent::Kad(event) => Told::of(&event),
        }
    }

    fn sweep(&mut self) -> Option<SweepForecast> {
        None
    }

    fn crawler(&mut self) -> Option<Crawler<Handle>> {
        None
    }

    fn kad(&mut self) -> &mut kad::Behaviour<MemoryStore> {
        &mut self.kad
    }
}

impl App for Ours {
    fn new(key: &Keypair, _: Duration, known: Option<Place>) -> Result<Self> {
        let peer = key.public().to_peer_id();
        let mut of_kad = kad::Config::new(DHT);
        prepare(&mut of_kad);
        let kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), of_kad);
        let mut config = Config::default();
        config.walk.addresses = AddressPolicy::Any;
        let mut walk = Behaviour::new(peer, kad, config)?;
        walk.set_mode(Some(Mode::Server));
        walk.set_bootstrap(
            known
                .into_iter()
                .map(|(peer, address)| (peer, vec![address])),
        );
        let identify = identify(key);
        Ok(Self { walk, identify })
    }

    fn on_event(&mut self, event: OursEvent) -> Told {
        match event {
            OursEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.walk
                    .on_identified(peer_id, &info.protocols, &info.listen_addrs);
                Told::Nothing
            }
            OursEvent::Walk(Event::Walk(WalkEvent::LookupEnded { report, .. })) => {
                Told::Lookup(report.requests)
            }
            OursEvent::Walk(Event::Walk(WalkEvent::Finished(report))) => Told::Ended(report),
            OursEvent::Identify(_) | OursEvent::Walk(Event::Walk(_)) => Told::Nothing,
            OursEvent::Walk(Event::Kad(event)) => Told::of(&event),
        }
    }

    fn sweep(&mut self) -> Option<SweepForecast> {
        let forecast = self.walk.forecast_sweep()?;
        let begun = self.walk.sweep(forecast.slices, SWEEP_DEADLINE);
        begun.is_ok().then_some(forecast)
    }

    fn crawler(&mut self) -> Option<Crawler<Handle>> {
        let config = CrawlConfig {
            addresses: AddressPolicy::Any,
            ..CrawlConfig::default()
        };
        let handle = self.walk.handle();
        let mut crawler = Crawler::new(handle.local(), handle, config).ok()?;
        crawler.add_seeds(self.walk.table().iter().map(|entry| entry.contact()));
        Some(crawler)
    }

    fn kad(&mut self) -> &mut kad::Behaviour<MemoryStore> {
        &mut self.walk
    }
}

/// A node that listens.
pub(crate) struct Node<B: App> {
    swarm: Swarm<B>,
    pub(crate) place: Place,
}

impl<B: App> Node<B> {
    /// Begins to listen on loopback.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub(crate) async fn start(bootstrap_every: Duration, known: Option<Place>) -> Result<Self> {
        let key = Keypair::generate_ed25519();
        let behaviour = B::new(&key, bootstrap_every, known)?;
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )?
            .with_behaviour(|_| behaviour)
            .context("the behaviour is there")?
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let place = (*swarm.local_peer_id(), address);
        Ok(Self { swarm, place })
    }

    /// Tends its table until it is told to sweep, runs its errand if it has one, and serves until
    /// nobody holds the other end of `phase`.
    pub(crate) async fn run(
        mut self,
        errand: Option<Errand>,
        mut phase: watch::Receiver<Phase>,
    ) -> Outcome {
        let (mut asked, mut lookups) = (0, Lookups::default());
        let mut outcome = loop {
            tokio::select! {
                biased;
                // Who held the other end is gone, which is an end as well.
                _ = phase.changed() => break self.outcome(asked, lookups),
                told = self.next() => match told {
                    Told::Asked => asked += 1,
                    Told::Lookup(requests) => lookups.add(requests),
                    Told::Ended(_) | Told::Nothing => {}
                },
            }
        };
        if let Some(Errand { is_crawler, done }) = errand {
            outcome.sweep = self.sweep().await;
            if is_crawler {
                outcome.crawl = self.crawl().await;
            }
            drop(done);
        }
        self.serve_until(phase).await;
        outcome
    }

    async fn sweep(&mut self) -> Option<Sweep> {
        let announced = self.swarm.behaviour_mut().sweep()?;
        loop {
            if let Told::Ended(report) = self.next().await
                && matches!(report.kind, RoundKind::Sweep { .. })
            {
                return Some(Sweep {
                    announced,
                    messages: report.requests(),
                    found: report.found.len(),
                });
            }
        }
    }

    async fn crawl(&mut self) -> Option<CrawlCounts> {
        let mut crawler = self.swarm.behaviour_mut().crawler()?;
        loop {
            tokio::select! {
                event = crawler.next() => if event.is_none() {
                    return Some(crawler.counts());
                },
                _ = self.next() => {}
            }
        }
    }

    /// Serves those that sweep, until nobody holds the other end.
    async fn serve_until(&mut self, mut phase: watch::Receiver<Phase>) {
        loop {
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() {
                    return;
                },
                _ = self.next() => {}
            }
        }
    }

    async fn next(&mut self) -> Told {
        match self.swarm.select_next_some().await {
            SwarmEvent::Behaviour(event) => self.swarm.behaviour_mut().on_event(event),
            _ => Told::Nothing,
        }
    }

    fn outcome(&mut self, asked: u64, lookups: Lookups) -> Outcome {
        let mut entries = Vec::new();
        for bucket in self.swarm.behaviour_mut().kad().kbuckets() {
            let held = bucket.iter().map(|it| Peer::new(*it.node.key.preimage()));
            entries.extend(held);
        }
        Outcome {
            peer: Peer::new(self.place.0),
            entries,
            asked,
            lookups,
            sweep: None,
            crawl: None,
        }
    }
}
