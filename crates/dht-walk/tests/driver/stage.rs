//! A host in memory: a clock, a network, a table, and an executor that runs until all wait.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use dht_walk::driver::{Progress, RefreshEvent, RefreshOptions, Subscription, Timer};
use dht_walk::libp2p_identity::PeerId;
use dht_walk::{
    Contact, Failure, Found, Peer, Query, RoutingTable, RtRefreshManager, Seed, SeedSource, Target,
    Targets, Time,
};
use futures::channel::oneshot;
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::{BoxFuture, FutureExt as _};
use futures::task::LocalSpawnExt as _;

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What a call of the host's does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Works,
    Refuses,
    Fails,
    Hangs,
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the host is broken")
    }
}

impl std::error::Error for Broken {}

#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<Mutex<Times>>);

#[derive(Default)]
struct Times {
    now: Time,
    sleepers: Vec<(Time, oneshot::Sender<()>)>,
    set: usize,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().expect("no test panics with it")
    }

    /// How many timers were ever set.
    pub(crate) fn timers_set(&self) -> usize {
        self.lock().set
    }

    /// When the next one who still waits is to be woken.
    fn next(&self) -> Option<Time> {
        let mut times = self.lock();
        times.sleepers.retain(|(_, sleeper)| !sleeper.is_canceled());
        times.sleepers.iter().map(|(at, _)| *at).min()
    }

    fn move_to(&self, now: Time) {
        let mut times = self.lock();
        times.now = times.now.max(now);
        let now = times.now;
        let (due, later) = std::mem::take(&mut times.sleepers)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        times.sleepers = later;
        let due: Vec<(Time, oneshot::Sender<()>)> = due;
        drop(times);
        for (_, sleeper) in due {
            let _ = sleeper.send(());
        }
    }
}

impl Timer for Clock {
    fn now(&self) -> Time {
        self.lock().now
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        let (sender, receiver) = oneshot::channel();
        let mut times = self.lock();
        times.set += 1;
        if at > times.now {
            times.sleepers.push((at, sender));
        }
        receiver.map(|_| ()).boxed()
    }
}

#[derive(Clone)]
pub(crate) struct Net(Arc<Mutex<Peers>>, Clock);

pub(crate) struct Peers {
    pub(crate) contacts: Vec<Contact>,
    /// Who does something else than answer.
    pub(crate) fates: BTreeMap<Peer, Fate>,
    pub(crate) asked: Vec<(Time, PeerId)>,
    /// Requests that are under way.
    pub(crate) open: Arc<AtomicUsize>,
    /// What becomes of each lookup of the host's; the last one goes for all further ones.
    pub(crate) lookups: Vec<Fate>,
    pub(crate) looked_up: Vec<(Time, Target)>,
    pub(crate) lookups_open_max: usize,
    /// What a lookup finds, where that is not the nearest peers.
    pub(crate) finds: Option<Vec<Contact>>,
    /// What a lookup tells before it ends.
    pub(crate) on_the_way: Vec<Contact>,
    pub(crate) seeds: BTreeMap<SeedSource, Vec<Contact>>,
    pub(crate) seeds_asked: Vec<SeedSource>,
}

struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Net {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Peers> {
        self.0.lock().expect("no test panics with it")
    }

    pub(crate) fn set(&self, peer: &Peer, fate: Fate) {
        self.lock().fates.insert(peer.clone(), fate);
    }

    pub(crate) fn set_all(&self, fate: Fate) {
        let mut peers = self.lock();
        let all: Vec<Peer> = peers.contacts.iter().map(|it| it.peer.clone()).collect();
        peers.fates = all.into_iter().map(|peer| (peer, fate)).collect();
    }

    fn nearest(&self, target: &Target) -> Vec<Contact> {
        let peers = self.lock();
        let works = |it: &&Contact| !peers.fates.contains_key(&it.peer);
        let mut all: Vec<Contact> = peers.contacts.iter().filter(works).cloned().collect();
        all.sort_by_key(|it| it.peer.distance(target.key()));
        all.truncate(20);
        all
    }

    async fn delay(&self) {
        let at = self.1.now().saturating_add(Duration::from_millis(50));
        self.1.sleep_until(at).await;
    }
}

impl Query for Net {
    type Error = Broken;

