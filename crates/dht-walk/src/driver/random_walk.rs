//! Random walks without a table.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::lock::Mutex;
use libp2p_identity::PeerId;

use crate::config::{Config, Lookups};
use crate::output::{Event, Output};
use crate::peer::{Contact, Peer};
use crate::report::Report;
use crate::reseed::SeedSource;
use crate::rng::{Rng, Seed};
use crate::target::Targets;
use crate::time::Time;
use crate::walk::Walk;

use super::calls::{Calls, Returned, guarded};
use super::engine::{Sleep, tell};
use super::error::{BuildError, HostError, PeerValidationError, RandomWalkError};
use super::host::Query;
use super::shared::lock;
use super::timer::{SystemTimer, Timer, secret};
use super::validate::validate;

/// Finds peers by looking up targets anywhere in the key space, with lookups of the host's own
/// ([`Query::closest`]).
///
/// One call runs at a time; others wait for it, and all spend of one budget. A call whose future
/// is dropped is over.
pub struct RandomWalk<Q, T = SystemTimer> {
    query: Arc<Q>,
    timer: Arc<T>,
    local: Peer,
    config: Config,
    targets: std::sync::Mutex<Targets>,
    walk: Mutex<Walk>,
}

impl<Q: Query> RandomWalk<Q> {
    /// Random walks of the peer `local`.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense, or the system has no randomness.
    pub fn new(local: PeerId, query: Q, config: Config) -> Result<Self, BuildError> {
        Self::with_timer(local, query, config, SystemTimer::new(), secret()?)
    }
}

impl<Q, T> RandomWalk<Q, T> {
    /// How many walks are usual, as in py-libp2p.
    pub const COUNT: u32 = 3;
}

impl<Q: Query, T: Timer> RandomWalk<Q, T> {
    /// With a clock and a seed of one's own.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense.
    pub fn with_timer(
        local: PeerId,
        query: Q,
        config: Config,
        timer: T,
        seed: Seed,
    ) -> Result<Self, BuildError> {
        let mut config = Config {
            auto: false,
            lookups: Lookups::Delegated,
            ..config
        };
        config.refresh.waiting_max = config.refresh.waiting_max.max(1);
        let mut rng = Rng::new(seed);
        let (seed, local) = (Seed::from_bytes(rng.bytes()), Peer::new(local));
        let walk = Walk::new(timer.now(), config.clone(), local.clone(), seed)?;
        Ok(Self {
            query: Arc::new(query),
            timer: Arc::new(timer),
            local,
            config,
            targets: std::sync::Mutex::new(Targets::from_rng(rng)),
            walk: Mutex::new(walk),
        })
    }

    /// The id of nobody, anywhere in the key space: a target for a query.
    pub fn generate_random_peer_id(&self) -> PeerId {
        lock(&self.targets).uniform().peer_id()
    }

    /// Whether a peer can be used, with those of its addresses that can.
    ///
    /// # Errors
    ///
    /// When it is ourselves, or none of its addresses is wanted.
    pub fn validate_peer(&self, contact: &Contact) -> Result<Contact, PeerValidationError> {
        validate(self.config.addresses, &self.local, contact)
    }

    /// One walk. Gives every peer that was told of and can be used, each once.
    ///
    /// # Errors
    ///
    /// When the query failed and nothing was found before it did. That nobody is there is no error.
    pub async fn perform_random_walk(&self) -> Result<Vec<Contact>, RandomWalkError> {
        self.walks(1).await
    }

    /// Several walks, as many at a time as
    /// [`lookups_max`](crate::RefreshConfig::lookups_max) says. What was found counts, also where
    /// other walks fail or [`deadline`](crate::RefreshConfig::deadline) cuts them off.
    ///
    /// While `current_routing_table_size` is below [`peers_min`](Config::peers_min), peers whose
    /// addresses the host knows ([`SeedSource::Known`]) are in the result, too.
    ///
    /// # Errors
    ///
    /// When every query failed and nothing was found.
    pub async fn run_concurrent_random_walks(
        &self,
        count: u32,
        current_routing_table_size: usize,
    ) -> Result<Vec<Contact>, RandomWalkError> {
        let mut known = Vec::new();
        if current_routing_table_size < self.config.peers_min {
            let query = Arc::clone(&self.query);
            let seeds = guarded(async move { query.seeds(SeedSource::Known).await }).await;
            let seeds = seeds.unwrap_or_default();
            known.extend(seeds.iter().filter_map(|it| self.validate_peer(it).ok()));
        }
        match self.walks(count).await {
            Ok(mut found) => {
                known.retain(|it| found.iter().all(|other| other.peer != it.peer));
                found.extend(known);
                Ok(found)
            }
            Err(_) if !known.is_empty() => Ok(known),
            Err(error) => Err(error),
        }
    }

    async fn walks(&self, count: u32) -> Result<Vec<Contact>, RandomWalkError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut walk = self.walk.lock().await;
        // Whatever is left of a call that was dropped.
        let now = self.timer.now();
        walk.stop(now);
        while walk.poll_output().is_some() {}
        walk.start(now);
        let Ok(id) = walk.walks(now, count) else {
            // None waits after a stop, and one may.
            return Ok(Vec::new());
        };
        let mut calls = Calls::new(Arc::clone(&self.query));
        let mut sleep = Sleep::new(Arc::clone(&self.timer));
        let mut error = None;
        loop {
            let mut ended = Vec::new();
            while let Some(output) = walk.poll_output() {
                match output {
                    Output::CancelLookup(id) => ended.extend(calls.cancel_lookup(id)),
                    Output::Event(Event::Finished(report)) if report.id == id => {
                        return found(*report, error);
                    }
                    Output::Lookup { id, target } => calls.lookup(id, target),
                    _ => {}
                }
            }
            if ended.is_empty() {
                let wake = walk.poll_timeout().map(|(at, _)| at);
                ended.extend(next(&mut calls, &mut sleep, wake).await);
            }
            let now = self.timer.now();
            for returned in ended {
                if let Returned::Lookup(_, _, Some(failed)) = &returned {
                    error.get_or_insert_with(|| Arc::clone(failed));
                }
                tell(&mut walk, now, returned);
            }
            walk.handle_timeout(now);
        }
    }
}

/// What comes back next, or nothing when it is time to wake up.
async fn next<Q: Query, T: Timer>(
    calls: &mut Calls<Q>,
    sleep: &mut Sleep<T>,
    wake: Option<Time>,
) -> Option<Returned> {
    poll_fn(|cx| {
        if let Poll::Ready(returned) = calls.poll_next(cx) {
            return Poll::Ready(Some(returned));
        }
        match wake {
            Some(at) => sleep.poll_until(cx, at).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

fn found(report: Report, error: Option<HostError>) -> Result<Vec<Contact>, RandomWalkError> {
    match error {
        Some(error) if report.found.is_empty() => Err(RandomWalkError::Query(error)),
        Some(_) | None => Ok(report.found),
    }
}

impl<Q, T> fmt::Debug for RandomWalk<Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomWalk")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
