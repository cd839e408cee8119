//! A crawl as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use libp2p_identity::PeerId;

use crate::crawl::{
    Crawl, CrawlConfig, CrawlCounts, CrawlEnd, CrawlEvent, CrawlOutput, CrawlState,
};
use crate::peer::{Contact, Peer};
use crate::refusal::Refusals;
use crate::rng::Seed;

use super::calls::{Calls, Returned};
use super::engine::Sleep;
use super::error::BuildError;
use super::host::Query;
use super::timer::{SystemTimer, Timer, secret};

/// Lists a whole network, politely: a [`Crawl`] over [`Query::find_node`].
///
/// It is a stream that works while it is polled, and tells of each peer once: what became of it.
/// The last item is [`CrawlEvent::Ended`]. Between two items one may look at how far it is, write
/// down its state, or stop it; to drop it is to drop all its requests.
///
/// ```
/// use dht_walk::driver::Crawler;
/// use dht_walk::libp2p_identity::PeerId;
/// use dht_walk::{Contact, CrawlConfig, CrawlEvent, Fate, Query};
/// use futures::StreamExt as _;
///
/// async fn list<Q: Query>(
///     local: PeerId,
///     query: Q,
///     seeds: Vec<Contact>,
/// ) -> Result<Vec<Contact>, dht_walk::driver::BuildError> {
///     let mut crawler = Crawler::new(local, query, CrawlConfig::default())?;
///     crawler.add_seeds(seeds);
///     let mut live = Vec::new();
///     while let Some(event) = crawler.next().await {
///         if let CrawlEvent::Settled(contact, Fate::Answered) = event {
///             live.push(contact);
///         }
///     }
///     Ok(live)
/// }
/// ```
pub struct Crawler<Q, T: Timer = SystemTimer> {
    crawl: Crawl,
    timer: Arc<T>,
    calls: Calls<Q>,
    sleep: Sleep<T>,
}

impl<Q: Query> Crawler<Q> {
    /// A crawl by the peer `local`, who is not listed.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense, or the system has no randomness.
    pub fn new(local: PeerId, query: Q, config: CrawlConfig) -> Result<Self, BuildError> {
        Self::resume(local, query, config, &CrawlState::default())
    }

    /// Goes on with a crawl; see [`Crawl::resume`].
    ///
    /// # Errors
    ///
    /// When the bounds make no sense, or the system has no randomness.
    pub fn resume(
        local: PeerId,
        query: Q,
        config: CrawlConfig,
        state: &CrawlState,
    ) -> Result<Self, BuildError> {
        Self::with_timer(local, query, config, state, SystemTimer::new(), secret()?)
    }
}

impl<Q: Query, T: Timer> Crawler<Q, T> {
    /// Turns in one poll, so that other tasks of the same thread have theirs.
    const TURNS_MAX: usize = 64;

    /// With a clock and a seed of one's own.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense.
    pub fn with_timer(
        local: PeerId,
        query: Q,
        config: CrawlConfig,
        state: &CrawlState,
        timer: T,
        seed: Seed,
    ) -> Result<Self, BuildError> {
        let timer = Arc::new(timer);
        let crawl = Crawl::resume(timer.now(), config, Peer::new(local), seed, state)?;
        Ok(Self {
            crawl,
            calls: Calls::new(Arc::new(query)),
            sleep: Sleep::new(Arc::clone(&timer)),
            timer,
        })
    }

    /// Peers to begin with; see [`Crawl::add_seeds`].
    pub fn add_seeds(&mut self, seeds: impl IntoIterator<Item = Contact>) {
        self.crawl.add_seeds(self.timer.now(), seeds);
    }

    /// Ends it: the stream ends with what is told already.
    pub fn stop(&mut self) {
        self.crawl.stop(self.timer.now());
    }

    /// How far it is.
    pub fn counts(&self) -> CrawlCounts {
        self.crawl.counts()
    }

    /// Why it is over; `None` while it is not.
    pub fn end(&self) -> Option<CrawlEnd> {
        self.crawl.end()
    }

    /// Why contacts and answers counted for nothing.
    pub fn refusals(&self) -> &Refusals {
        self.crawl.refusals()
    }

    /// What to go on from.
    pub fn state(&self) -> CrawlState {
        self.crawl.state()
    }

    /// Carries what the crawl wants to the host, up to the next event.
    fn carry(&mut self) -> Option<CrawlEvent> {
        while let Some(output) = self.crawl.poll_output() {
            match output {
                CrawlOutput::Cancel(id) => self.calls.cancel(id),
                CrawlOutput::Event(event) => return Some(event),
                CrawlOutput::FindNode {
                    id,
                    contact,
                    target,
                } => self.calls.find_node(id, contact, target),
            }
        }
        None
    }
}

impl<Q: Query, T: Timer> Stream for Crawler<Q, T> {
    type Item = CrawlEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CrawlEvent>> {
        let this = &mut *self;
        for _ in 0..Self::TURNS_MAX {
            let now = this.timer.now();
            if this.crawl.poll_timeout().is_some_and(|at| at <= now) {
                this.crawl.handle_timeout(now);
            }
            if let Some(event) = this.carry() {
                if this.crawl.end().is_some() {
                    // Requests that were cancelled are dropped when they are polled.
                    let _pending = this.calls.poll_next(cx);
                }
                return Poll::Ready(Some(event));
            }
            if this.crawl.end().is_some() {
                return Poll::Ready(None);
            }
            match this.calls.poll_next(cx) {
                Poll::Ready(Returned::Answer(id, Ok(told))) => {
                    this.crawl.handle_answer(now, id, told);
                    continue;
                }
                Poll::Ready(Returned::Answer(id, Err(failure))) => {
                    this.crawl.handle_failure(now, id, failure);
                    continue;
                }
                Poll::Ready(Returned::Dropped | Returned::Lookup(..) | Returned::Seeds(..)) => {
                    continue;
                }
                Poll::Pending => {}
            }
            match this.crawl.poll_timeout() {
                Some(at) if this.sleep.poll_until(cx, at).is_ready() => {}
                Some(_) | None => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Q, T: Timer> Unpin for Crawler<Q, T> {}

impl<Q, T: Timer> fmt::Debug for Crawler<Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crawler")
            .field("crawl", &self.crawl)
            .finish_non_exhaustive()
    }
}
