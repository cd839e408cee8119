//! The running behaviour, for other tasks: what the driver asks of a host, over a real swarm.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};

use futures::channel::{mpsc, oneshot};
use futures::lock::Mutex;
use libp2p_identity::PeerId;
use thiserror::Error;

use crate::driver::{Progress, Query, RoutingTable};
use crate::output::Failure;
use crate::peer::Contact;
use crate::reseed::SeedSource;
use crate::target::Target;
use crate::walk::Found;

use super::inbox::{Errand, Order};
use super::mirror::Entries;

/// Asks peers of the DHT, and keeps kad's table, through a [`Behaviour`](super::Behaviour) that
/// runs in a swarm somewhere else. See [`Behaviour::handle`](super::Behaviour::handle).
///
/// It is a [`Query`] and a [`RoutingTable`], so it is what [`RandomWalk`](crate::RandomWalk) and
/// [`RtRefreshManager`](crate::RtRefreshManager) need. Clones are the same handle.
///
/// # Bounds
///
/// [`HandleConfig`](super::HandleConfig) has what all handles of a behaviour may have under way at
/// a time; what is beyond that waits. Whoever drops a future ends its requests.
///
/// Poll what you began: a call that found all places taken waits in line, and others wait behind
/// it for as long as nobody polls it. To drop it is always sound.
///
/// # Who pays
///
/// Requests of a handle are not paid from the budget of the behaviour's own walk: whoever sends
/// them has a budget already, and a crawl would starve the table. They are counted, see
/// [`Behaviour::spent_by_handles`](super::Behaviour::spent_by_handles). What they find out is not
/// lost on the walk: whoever answered is alive, and a candidate; whoever serves no DHT leaves.
///
/// # One gardener
///
/// The behaviour tends its table by itself. An `RtRefreshManager` over a handle of it would do the
/// same a second time: set [`Config::auto`](crate::Config::auto) to false in
/// [`Config::walk`](super::Config::walk), and the table is the manager's alone.
///
/// # When the swarm is gone
///
/// Calls fail with [`HandleError::Closed`], a FIND_NODE with [`Failure::Broken`]; entries are what
/// they were last.
#[derive(Clone)]
pub struct Handle(Arc<Line>);

/// What goes wrong with a call of a [`Handle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The behaviour was dropped.
    #[error("the swarm is gone: take a handle of one that runs")]
    Closed,
    /// The table is empty, nobody who serves the DHT is connected, and no bootstrap peer is named.
    #[error("there is nobody to ask: name bootstrap peers, or connect to somebody")]
    NobodyToAsk,
}

pub(super) struct Line {
    pub(super) local: PeerId,
    /// One sender for all, so that as much waits in the channel as it has room for.
    pub(super) errands: Mutex<mpsc::Sender<Errand>>,
    pub(super) orders: Mutex<mpsc::Sender<Order>>,
    pub(super) entries: Entries,
    /// Is there as long as the behaviour is.
    pub(super) alive: Weak<()>,
}

impl Handle {
    pub(super) fn new(line: Line) -> Self {
        Self(Arc::new(line))
    }

    /// The peer whose table this is.
    pub fn local(&self) -> PeerId {
        self.0.local
    }

    /// Whether the behaviour is gone.
    pub fn is_closed(&self) -> bool {
        self.0.alive.strong_count() == 0
    }

    async fn run<T>(
        &self,
        errand: impl FnOnce(oneshot::Sender<T>) -> Errand,
    ) -> Result<T, HandleError> {
        call(&self.0.errands, errand).await
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, HandleError> {
        call(&self.0.orders, order).await
    }
}

/// Sends what `make` makes of the place for its answer, and waits for that. The other end notices
/// when the future is dropped.
async fn call<M, T>(
    sender: &Mutex<mpsc::Sender<M>>,
    make: impl FnOnce(oneshot::Sender<T>) -> M,
) -> Result<T, HandleError> {
    let (reply, answer) = oneshot::channel();
    let mut sender = sender.lock().await;
    let room = poll_fn(|cx| sender.poll_ready(cx)).await;
    let sent = room.and_then(|()| sender.start_send(make(reply)));
    drop(sender);
    sent.map_err(|_| HandleError::Closed)?;
    answer.await.map_err(|_| HandleError::Closed)
}

/// As many calls at once as one likes; see [`HandleConfig`](super::HandleConfig) for how many of
/// them are under way.
impl Query for Handle {
    type Error = HandleError;

    /// A request ends after [`request_timeout`](crate::LookupConfig::request_timeout), counted from
    /// when it was its turn: as [`Unreachable`](Failure::Unreachable) where the peer
    /// was not connected by then, else as [`TimedOut`](Failure::TimedOut). Where the contact has no
    /// address, the peer must be connected, or known to the kad or another behaviour.
    async fn find_node(&self, contact: Contact, target: Target) -> Result<Vec<Contact>, Failure> {
        let ask = |reply| Errand::Ask {
            contact,
            target,
            reply,
        };
        self.run(ask).await.unwrap_or(Err(Failure::Broken))
    }

    /// Begins with the nearest entries of the table; where these are fewer than a bucket has
    /// places, also with connected peers that serve the DHT, and where there is nobody at all, with
    /// the bootstrap peers of the behaviour.
    async fn closest(&self, target: Target, progress: Progress) -> Result<Found, HandleError> {
        let look_up = |reply| Errand::LookUp {
            target,
            progress,
            reply,
        };
        self.run(look_up).await?
    }

    /// [`Known`](SeedSource::Known) peers are the entries of the table, those that are
    /// [`Connected`](SeedSource::Connected) serve the DHT, and [`Bootstrap`](SeedSource::Bootstrap)
    /// has the behaviour's list. There is no snapshot.
    async fn seeds(&self, source: SeedSource) -> Vec<Contact> {
        match source {
            SeedSource::Snapshot => Vec::new(),
            SeedSource::Known => self.0.entries.all(),
            SeedSource::Bootstrap | SeedSource::Connected => {
                let seeds = self.order(|reply| Order::Seeds(source, reply)).await;
                seeds.unwrap_or_default()
            }
        }
    }
}

impl RoutingTable for Handle {
    type Error = HandleError;

    async fn add_peer(&self, contact: Contact) -> Result<bool, HandleError> {
        self.order(|reply| Order::Add(contact, reply)).await
    }

    async fn remove_peer(&self, peer: PeerId) -> Result<(), HandleError> {
        self.order(|reply| Order::Remove(peer, reply)).await
    }

    /// What is known of kad's table without waiting for anything. An application that takes a peer
    /// out of it by itself is noticed soon after this call.
    fn contacts(&self) -> Vec<Contact> {
        let entries = self.0.entries.all();
        if let Some(mut sender) = self.0.orders.try_lock() {
            // Where the channel is full, or the swarm gone, the entries stay as they are.
            let _ = sender.try_send(Order::Compare);
        }
        entries
    }

    fn size(&self) -> usize {
        self.0.entries.len()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("local", &self.0.local)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
