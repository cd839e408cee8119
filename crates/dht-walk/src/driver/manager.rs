//! The handle of a table that is kept full.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use libp2p_identity::PeerId;

use crate::address::AddressPolicy;
use crate::health::Health;
use crate::peer::{Contact, Peer};
use crate::report::Report;
use crate::rng::Seed;
use crate::size::Estimate;
use crate::snapshot::Snapshot;
use crate::walk::{Counters, Walk};

use super::engine::Loop;
use super::error::{BuildError, PeerValidationError, RoutingTableRefreshError};
use super::host::{Query, RoutingTable};
use super::options::RefreshOptions;
use super::shared::{CallbackId, Shared};
use super::subscription::Subscription;
use super::timer::{SystemTimer, Timer, secret};
use super::validate::validate;

/// Keeps a routing table full of live peers: refreshes it, checks its entries, finds seeds.
///
/// Handles are cloned freely. The work is done by the future of [`start`](Self::start), which goes
/// on until it is dropped or [`stop`](Self::stop) is called, whatever fails meanwhile.
pub struct RtRefreshManager<Q, R, T = SystemTimer> {
    shared: Arc<Shared>,
    query: Arc<Q>,
    table: Arc<R>,
    timer: Arc<T>,
}

/// What a host may know, and a walk cannot see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The table took this peer in by itself. It is checked at once.
    Added(Contact),
    /// A message of any protocol came from the peer, so it need not be checked.
    Alive(PeerId),
    /// Whether there is any connection to the network.
    Connectivity(bool),
    /// A connection to the peer was opened. Messages to it cost no dial.
    Connected(PeerId),
    /// The last connection to the peer closed.
    Disconnected(PeerId),
    /// A peer that serves the DHT sent us a request.
    Inbound(Contact),
    /// Our own addresses changed.
    LocalAddresses,
    /// The peer does not serve the DHT, by identify for example.
    NotServing(PeerId),
    /// The table dropped this peer by itself.
    Removed(PeerId),
    /// The peer serves the DHT.
    Serving(PeerId),
}

impl<Q: Query, R: RoutingTable> RtRefreshManager<Q, R> {
    /// A manager of `table`, which is that of the peer `local`. It does nothing yet.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense, or the system has no randomness.
    pub fn new(
        local: PeerId,
        query: Q,
        table: R,
        options: RefreshOptions,
    ) -> Result<Self, BuildError> {
        Self::with_timer(local, query, table, options, SystemTimer::new(), secret()?)
    }
}

impl<Q: Query, R: RoutingTable, T: Timer> RtRefreshManager<Q, R, T> {
    /// With a clock and a seed of one's own: the same calls at the same times then come to the
    /// same.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense.
    pub fn with_timer(
        local: PeerId,
        query: Q,
        table: R,
        options: RefreshOptions,
        timer: T,
        seed: Seed,
    ) -> Result<Self, BuildError> {
        let now = timer.now();
        let mut walk = Walk::new(now, options.into_config(), Peer::new(local), seed)?;
        walk.stop(now);
        Ok(Self {
            shared: Arc::new(Shared::new(walk)),
            query: Arc::new(query),
            table: Arc::new(table),
            timer: Arc::new(timer),
        })
    }

    /// Starts, and returns the future that does the work: spawn it. A refresh may be asked for at
    /// once.
    ///
    /// Where the manager works already, the future ends at once, and nothing else happens.
    pub fn start(&self) -> impl Future<Output = ()> + Send + use<Q, R, T> {
        let generation = self.shared.start();
        let work = generation.map(|generation| {
            let (query, table) = (Arc::clone(&self.query), Arc::clone(&self.table));
            let (shared, timer) = (Arc::clone(&self.shared), Arc::clone(&self.timer));
            Loop::new(shared, generation, timer, query, table)
        });
        async move {
            if let Some(work) = work {
                work.await;
            }
        }
    }

    /// Stops at once: requests are dropped, whoever waits for a refresh is told, and the future of
    /// [`start`](Self::start) ends when it is polled next. Entries stay. Nothing happens where it
    /// does not work.
    pub fn stop(&self) {
        self.shared.stop(self.timer.now(), None);
    }

    /// Whether it was started, and neither stopped nor dropped.
    pub fn is_running(&self) -> bool {
        self.shared.lock().is_started
    }

