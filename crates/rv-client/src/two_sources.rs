//! Points and a DHT as two sources of peers.
//!
//! What is asked for is a namespace, and who registered there. A [`Discovery`] with a walk fills up
//! what the points cannot give with peers of a DHT. A walk over a libp2p-kad needs the feature
//! `swarm` of `dht-walk` beside the feature `walk` of this crate.

mod merge;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dht_walk::driver::Timer;
use dht_walk::{Contact, Query, RandomWalk, RandomWalkError};
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use futures_timer::Delay;
use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use rv_core::client::Discovered;
use rv_proto::Namespace;
use thiserror::Error;

use crate::DiscoverError;
use crate::discovery::{Discovery, FindOptions, Peers};

use merge::Merge;

/// Gives peers of a DHT. A [`RandomWalk`] does, over any [`Query`].
///
/// One's own may wrap another and leave out whom it likes: for example those of whom identify has
/// told that they do not speak the protocol of the application.
pub trait WalkSource: Send + Sync + 'static {
    /// Walks once. Gives whomever it heard of, with addresses.
    fn walk(&self) -> BoxFuture<'_, Result<Vec<Contact>, RandomWalkError>>;
}

impl<Q: Query, T: Timer> WalkSource for RandomWalk<Q, T> {
    fn walk(&self) -> BoxFuture<'_, Result<Vec<Contact>, RandomWalkError>> {
        self.perform_random_walk().boxed()
    }
}

/// A walk source that is shared by all clones of a [`Discovery`].
#[derive(Clone)]
pub(crate) struct Walker(Arc<dyn WalkSource>);

/// How to find peers in both sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillOptions {
    /// How many peers at the most, of both sources together. Default 20: a bucket's worth, enough
    /// to join an application's network by.
    pub limit: usize,
    /// Whether to leave out what is known of the namespace already, and ask the points at once.
    /// Default: no.
    pub force_refresh: bool,
    /// How long the points have before walks begin beside them. Default 10 s: a point that is there
    /// has answered by then, dial included.
    pub patience: Duration,
    /// How many walks at the most, one after the other, and none after the limit. Default 3. Each
    /// hears of the twenty peers nearest to some place and a few more; in a network of 100,000 that
    /// takes 25 messages, and never more than
    /// [`requests_max`](dht_walk::LookupConfig::requests_max).
    pub walks_max: u32,
    /// How long all of it may take. Default 60 s: a walk ends after half a minute at the latest,
    /// and usually after a few seconds.
    pub deadline: Duration,
}

/// A peer, and which source it is from.
#[derive(Clone, Debug, PartialEq)]
pub enum Sighting {
    /// It registered in the namespace. Its record, where that is of a signed dialect, proves what
    /// its addresses are.
    Registered(Discovered),
    /// It is a peer of the DHT, and no more is known: neither that it is a member of the namespace,
    /// nor who said first where it is reached.
    Walked(Contact),
}

/// Why a source gives no more peers. The other one goes on.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Every point failed.
    #[error("the points gave nothing")]
    Points(#[from] DiscoverError),
    /// The time was up. This ends both.
    #[error("the search took longer than {0:?}: what was found is told")]
    Deadline(Duration),
    /// A walk failed.
    #[error("the walk gave nothing")]
    Walk(#[from] RandomWalkError),
}

/// Peers of both sources, see [`Discovery::find_or_walk`]. To drop it before its end ends the
/// requests of both.
pub struct Sightings {
    merge: Merge,
    points: Option<Peers>,
    walker: Option<Walker>,
    walk: Option<BoxFuture<'static, Result<Vec<Contact>, RandomWalkError>>>,
    /// Heard of in one walk, and not told yet.
    heard: VecDeque<Contact>,
    patience: Delay,
    deadline: Delay,
    deadline_after: Duration,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self {
            limit: 20,
            force_refresh: false,
            patience: Duration::from_secs(10),
            walks_max: 3,
            deadline: Duration::from_secs(60),
        }
    }
}

impl Sighting {
    /// Who it is.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Registered(found) => found.peer(),
            Self::Walked(contact) => contact.peer.id(),
        }
    }

    /// Where it says, or is said, to be reached.
    pub fn addresses(&self) -> &[Multiaddr] {
        match self {
            Self::Registered(found) => found.record.addresses(),
            Self::Walked(contact) => contact.addresses.as_slice(),
        }
    }

    /// Whether it registered in the namespace.
    pub fn is_registered(&self) -> bool {
        matches!(self, Self::Registered(_))
    }
}

impl Discovery {
    /// With a DHT to fill up from: a [`RandomWalk`] over the handle of a
    /// `dht_walk::swarm::Behaviour`, over a query of one's own, or anything else that gives peers.
    ///
    /// Only [`find_or_walk`](Self::find_or_walk) uses it.
    #[must_use]
    pub fn with_walk(mut self, walk: impl WalkSource) -> Self {
        self.walker = Some(Walker(Arc::new(walk)));
        self
    }

