//! Finding peers, over a [`Client`].

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use libp2p_identity::PeerId;
use rv_core::client::{DiscoverOptions, Discovered, Grant, RegisterOptions, StartError, Target};
use rv_proto::{Namespace, Record, Scope, Ttl};

use crate::clock::random;
use crate::handle::Listing;
use crate::{Client, DiscoverError, Found, RegisterError, UnregisterError, Watch};

/// Advertises this peer in namespaces, and finds others there, at all points of a [`Client`].
#[derive(Clone, Debug)]
pub struct Discovery {
    client: Client,
    #[cfg(feature = "walk")]
    pub(crate) walker: Option<crate::two_sources::Walker>,
}

/// How to find peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindOptions {
    /// How many peers at the most. Default: all.
    pub limit: Option<usize>,
    /// Whether to leave out what is known already, and ask the points at once. Default: no.
    pub force_refresh: bool,
}

/// Found peers, see [`Discovery::find_peers`]. To drop it before its end ends the requests.
pub struct Peers {
    found: BoxStream<'static, Result<Discovered, DiscoverError>>,
    /// Peers that the stream told, where their number matters.
    told: BTreeSet<PeerId>,
    limit: Option<usize>,
}

/// Points list those first whose registrations were renewed the longest ago. Whoever wants fewer
/// than so many chooses among so many: else all would be given the same few.
const CHOICE_MIN: usize = 100;

impl Discovery {
    /// Uses the points of `client`.
    pub const fn new(client: Client) -> Self {
        Self {
            client,
            #[cfg(feature = "walk")]
            walker: None,
        }
    }

    /// Registers at every point and stays registered until [`unregister`](Self::unregister). If no
    /// external address is known yet, it waits for one. The default ttl is 2 h.
    ///
    /// # Errors
    ///
    /// If every point failed. The client goes on trying all the same, until `unregister`.
    pub async fn advertise(
        &self,
        namespace: Namespace,
        ttl: Option<Ttl>,
    ) -> Result<Vec<Grant>, RegisterError> {
        let options = RegisterOptions {
            ttl,
            wait_for_address: true,
        };
        self.client.register(namespace, options).await
    }

    /// Peers in a namespace: first those that are known already, then, if that is not enough, those
    /// that the points list. Each page is shuffled, and no less than 100 peers are listed where
    /// there are as many, so that not everybody dials the same ones.
    ///
    /// A peer comes again only if a newer record of it is found. The stream ends with the peer that
    /// reaches the limit. If every point failed, the last item says why.
    pub fn find_peers(&self, namespace: Namespace, options: FindOptions) -> Peers {
        let client = self.client.clone();
        let scope = Scope::Namespace(namespace);
        let found = async move {
            let mut cached = Vec::new();
            if !options.force_refresh {
                cached = client.cached(scope.clone(), None).await;
            }
            shuffle(&mut cached);
            let mut told = Told::default();
            cached.retain(|found| told.is_news(found));
            let is_enough = options.limit.is_some_and(|limit| limit <= cached.len());
            let listed = if is_enough {
                stream::empty().boxed()
            } else {
                list(client, scope, options.limit, told)
            };
            stream::iter(cached.into_iter().map(Ok)).chain(listed)
        };
        Peers {
            found: stream::once(found).flatten().boxed(),
            told: BTreeSet::new(),
            limit: options.limit,
        }
    }

    /// Every peer in a namespace, paged to the end at every point. `progress` is told the number of
    /// peers after each page.
    ///
    /// # Errors
    ///
    /// If every point failed. What a bound of the client cut short is told in [`Found::points`].
    pub async fn find_all_peers(
        &self,
        namespace: Namespace,
        progress: impl FnMut(usize),
    ) -> Result<Found, DiscoverError> {
        let scope = Scope::Namespace(namespace);
        let options = DiscoverOptions::default();
        let listing = self.client.list(Target::Every, scope, options).await?;
        listing.read(progress).await
    }

    /// Watches a namespace at every point.
    ///
    /// # Errors
    ///
    /// If as much is watched as may be, or the client is closed.
    pub async fn watch(&self, namespace: Namespace) -> Result<Watch, StartError> {
        self.client.watch(Scope::Namespace(namespace)).await
    }

    /// Ends the refresh of a registration at every point and takes it out.
    ///
    /// # Errors
    ///
    /// If it could not be written at some point: there it stands until its deadline.
    pub async fn unregister(&self, namespace: Namespace) -> Result<(), UnregisterError> {
        self.client.unregister(namespace).await
    }

    /// Forgets the found peers of one namespace, or with `None` of all.
    pub async fn clear_cache(&self, namespace: Option<Namespace>) {
        self.client.clear_cache(namespace).await;
    }