    /// Refreshes the table. The refresh begins after this call, not after the future's first poll:
    /// one that already runs is not what is meant, and whoever asks while one waits shares that.
    ///
    /// Forced, every bucket that can be filled is looked up; else those that need it, and none
    /// ([`RoundEnd::Skipped`](crate::RoundEnd::Skipped)) before a refresh is due. A refresh that
    /// ran into its deadline is no error; the report says so, and holds what was found. To drop the
    /// future ends nothing but the waiting.
    ///
    /// # Errors
    ///
    /// When the manager does not run, too many refreshes wait, there is nobody to ask, every query
    /// failed, or it is stopped meanwhile.
    pub fn refresh(
        &self,
        force: bool,
    ) -> impl Future<Output = Result<Arc<Report>, RoutingTableRefreshError>> + Send + use<Q, R, T>
    {
        let waiting = self.shared.refresh(force);
        async move {
            match waiting?.await {
                Ok(outcome) => outcome,
                // The last handle and the loop are gone.
                Err(_) => Err(RoutingTableRefreshError::NotRunning),
            }
        }
    }

    /// Calls `callback` with the report of each refresh that ends, however it ends; one that is
    /// skipped is none. It is called in the loop's task, so it should be quick.
    pub fn add_refresh_done_callback(
        &self,
        callback: impl Fn(&Report) + Send + Sync + 'static,
    ) -> CallbackId {
        self.shared.add_callback(Arc::new(callback))
    }

    /// Does not call it any more. False where it was removed already.
    pub fn remove_refresh_done_callback(&self, id: CallbackId) -> bool {
        self.shared.remove_callback(id)
    }

    /// A stream of what happens from now on.
    pub fn subscribe(&self) -> Subscription {
        self.shared.subscribe()
    }

    /// The peers to ask when nobody else is left.
    ///
    /// # Errors
    ///
    /// When one of them is ourselves, or has no address that can be dialled; then none is taken.
    /// Private addresses are taken: who names them means them.
    pub fn set_bootstrap(&self, contacts: Vec<Contact>) -> Result<(), RoutingTableRefreshError> {
        let now = self.timer.now();
        self.shared.change(|core| {
            let local = core.walk.table().local().clone();
            let judged = contacts
                .iter()
                .map(|it| validate(AddressPolicy::Any, &local, it));
            let judged = judged.collect::<Result<Vec<_>, PeerValidationError>>()?;
            core.walk.set_bootstrap(now, judged);
            Ok(())
        })
    }

    /// Tells what the host knows.
    pub fn notify(&self, notice: Notice) {
        let now = self.timer.now();
        self.shared.change(|core| {
            let walk = &mut core.walk;
            match notice {
                Notice::Added(contact) => walk.handle_entry_added(now, &contact),
                Notice::Alive(peer) => walk.handle_alive(now, &peer.into()),
                Notice::Connectivity(is_connected) => walk.handle_connectivity(now, is_connected),
                Notice::Connected(peer) => walk.handle_connection(now, &peer.into(), true),
                Notice::Disconnected(peer) => walk.handle_connection(now, &peer.into(), false),
                Notice::Inbound(contact) => walk.handle_inbound(now, &contact),
                Notice::LocalAddresses => walk.handle_local_addresses(now),
                Notice::NotServing(peer) => walk.handle_protocols(now, &peer.into(), false),
                Notice::Removed(peer) => walk.handle_entry_removed(now, &peer.into()),
                Notice::Serving(peer) => walk.handle_protocols(now, &peer.into(), true),
            }
        });
    }

    /// The table's contacts, to be restored after a restart.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.lock().walk.snapshot()
    }

    /// Contacts of an earlier run: the first ones to be asked when there are too few. None becomes
    /// an entry before it answers.
    pub fn restore(&self, snapshot: &Snapshot) {
        let now = self.timer.now();
        self.shared.change(|core| core.walk.restore(now, snapshot));
    }

    /// How good the table is.
    pub fn health(&self) -> Health {
        self.shared.lock().walk.health(self.timer.now())
    }

    /// How large the network is, as far as can be told.
    pub fn estimate(&self) -> Option<Estimate> {
        self.shared.lock().walk.estimate(self.timer.now())
    }

    /// What happened since the manager was made.
    pub fn counters(&self) -> Counters {
        self.shared.lock().walk.counters()
    }
}

impl<Q, R, T> Clone for RtRefreshManager<Q, R, T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            query: Arc::clone(&self.query),
            table: Arc::clone(&self.table),
            timer: Arc::clone(&self.timer),
        }
    }
}

impl<Q, R, T> fmt::Debug for RtRefreshManager<Q, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtRefreshManager")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
