//! Swarms, each in a task of its own: stock nodes of libp2p-kad, and ours.

use std::future::{Future, pending};
use std::time::Duration;

use dht_walk::swarm::{Behaviour, Config, Event, prepare};
use dht_walk::{AddressPolicy, BudgetLimits, Event as WalkEvent, Report};
use futures::StreamExt as _;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Mode};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, SwarmEvent, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder};
use libp2p::{identify, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long a test waits for one thing: far above what a loaded machine needs for it.
const WAIT: Duration = Duration::from_secs(90);

pub(crate) const DHT: StreamProtocol = StreamProtocol::new("/test/kad/1.0.0");

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("no {what} within {WAIT:?}"),
    }
}

/// Kad and identify, as most applications have them.
#[derive(NetworkBehaviour)]
pub(crate) struct Stock {
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// The same with the kad wrapped.
#[derive(NetworkBehaviour)]
pub(crate) struct Ours {
    pub(crate) walk: Behaviour<MemoryStore>,
    identify: identify::Behaviour,
    pub(crate) cut: Cut,
}

/// What an application does with an event.
pub(crate) trait App: NetworkBehaviour<ToSwarm: Send> + Send {
    fn on_event(&mut self, event: &Self::ToSwarm);
}

impl App for Stock {
    fn on_event(&mut self, event: &StockEvent) {
        if let StockEvent::Identify(identify::Event::Received { peer_id, info, .. }) = event
            && info.protocols.contains(&DHT)
        {
            for address in &info.listen_addrs {
                self.kad.add_address(peer_id, address.clone());
            }
        }
    }
}

impl App for Ours {
    fn on_event(&mut self, event: &OursEvent) {
        if let OursEvent::Identify(identify::Event::Received { peer_id, info, .. }) = event {
            self.walk
                .on_identified(*peer_id, &info.protocols, &info.listen_addrs);
        }
    }
}

/// The line to everybody, which can be cut: then nothing is dialled.
#[derive(Default)]
pub(crate) struct Cut {
    pub(crate) is_cut: bool,
}

impl Cut {
    fn pass(&self) -> Result<(), ConnectionDenied> {
        match self.is_cut {
            true => Err(ConnectionDenied::new("the line is cut")),
            false => Ok(()),
        }
    }
}

impl NetworkBehaviour for Cut {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pass().map(|()| dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.pass().map(|()| Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pass().map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        std::task::Poll::Pending
    }
}

/// Looks at a swarm and its events until now; true when it has seen enough.
type Look<B> = Box<dyn FnMut(&mut Swarm<B>, &[<B as NetworkBehaviour>::ToSwarm]) -> bool + Send>;

enum Order<B: NetworkBehaviour> {
    /// Polls the swarm no more. What runs on its connections goes on.
    Freeze(oneshot::Sender<()>),
    /// Looks now, and after each event.
    Look(Look<B>),
}

/// A swarm in a task, which ends when this is dropped.
pub(crate) struct Node<B: App> {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    orders: mpsc::Sender<Order<B>>,
    task: JoinHandle<()>,
}

impl<B: App> Node<B> {
    pub(crate) async fn start(number: u8, make: impl FnOnce(&Keypair) -> B) -> Self {
        let key = key(number);
        let behaviour = make(&key);
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .expect("noise takes the key")
            .with_behaviour(|_| behaviour)
            .expect("the behaviour is there")
            .with_swarm_config(|config| config.with_idle_connection_timeout(WAIT))
            .build();
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        swarm.listen_on(listen).expect("loopback is there");
        let mut events = Vec::new();
        let address = within("address", async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { address, .. } => return address,
                    event => take(&mut swarm, &mut events, event),
                }
            }
        })
        .await;
        let peer = *swarm.local_peer_id();
        let (orders, inbox) = mpsc::channel(16);
        let task = tokio::spawn(run(swarm, events, inbox));
        Self {
            peer,
            address,
            orders,
            task,
        }
    }

    /// Does something with the swarm.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Swarm<B>) -> T + Send + 'static,
    ) -> T {
        let mut work = Some(work);
        let once = move |swarm: &mut Swarm<B>, _: &[B::ToSwarm]| work.take().map(|it| it(swarm));
        self.until("turn of the swarm", once).await
    }

    /// What `look` gives as soon as it gives something.
    pub(crate) async fn until<T: Send + 'static>(
        &self,
        what: &str,
        look: impl FnMut(&mut Swarm<B>, &[B::ToSwarm]) -> Option<T> + Send + 'static,
    ) -> T {
        self.watch(what, look).await.await
    }

    /// Begins to look now, and gives what `look` gives as soon as it gives something.
    pub(crate) async fn watch<T: Send + 'static>(
        &self,
        what: &str,
        mut look: impl FnMut(&mut Swarm<B>, &[B::ToSwarm]) -> Option<T> + Send + 'static,
    ) -> impl Future<Output = T> {
        let (sender, seen) = oneshot::channel();
        let mut sender = Some(sender);
        let look = Box::new(move |swarm: &mut Swarm<B>, events: &[B::ToSwarm]| {
            let Some(found) = look(swarm, events) else {
                return false;
            };
            // A test that waits no longer has failed already.
            let _ = sender.take().map(|it| it.send(found));
            true
        });
        self.order(Order::Look(look)).await;
        let what = what.to_owned();
        async move { within(&what, seen).await.expect("the task runs") }
    }

    pub(crate) async fn freeze(&self) {
        let (sender, frozen) = oneshot::channel();
        self.order(Order::Freeze(sender)).await;
        within("standstill", frozen).await.expect("the task runs");
    }

    /// The swarm is gone when this returns.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let ended = within("end of a task", &mut self.task).await;
        assert!(ended.is_err_and(|it| it.is_cancelled()));
    }

    async fn order(&self, order: Order<B>) {
        assert!(self.orders.send(order).await.is_ok(), "the task runs");
    }
}