    /// Waits until the client is closed or its swarm is gone. All work is done by the swarm.
    pub async fn run(&self) {
        self.client.closed().await;
    }

    /// Stops everything, for all handles. Nothing is unregistered.
    pub async fn close(&self) {
        self.client.close().await;
    }
}

impl Stream for Peers {
    type Item = Result<Discovered, DiscoverError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.limit.is_some_and(|limit| this.told.len() >= limit) {
            // Ends the requests that are out.
            this.found = stream::empty().boxed();
        }
        let next = this.found.poll_next_unpin(cx);
        if let (Poll::Ready(Some(Ok(found))), Some(_)) = (&next, this.limit) {
            this.told.insert(found.peer());
        }
        next
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

/// What one stream told.
#[derive(Default)]
struct Told(BTreeMap<PeerId, Arc<Record>>);

impl Told {
    /// Whether the peer, or a newer record of it, was not told. It counts as told then.
    fn is_news(&mut self, found: &Discovered) -> bool {
        let peer = found.peer();
        let told = self.0.get(&peer);
        let is_news = told.is_none_or(|told| is_newer(told, &found.record));
        if is_news {
            self.0.insert(peer, Arc::clone(&found.record));
        }
        is_news
    }
}

/// Only numbers of one dialect compare; across them, the first that was told stands.
pub(crate) fn is_newer(old: &Record, new: &Record) -> bool {
    match (old.dialect().is_signed(), new.dialect().is_signed()) {
        (false, true) => true,
        (true, true) => old.dialect() == new.dialect() && old.seq() < new.seq(),
        (_, false) => false,
    }
}

/// What the points list, without what was told.
fn list(
    client: Client,
    scope: Scope,
    limit: Option<usize>,
    mut told: Told,
) -> BoxStream<'static, Result<Discovered, DiscoverError>> {
    let options = DiscoverOptions {
        // Of so many, no more than were told are not news.
        limit: limit.map(|limit| limit.max(CHOICE_MIN)),
        ..DiscoverOptions::default()
    };
    let listed = async move {
        let Listing {
            pages,
            answer,
            pending,
        } = match client.list(Target::Every, scope, options).await {
            Ok(listing) => listing,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let pages = pages.flat_map(move |mut page| {
            shuffle(&mut page);
            page.retain(|found| told.is_news(found));
            stream::iter(page.into_iter().map(Ok))
        });
        let end = async move {
            let answer = answer.await;
            pending.over();
            answer.unwrap_or(Err(DiscoverError::Closed)).err()
        };
        let end = stream::once(end).filter_map(|error| ready(error.map(Err)));
        pages.chain(end).boxed()
    };
    stream::once(listed).flatten().boxed()
}

/// Fisher-Yates over a xorshift generator: nothing hangs on its quality but an even load.
fn shuffle<T>(items: &mut [T]) {
    let mut state = random() | 1;
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bound = last as u64 + 1;
        let other = usize::try_from(state % bound).unwrap_or(last);
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use libp2p_identity::Keypair;
    use rv_proto::{Dialect, PeerRecord, Time, UnverifiedRecord};

    use super::*;

    fn signed(key: &Keypair, seq: u64) -> Discovered {
        let record = PeerRecord {
            peer: key.public().into(),
            seq,
            addresses: vec!["/ip4/203.0.113.7/tcp/1".parse().expect("an address")],
        };
        let sealed = record.seal(Dialect::Standard, key).expect("signed");
        let record = UnverifiedRecord::parse(sealed).and_then(UnverifiedRecord::verify);
        Discovered {
            namespace: Namespace::new("ns").expect("a namespace"),
            record: Arc::new(record.expect("a good record")),
            until: Time::from_millis(u64::MAX),
        }
    }

    #[test]
    fn a_limit_counts_peers_and_not_their_records() {
        let keys = [1, 2, 3].map(|byte| Keypair::ed25519_from_bytes([byte; 32]).expect("32 bytes"));
        let items = [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)];
        let items = items.map(|(key, seq)| Ok(signed(&keys[key], seq)));
        let peers = |limit| Peers {
            found: stream::iter(items.clone()).boxed(),
            told: BTreeSet::new(),
            limit,
        };
        let told =
            [None, Some(3), Some(2), Some(0)].map(|limit| peers(limit).count().now_or_never());
        assert_eq!(told, [Some(5), Some(5), Some(3), Some(0)]);
    }

    #[test]
    fn a_shuffle_loses_nothing_and_changes_the_order() {
        let ordered: Vec<_> = (0..100).collect();
        let mut items = ordered.clone();
        shuffle(&mut items);
        assert_ne!(items, ordered);
        items.sort_unstable();
        assert_eq!(items, ordered);
    }
}