    async fn find_node(&self, contact: Contact, target: Target) -> Result<Vec<Contact>, Failure> {
        let _open = Open::new(&self.lock().open);
        let fate = {
            let mut peers = self.lock();
            peers.asked.push((self.1.now(), contact.peer.id()));
            let fate = peers.fates.get(&contact.peer).copied();
            let is_there = peers.contacts.iter().any(|it| it.peer == contact.peer);
            fate.unwrap_or(if is_there { Fate::Works } else { Fate::Fails })
        };
        self.delay().await;
        match fate {
            Fate::Works => Ok(self.nearest(&target)),
            Fate::Refuses => Err(Failure::NotServing),
            Fate::Fails => Err(Failure::Unreachable),
            Fate::Hangs => pending().await,
            Fate::Panics => panic!("a query that panics"),
        }
    }

    async fn closest(&self, target: Target, progress: Progress) -> Result<Found, Broken> {
        let open = Arc::clone(&self.lock().open);
        let _open = Open::new(&open);
        let (fate, found) = {
            let mut peers = self.lock();
            let at = peers.looked_up.len();
            peers.looked_up.push((self.1.now(), target.clone()));
            let now_open = open.load(Ordering::SeqCst);
            peers.lookups_open_max = peers.lookups_open_max.max(now_open);
            let fates = &peers.lookups;
            let fate = fates
                .get(at)
                .or_else(|| fates.last())
                .copied()
                .unwrap_or_default();
            for contact in &peers.on_the_way {
                progress.answered(contact.clone());
            }
            (fate, peers.finds.clone())
        };
        let closest = found.unwrap_or_else(|| self.nearest(&target));
        self.delay().await;
        match fate {
            Fate::Works | Fate::Refuses => Ok(Found {
                closest,
                is_complete: true,
                ..Found::default()
            }),
            Fate::Fails => Err(Broken),
            Fate::Hangs => pending().await,
            Fate::Panics => panic!("a lookup that panics"),
        }
    }

    async fn seeds(&self, source: SeedSource) -> Vec<Contact> {
        let mut peers = self.lock();
        peers.seeds_asked.push(source);
        peers.seeds.get(&source).cloned().unwrap_or_default()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Rows(Arc<Mutex<Table>>);

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<PeerId, Contact>,
    pub(crate) adds: Fate,
    /// Calls that do this instead, each once.
    pub(crate) adds_once: Vec<Fate>,
    pub(crate) removes: Fate,
    pub(crate) contacts: Fate,
    pub(crate) added: Vec<PeerId>,
    pub(crate) removed: Vec<PeerId>,
}

impl Rows {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("no test panics with it")
    }

    pub(crate) fn peers(&self) -> BTreeSet<PeerId> {
        self.lock().rows.keys().copied().collect()
    }
}

impl RoutingTable for Rows {
    type Error = Broken;

    async fn add_peer(&self, contact: Contact) -> Result<bool, Broken> {
        let fate = {
            let mut table = self.lock();
            table.added.push(contact.peer.id());
            table.adds_once.pop().unwrap_or(table.adds)
        };
        match fate {
            Fate::Works => {
                self.lock().rows.insert(contact.peer.id(), contact);
                Ok(true)
            }
            Fate::Refuses => Ok(false),
            Fate::Fails => Err(Broken),
            Fate::Hangs => pending().await,
            Fate::Panics => panic!("a table that panics"),
        }
    }

    async fn remove_peer(&self, peer: PeerId) -> Result<(), Broken> {
        let mut table = self.lock();
        table.removed.push(peer);
        if table.removes == Fate::Fails {
            return Err(Broken);
        }
        table.rows.remove(&peer);
        Ok(())
    }

    fn contacts(&self) -> Vec<Contact> {
        let (fate, rows) = {
            let table = self.lock();
            (table.contacts, table.rows.values().cloned().collect())
        };
        assert!(fate != Fate::Panics, "a table that panics");
        rows
    }
}

pub(crate) type Manager = RtRefreshManager<Net, Rows, Clock>;

pub(crate) struct Stage {
    pub(crate) clock: Clock,
    pub(crate) net: Net,
    pub(crate) rows: Rows,
    pub(crate) manager: Manager,
    pub(crate) local: PeerId,
    /// Polls of each loop that was started, and how many of them ended.
    pub(crate) polls: Arc<AtomicUsize>,
    pub(crate) ended: Arc<AtomicUsize>,
    pool: LocalPool,
}

pub(crate) fn net(peers: usize) -> (PeerId, Net, Clock) {
    let mut random = Targets::new(Seed::from_bytes([1; 32]));
    let local = random.uniform().peer_id();
    let contacts = (0..peers).map(|at| {
        let address = format!("/ip4/9.{}.{}.7/tcp/4001", at / 250 + 1, at % 250 + 1);
        let address = address.parse().expect("an address");
        Contact::new(random.uniform().as_peer().clone(), [address])
    });
    let peers = Peers {
        contacts: contacts.collect(),
        fates: BTreeMap::new(),
        asked: Vec::new(),
        open: Arc::default(),
        lookups: Vec::new(),
        looked_up: Vec::new(),
        lookups_open_max: 0,
        finds: None,
        on_the_way: Vec::new(),
        seeds: BTreeMap::new(),
        seeds_asked: Vec::new(),
    };
    let clock = Clock::default();
    (
        local,
        Net(Arc::new(Mutex::new(peers)), clock.clone()),
        clock,
    )
}