impl<B: App> Drop for Node<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn take<B: App>(swarm: &mut Swarm<B>, events: &mut Vec<B::ToSwarm>, event: SwarmEvent<B::ToSwarm>) {
    if let SwarmEvent::Behaviour(event) = event {
        swarm.behaviour_mut().on_event(&event);
        events.push(event);
    }
}

async fn run<B: App>(
    mut swarm: Swarm<B>,
    mut events: Vec<B::ToSwarm>,
    mut inbox: mpsc::Receiver<Order<B>>,
) {
    let mut looks = Vec::<Look<B>>::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => take(&mut swarm, &mut events, event),
            Some(order) = inbox.recv() => match order {
                Order::Freeze(frozen) => {
                    let _ = frozen.send(());
                    pending::<()>().await;
                }
                Order::Look(look) => looks.push(look),
            }
        }
        looks.retain_mut(|look| !look(&mut swarm, &events));
    }
}

/// The same keys in every run, so the same buckets.
pub(crate) fn key(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes are a key")
}

fn identify(key: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new("/test/1.0.0".to_owned(), key.public());
    identify::Behaviour::new(config)
}

pub(crate) async fn stock(number: u8) -> Node<Stock> {
    Node::start(number, |key| {
        let peer = key.public().to_peer_id();
        let config = kad::Config::new(DHT);
        let mut kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), config);
        kad.set_mode(Some(Mode::Server));
        let identify = identify(key);
        Stock { kad, identify }
    })
    .await
}

/// Stock nodes in a ring, each of which was told of the ten that follow it.
pub(crate) async fn network(count: u8) -> Vec<Node<Stock>> {
    ring(count, 10).await
}

/// Stock nodes each of which was told of all others.
pub(crate) async fn acquainted(count: u8) -> Vec<Node<Stock>> {
    ring(count, usize::from(count) - 1).await
}

async fn ring(count: u8, told_of: usize) -> Vec<Node<Stock>> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        nodes.push(stock(number).await);
    }
    for (at, node) in nodes.iter().enumerate() {
        let next = nodes.iter().cycle().skip(at + 1).take(told_of);
        let next: Vec<_> = next.map(|it| (it.peer, it.address.clone())).collect();
        node.with(move |swarm| {
            for (peer, address) in next {
                swarm.behaviour_mut().kad.add_address(&peer, address);
            }
        })
        .await;
    }
    nodes
}

/// Bounds of a node on loopback that may spend what it likes and checks each entry at this pace.
pub(crate) fn brisk(check_every: Duration) -> Config {
    let mut config = Config::default();
    let walk = &mut config.walk;
    walk.addresses = AddressPolicy::Any;
    walk.budget = BudgetLimits {
        messages_per_hour: 1_000_000,
        messages_burst: 100_000,
        dials_per_hour: 1_000_000,
        dials_burst: 100_000,
        in_flight_max: 32,
    };
    walk.checks.interval_min = check_every;
    walk.checks.interval_max = check_every;
    walk.checks.retry_pause = Duration::from_millis(200);
    walk.checks.outage_after = Duration::from_secs(2);
    walk.refresh.interval_min = Duration::from_secs(1);
    config
}

