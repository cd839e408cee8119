//! How many peers the network has, and how sure that is.
//!
//! Peers stand at random positions. If the `k` nearest to a target fill a share `d` of the key
//! space, there are about `k / d` peers. Over several targets, the estimate of highest likelihood
//! is `(sum of k - 1) / (sum of d)`, with a relative error of one over the root of `sum of k`: 10%
//! with five lookups of 20, 3% with fifty.
//!
//! Only lookups that converged count, by peers that answered: whoever tells of peers that do not
//! exist does not make the network larger.

use std::collections::VecDeque;
use std::time::Duration;

use crate::key;
use crate::peer::Peer;
use crate::table::Table;
use crate::time::Time;

/// How many peers there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The most likely number, ourselves included.
    pub peers: f64,
    /// One standard deviation, as a share of that number.
    pub relative_error: f64,
    /// Lookups that it comes from; the own neighbourhood counts as one.
    pub lookups: usize,
}

/// Gathers samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Size {
    samples: VecDeque<Sample>,
    /// When a lookup of ourselves converged.
    neighbours_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Time,
    peers: f64,
    share: f64,
}

impl Size {
    /// Lookups that are remembered. 150 bring the error to 2%, half of them to 3%.
    const SAMPLES_MAX: usize = 64;

    /// How long a lookup counts: networks change by the hour.
    const WINDOW: Duration = Duration::from_secs(7_200);

    /// A lookup converged on `closest`, nearest first.
    pub(crate) fn add(&mut self, now: Time, target: &Peer, closest: &[&Peer]) {
        let Some(farthest) = closest.last() else {
            return;
        };
        let share = key::fraction(farthest.prefix() ^ target.prefix());
        if share > 0.0 {
            if self.samples.len() == Self::SAMPLES_MAX {
                self.samples.pop_front();
            }
            let peers = count(closest.len());
            self.samples.push_back(Sample {
                at: now,
                peers,
                share,
            });
        }
    }

    /// The own neighbours are known.
    pub(crate) fn neighbours_known(&mut self, now: Time) {
        self.neighbours_at = Some(now);
    }

    /// The estimate, from lookups and from the table's own neighbourhood of `bucket_size`.
    pub(crate) fn estimate(
        &self,
        now: Time,
        table: &Table,
        bucket_size: usize,
    ) -> Option<Estimate> {
        let is_recent = |it: &&Sample| now.saturating_since(it.at) <= Self::WINDOW;
        let samples = self.samples.iter().filter(is_recent).copied();
        // Before that, who is nearest is chance, and the network seems smaller than it is.
        let is_known = |at| now.saturating_since(at) <= Self::WINDOW;
        let has_own = self.neighbours_at.is_some_and(is_known) || samples.clone().next().is_none();
        let own = has_own
            .then(|| Self::neighbourhood(now, table, bucket_size))
            .flatten();
        let (mut peers, mut share, mut lookups) = (0.0, 0.0, 0);
        for sample in samples.chain(own) {
            (peers, share, lookups) = (peers + sample.peers, share + sample.share, lookups + 1);
        }
        (peers > 1.0 && share > 0.0).then(|| Estimate {
            // The mean of a sum of gaps; one more for ourselves.
            peers: (peers - 1.0) / share + 1.0,
            relative_error: 1.0 / peers.sqrt(),
            lookups,
        })
    }

    /// The share of the key space that the nearest entries fill.
    fn neighbourhood(now: Time, table: &Table, bucket_size: usize) -> Option<Sample> {
        let local = table.local();
        let nearest = table.closest(local.key(), bucket_size);
        let share = key::fraction(nearest.last()?.peer().prefix() ^ local.prefix());
        Some(Sample {
            at: now,
            peers: count(nearest.len()),
            share,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at the most")]
const fn count(of: usize) -> f64 {
    of as f64
}
