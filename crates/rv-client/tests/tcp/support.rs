//! Points and clients, each in a task of its own.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, rendezvous, tcp, yamux};
use rv_client::rv_core::client::{ClientConfig, RegisterOptions};
use rv_client::rv_proto::{Namespace, Scope, Ttl};
use rv_client::{Behaviour, Client, Config, Event};
use rv_server::random_epoch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long a test waits for one thing: far above what a loaded machine needs for it.
const WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("no {what} within {WAIT:?}"),
    }
}

/// Asks again and again until `ask` gives something.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("a good name")
}

pub(crate) fn scope(name: &str) -> Scope {
    Scope::Namespace(namespace(name))
}

pub(crate) fn secs(ttl: u64) -> Option<Ttl> {
    Some(Ttl::from_secs(ttl).expect("a good ttl"))
}

pub(crate) fn ttl(ttl: u64) -> RegisterOptions {
    RegisterOptions {
        ttl: secs(ttl),
        ..RegisterOptions::default()
    }
}

pub(crate) fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().expect("a good address")
}

/// The address that clients of the tests register. Nobody dials it.
pub(crate) fn external() -> Multiaddr {
    "/ip4/203.0.113.7/tcp/4001".parse().expect("a good address")
}

pub(crate) fn swarm<B: NetworkBehaviour>(key: &Keypair, behaviour: B) -> Swarm<B> {
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .expect("noise takes the key")
        .with_behaviour(|_| behaviour)
        .expect("the behaviour is there")
        .build()
}

type Job<B> = Box<dyn FnOnce(&mut Swarm<B>) + Send>;

/// A swarm in a task, which ends when this is dropped.
pub(crate) struct Node<B: NetworkBehaviour> {
    pub(crate) peer: PeerId,
    jobs: mpsc::Sender<Job<B>>,
    events: Arc<Mutex<Vec<B::ToSwarm>>>,
    task: JoinHandle<()>,
}

impl<B: NetworkBehaviour + Send> Node<B> {
    pub(crate) fn spawn(mut swarm: Swarm<B>) -> Self {
        let peer = *swarm.local_peer_id();
        let (jobs, mut inbox) = mpsc::channel::<Job<B>>(16);
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => {
                        if let SwarmEvent::Behaviour(event) = event {
                            log.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                        }
                    }
                    Some(job) = inbox.recv() => job(&mut swarm),
                }
            }
        });
        Self {
            peer,
            jobs,
            events,
            task,
        }
    }

    /// Does something with the swarm.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Swarm<B>) -> T + Send + 'static,
    ) -> T {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let job: Job<B> = Box::new(move |swarm| {
            let _ = reply.send(job(swarm));
        });
        assert!(self.jobs.send(job).await.is_ok(), "the swarm runs");
        answer.await.expect("the swarm runs")
    }

    /// What `pick` gives for the first event that it gives anything for.
    pub(crate) fn find<T>(&self, pick: impl FnMut(&B::ToSwarm) -> Option<T>) -> Option<T> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().find_map(pick)
    }

    /// How many events match.
    pub(crate) fn count(&self, matches: impl Fn(&B::ToSwarm) -> bool) -> usize {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| matches(event)).count()
    }

    /// What `pick` makes of the events, in their order.
    pub(crate) fn all<T>(&self, pick: impl Fn(&B::ToSwarm) -> Option<T>) -> Vec<T> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter_map(pick).collect()
    }

    /// Ends it, connections and listeners included.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let ended = within("end of the swarm", &mut self.task).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }
}

impl<B: NetworkBehaviour> Drop for Node<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens, and waits for the address.
pub(crate) async fn listen<B: NetworkBehaviour>(swarm: &mut Swarm<B>, on: Multiaddr) -> Multiaddr {
    swarm.listen_on(on).expect("TCP is there");
    within("address to listen on", async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => return address,
                SwarmEvent::ListenerClosed { reason, .. } => panic!("cannot listen: {reason:?}"),
                _ => {}
            }
        }
    })
    .await
}

/// A point, and where it is.
pub(crate) struct Point<B: NetworkBehaviour> {
    pub(crate) node: Node<B>,
    pub(crate) address: Multiaddr,
}

impl<B: NetworkBehaviour + Send> Point<B> {
    pub(crate) async fn start(key: &Keypair, behaviour: B, on: Multiaddr) -> Self {
        let mut swarm = swarm(key, behaviour);
        let address = listen(&mut swarm, on).await;
        let node = Node::spawn(swarm);
        Self { node, address }
    }

    pub(crate) fn peer(&self) -> PeerId {
        self.node.peer
    }
}

/// Our own point with its defaults, but that it grants what is asked from `ttl_min` seconds on.
pub(crate) fn own(ttl_min: u64) -> rv_server::Behaviour {
    let mut config = rv_server::Config::default();
    config.rules.ttl_min = Ttl::from_secs(ttl_min).expect("a good ttl");
    rv_server::Behaviour::in_memory(config, random_epoch()).expect("a good configuration")
}

pub(crate) async fn own_point(ttl_min: u64) -> Point<rv_server::Behaviour> {
    Point::start(&Keypair::generate_ed25519(), own(ttl_min), loopback()).await
}

/// The published point.
pub(crate) async fn stock_point(ttl_min: u64) -> Point<rendezvous::server::Behaviour> {
    let config = rendezvous::server::Config::default().with_min_ttl(ttl_min);
    let behaviour = rendezvous::server::Behaviour::new(config);
    Point::start(&Keypair::generate_ed25519(), behaviour, loopback()).await
}

/// Quick pauses, so that what takes minutes by default takes a second.
pub(crate) fn quick() -> Config {
    Config {
        client: ClientConfig {
            address_debounce: Duration::from_millis(100),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_millis(500),
            poll_min: Duration::from_millis(100),
            poll_max: Duration::from_millis(200),
            relist_interval: Duration::from_millis(300),
            ..ClientConfig::default()
        },
        ..Config::default()
    }
}

/// A client without an address.
pub(crate) fn client_without_address() -> (Node<Behaviour>, Client) {
    client_configured(quick())
}

/// A client without an address, configured in this way.
pub(crate) fn client_configured(config: Config) -> (Node<Behaviour>, Client) {
    let key = Keypair::generate_ed25519();
    let behaviour = Behaviour::new(key.clone(), config).expect("a good configuration");
    let client = behaviour.client();
    (Node::spawn(swarm(&key, behaviour)), client)
}

/// A client with an address that knows these points.
pub(crate) async fn client_of(
    points: impl IntoIterator<Item = (PeerId, Multiaddr)>,
) -> (Node<Behaviour>, Client) {
    client_of_with(quick(), points).await
}

/// A client with an address that knows these points, configured in this way.
pub(crate) async fn client_of_with(
    config: Config,
    points: impl IntoIterator<Item = (PeerId, Multiaddr)>,
) -> (Node<Behaviour>, Client) {
    let (node, client) = client_configured(config);
    node.with(|swarm| swarm.add_external_address(external()))
        .await;
    for (point, address) in points {
        let added = client.add_point(point, [address]).await;
        added.expect("there is room");
    }
    (node, client)
}

/// Who is listed at one point, as a client that asks nobody else sees it.
pub(crate) async fn listed_at(point: (PeerId, Multiaddr), name: &str) -> Option<Vec<PeerId>> {
    let (_node, client) = client_of([point]).await;
    let found = within("listing", client.discover(scope(name), None)).await;
    Some(found.ok()?.peers.iter().map(|it| it.peer()).collect())
}

pub(crate) fn is_registered(event: &Event) -> bool {
    matches!(event, Event::Registered(_))
}
