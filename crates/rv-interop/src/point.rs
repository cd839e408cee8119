//! A point of ours, in a task of its own, on loopback.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use libp2p::swarm::Swarm;
use libp2p::{Multiaddr, PeerId};
use rv_server::journal::{Journal, MemoryJournal};
use rv_server::rv_proto::{Epoch, Time};
use rv_server::{Behaviour, Clock, Config, Stats};
use tokio::sync::{mpsc, oneshot};

use crate::swarm::listen;
use crate::{Task, Via, new_swarm, within};

type Job = Box<dyn FnOnce(&mut Behaviour) + Send>;

/// A rendezvous point that listens on every transport.
#[derive(Debug)]
pub struct Point {
    peer: PeerId,
    addresses: Vec<(Via, Multiaddr)>,
    jobs: mpsc::Sender<Job>,
    serving: Task,
    committer: Option<Task>,
}

impl Point {
    /// One that keeps everything in memory, by the system's clock.
    ///
    /// # Panics
    ///
    /// If the configuration contradicts itself.
    pub async fn in_memory(config: Config) -> Self {
        let epoch = Epoch::from_bits(0x1_2345);
        let (key, config) = own(config);
        let behaviour = Behaviour::in_memory(config, epoch).expect("a good configuration");
        Self::start(key, behaviour, None).await
    }

    /// One with a journal in memory, by a clock of the test's.
    pub async fn with_clock(config: Config, clock: ManualClock) -> Self {
        Self::with_journal(
            config,
            clock,
            MemoryJournal::new(Epoch::from_bits(0x2_1234)),
        )
        .await
    }

    /// One with any journal.
    ///
    /// # Panics
    ///
    /// If the journal cannot be opened.
    pub async fn with_journal<J>(config: Config, clock: impl Clock, journal: J) -> Self
    where
        J: Journal + Unpin,
        rv_server::Committer<J>: Future<Output = ()> + Send,
    {
        let (key, config) = own(config);
        let (behaviour, committer) = rv_server::point(config, clock, journal).expect("a point");
        Self::start(key, behaviour, Some(Task::spawn(committer))).await
    }

    async fn start(key: Keypair, behaviour: Behaviour, committer: Option<Task>) -> Self {
        let mut swarm = new_swarm(&key, behaviour);
        let mut addresses = Vec::new();
        for via in Via::ALL {
            addresses.push((via, listen(&mut swarm, via).await));
        }
        let peer = *swarm.local_peer_id();
        let (jobs, wanted) = mpsc::channel(16);
        let serving = Task::spawn(serve(swarm, wanted));
        Self {
            peer,
            addresses,
            jobs,
            serving,
            committer,
        }
    }

    /// Its peer id.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Where it listens, its id included.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn address(&self, wanted: Via) -> &Multiaddr {
        let found = self.addresses.iter().find(|(via, _)| *via == wanted);
        &found.expect("it listens on every transport").1
    }

    /// Does something with the behaviour, in its swarm's task.
    ///
    /// # Panics
    ///
    /// If the point has stopped.
    pub async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Behaviour) -> T + Send + 'static,
    ) -> T {
        let (reply, done) = oneshot::channel();
        let job: Job = Box::new(move |behaviour| {
            let _ = reply.send(job(behaviour));
        });
        self.jobs.send(job).await.expect("the point runs");
        within("reply of the point", done)
            .await
            .expect("the point runs")
    }

    /// What it counts.
    pub async fn stats(&self) -> Stats {
        self.with(|behaviour| behaviour.stats()).await
    }

    /// Stops it and waits until its journal is closed.
    pub async fn stop(self) {
        let Self {
            jobs,
            serving,
            committer,
            ..
        } = self;
        drop(jobs);
        serving.ended().await;
        if let Some(committer) = committer {
            committer.ended().await;
        }
    }
}

/// A new identity, and the configuration of a point that knows it.
fn own(config: Config) -> (Keypair, Config) {
    let key = Keypair::generate_ed25519();
    let local_peer = Some(key.public().to_peer_id());
    (
        key,
        Config {
            local_peer,
            ..config
        },
    )
}

async fn serve(mut swarm: Swarm<Behaviour>, mut jobs: mpsc::Receiver<Job>) {
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => job(swarm.behaviour_mut()),
                None => return,
            },
            _ = swarm.select_next_some() => {}
        }
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Stands at some day in 2023.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    /// Goes forward.
    ///
    /// # Panics
    ///
    /// If that is too far.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("not that far");
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::SeqCst))
    }
}