/// Bounds of a node that does nothing by itself.
pub(crate) fn by_hand() -> Config {
    let mut config = brisk(Duration::from_secs(60));
    config.walk.auto = false;
    config
}

pub(crate) async fn ours(config: Config) -> Node<Ours> {
    ours_knowing(config, &[], |_| ()).await
}

/// A node of ours around a kad that was told of these peers already, and what is done with it
/// before anything else happens.
pub(crate) async fn ours_knowing<'a>(
    config: Config,
    nodes: impl IntoIterator<Item = &'a Node<Stock>>,
    first: impl FnOnce(&mut Behaviour<MemoryStore>),
) -> Node<Ours> {
    Node::start(200, |key| {
        let peer = key.public().to_peer_id();
        let mut of_kad = kad::Config::new(DHT);
        prepare(&mut of_kad);
        let mut kad = kad::Behaviour::with_config(peer, MemoryStore::new(peer), of_kad);
        for node in nodes {
            kad.add_address(&node.peer, node.address.clone());
        }
        let mut walk = Behaviour::new(peer, kad, config).expect("the bounds make sense");
        walk.set_mode(Some(Mode::Server));
        first(&mut walk);
        Ours {
            walk,
            identify: identify(key),
            cut: Cut::default(),
        }
    })
    .await
}

impl Node<Ours> {
    /// Tells kad of these peers, as any application does.
    pub(crate) async fn add(&self, nodes: &[Node<Stock>]) {
        let all: Vec<_> = nodes
            .iter()
            .map(|it| (it.peer, it.address.clone()))
            .collect();
        self.with(move |swarm| {
            for (peer, address) in all {
                swarm.behaviour_mut().walk.add_address(&peer, address);
            }
        })
        .await;
        let count = nodes.len();
        self.until("all entries", move |swarm, _| {
            (swarm.behaviour().walk.table().len() >= count).then_some(())
        })
        .await;
    }

    /// The report of the round of this number, counted from the first.
    pub(crate) async fn report(&self, number: usize) -> Report {
        self.until("report", move |_, events| reports(events).nth(number))
            .await
    }

    /// Looks at the events until now.
    pub(crate) async fn with_events<T: Send + 'static>(
        &self,
        look: impl Fn(&[OursEvent]) -> T + Send + 'static,
    ) -> T {
        self.until("turn of the swarm", move |_, events| Some(look(events)))
            .await
    }

    /// The peers of the walk's table and of kad's, in order.
    pub(crate) async fn tables(&self) -> (Vec<PeerId>, Vec<PeerId>) {
        self.with(both_tables).await
    }
}

pub(crate) fn both_tables(swarm: &mut Swarm<Ours>) -> (Vec<PeerId>, Vec<PeerId>) {
    let walk = &mut swarm.behaviour_mut().walk;
    let mut of_walk: Vec<PeerId> = walk.table().iter().map(|it| it.peer().id()).collect();
    of_walk.sort();
    (of_walk, kad_table(walk))
}

pub(crate) fn kad_table(kad: &mut kad::Behaviour<MemoryStore>) -> Vec<PeerId> {
    let mut all = Vec::new();
    for bucket in kad.kbuckets() {
        all.extend(bucket.iter().map(|it| *it.node.key.preimage()));
    }
    all.sort();
    all
}

pub(crate) fn peers(nodes: &[Node<Stock>]) -> Vec<PeerId> {
    let mut all: Vec<PeerId> = nodes.iter().map(|it| it.peer).collect();
    all.sort();
    all
}

/// What the walk told.
pub(crate) fn told(events: &[OursEvent]) -> impl Iterator<Item = &WalkEvent> {
    events.iter().filter_map(|event| match event {
        OursEvent::Walk(Event::Walk(told)) => Some(told),
        _ => None,
    })
}

pub(crate) fn reports(events: &[OursEvent]) -> impl Iterator<Item = Report> {
    told(events).filter_map(|event| match event {
        WalkEvent::Finished(report) => Some(report.as_ref().clone()),
        _ => None,
    })
}