/// A host that refreshes only when it is told to.
pub(crate) fn by_hand() -> RefreshOptions {
    RefreshOptions {
        enable_auto_refresh: false,
        ..RefreshOptions::default()
    }
}

impl Stage {
    pub(crate) fn new(peers: usize, options: RefreshOptions) -> Self {
        let (local, net, clock) = net(peers);
        let rows = Rows::default();
        let seed = Seed::from_bytes([2; 32]);
        let manager = RtRefreshManager::with_timer(
            local,
            net.clone(),
            rows.clone(),
            options,
            clock.clone(),
            seed,
        );
        Self {
            clock,
            net,
            rows,
            manager: manager.expect("the bounds make sense"),
            local,
            polls: Arc::default(),
            ended: Arc::default(),
            pool: LocalPool::new(),
        }
    }

    /// With so many peers in the table from the start.
    pub(crate) fn filled(peers: usize, rows: usize, options: RefreshOptions) -> Self {
        let stage = Self::new(peers, options);
        let contacts = stage.contacts();
        let rows = contacts.into_iter().take(rows);
        stage.rows.lock().rows = rows.map(|it| (it.peer.id(), it)).collect();
        stage
    }

    /// That knows one peer, and has worked for a while.
    pub(crate) fn grown(peers: usize, options: RefreshOptions) -> Self {
        let mut stage = Self::new(peers, options);
        let bootstrap = stage.contacts()[..1].to_vec();
        stage
            .manager
            .set_bootstrap(bootstrap)
            .expect("a good address");
        stage.start();
        stage.run(secs(300));
        stage
    }

    pub(crate) fn contacts(&self) -> Vec<Contact> {
        self.net.lock().contacts.clone()
    }

    pub(crate) fn spawner(&self) -> LocalSpawner {
        self.pool.spawner()
    }

    pub(crate) fn start(&self) {
        let (polls, ended) = (Arc::clone(&self.polls), Arc::clone(&self.ended));
        let mut work = Box::pin(self.manager.start());
        let counted = futures::future::poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            let polled = work.as_mut().poll(cx);
            if polled.is_ready() {
                ended.fetch_add(1, Ordering::SeqCst);
            }
            polled
        });
        self.spawner()
            .spawn_local(counted)
            .expect("the pool is there");
    }

    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// Everything that can happen now.
    pub(crate) fn settle(&mut self) {
        self.pool.run_until_stalled();
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.clock.now().saturating_add(span);
        self.run_until(end, || false);
    }

    fn run_until(&mut self, end: Time, is_reached: impl Fn() -> bool) -> bool {
        for _ in 0..1_000_000 {
            self.settle();
            if is_reached() {
                return true;
            }
            let Some(next) = self.clock.next().filter(|at| *at <= end) else {
                self.clock.move_to(end);
                self.settle();
                return is_reached();
            };
            self.clock.move_to(next);
        }
        panic!("a million steps");
    }

    /// What a future gives, within that time.
    pub(crate) fn wait<O: 'static>(
        &mut self,
        span: Duration,
        future: impl Future<Output = O> + 'static,
    ) -> O {
        let given = self.watch(future);
        let end = self.clock.now().saturating_add(span);
        let is_given = Arc::clone(&given);
        let is_given = move || is_given.lock().expect("no panic").is_some();
        assert!(self.run_until(end, is_given), "not within {span:?}");
        given.lock().expect("no panic").take().expect("it is there")
    }

    /// Where what a future gives will be.
    pub(crate) fn watch<O: 'static>(
        &self,
        future: impl Future<Output = O> + 'static,
    ) -> Arc<Mutex<Option<O>>> {
        let given = Arc::new(Mutex::new(None));
        let place = Arc::clone(&given);
        let future = future.map(move |output| {
            *place.lock().expect("no panic") = Some(output);
        });
        self.spawner()
            .spawn_local(future)
            .expect("the pool is there");
        given
    }
}

/// The events that wait to be read.
pub(crate) fn events(subscription: &mut Subscription) -> Vec<RefreshEvent> {
    use futures::StreamExt as _;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let next = || match subscription.poll_next_unpin(&mut cx) {
        Poll::Ready(event) => event,
        Poll::Pending => None,
    };
    std::iter::from_fn(next).take(10_000).collect()
}