    /// Peers in a namespace as [`find_peers`](Self::find_peers) gives them, and peers of the DHT to
    /// fill up to the limit.
    ///
    /// Walks begin when the points gave fewer peers than the limit, when all of them failed, or
    /// when [`patience`](FillOptions::patience) is over; a search that the points can answer sends
    /// nothing into the DHT. A peer comes once; again only with a newer record, or with a record
    /// where it was just met in a walk. The stream ends with the peer that reaches the limit, when
    /// both sources have given all they have, or at the deadline, which is told.
    ///
    /// A peer of a walk is a peer of the DHT, and not a member of the namespace: whether it speaks
    /// the application's protocol shows when it is dialled.
    ///
    /// Without [`with_walk`](Self::with_walk) there are the points alone.
    ///
    /// ```no_run
    /// use dht_walk::swarm::Behaviour;
    /// use futures::StreamExt as _;
    /// use rv_client::dht_walk::{self, RandomWalk};
    /// use rv_client::{Client, Discovery, FillOptions, Namespace, Sighting};
    ///
    /// # use dht_walk::swarm::libp2p_kad::store::MemoryStore;
    /// # async fn find(client: Client, dht: &Behaviour<MemoryStore>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// // The behaviours are in a swarm that another task polls.
    /// let handle = dht.handle();
    /// let walk = RandomWalk::new(handle.local(), handle, dht_walk::Config::default())?;
    /// let discovery = Discovery::new(client).with_walk(walk);
    ///
    /// let mut found = discovery.find_or_walk(Namespace::new("my-app")?, FillOptions::default());
    /// while let Some(sighting) = found.next().await {
    ///     match sighting {
    ///         Ok(Sighting::Registered(found)) => println!("a member: {}", found.peer()),
    ///         Ok(Sighting::Walked(contact)) => println!("a stranger: {}", contact.peer),
    ///         Err(error) => println!("one source failed: {error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_or_walk(&self, namespace: Namespace, options: FillOptions) -> Sightings {
        let find = FindOptions {
            limit: Some(options.limit),
            force_refresh: options.force_refresh,
        };
        Sightings {
            merge: Merge::new(options.limit, options.walks_max),
            points: Some(self.find_peers(namespace, find)),
            walker: self.walker.clone(),
            walk: None,
            heard: VecDeque::new(),
            patience: Delay::new(options.patience.min(SLEEP_MAX)),
            deadline: Delay::new(options.deadline.min(SLEEP_MAX)),
            deadline_after: options.deadline.min(SLEEP_MAX),
        }
    }
}

/// The longest time that is waited: a `Delay` of years would overflow the clock of some systems.
const SLEEP_MAX: Duration = Duration::from_secs(86_400);

impl Sightings {
    fn stop(&mut self) {
        self.points = None;
        self.walk = None;
        self.walker = None;
        self.heard.clear();
    }

    /// What the points tell next; pending also where they are done.
    fn poll_points(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sighting, SourceError>> {
        while let Some(points) = &mut self.points {
            let Poll::Ready(next) = points.poll_next_unpin(cx) else {
                return Poll::Pending;
            };
            match next {
                Some(Ok(found)) => {
                    if let Some(sighting) = self.merge.registered(found) {
                        return Poll::Ready(Ok(sighting));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => {
                    self.points = None;
                    self.merge.points_ended();
                }
            }
        }
        Poll::Pending
    }

    /// What walks tell next; pending also where there are none.
    fn poll_walks(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sighting, SourceError>> {
        loop {
            while let Some(contact) = self.heard.pop_front() {
                if let Some(sighting) = self.merge.walked(contact) {
                    return Poll::Ready(Ok(sighting));
                }
            }
            if self.walk.is_none()
                && let Some(Walker(walk)) = &self.walker
                && self.merge.begin_walk()
            {
                let walk = Arc::clone(walk);
                self.walk = Some(async move { walk.walk().await }.boxed());
            }
            let Some(walk) = &mut self.walk else {
                return Poll::Pending;
            };
            let Poll::Ready(ended) = walk.poll_unpin(cx) else {
                return Poll::Pending;
            };
            self.walk = None;
            match ended {
                Ok(heard) => self.heard.extend(heard),
                Err(error) => {
                    // Nothing has changed that would make the next one better.
                    self.walker = None;
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }
}

impl Stream for Sightings {
    type Item = Result<Sighting, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.merge.is_full() {
            this.stop();
        }
        if let Poll::Ready(told) = this.poll_points(cx) {
            return Poll::Ready(Some(told));
        }
        if this.points.is_some() && this.patience.poll_unpin(cx).is_ready() {
            this.merge.patience_ended();
        }
        if let Poll::Ready(told) = this.poll_walks(cx) {
            return Poll::Ready(Some(told));
        }
        if this.points.is_none() && this.walk.is_none() {
            return Poll::Ready(None);
        }
        this.deadline.poll_unpin(cx).map(|()| {
            this.stop();
            Some(Err(SourceError::Deadline(this.deadline_after)))
        })
    }
}

impl fmt::Debug for Walker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Walker").finish_non_exhaustive()
    }
}

impl fmt::Debug for Sightings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sightings")
            .field("merge", &self.merge)
            .finish_non_exhaustive()
    }
}
