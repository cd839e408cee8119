//! What is looked up in a refresh, and when the next one is.
//!
//! A refresh looks up ourselves, which finds the neighbours, then a target in each bucket that
//! needs it: as deep as buckets can be filled in a network of the estimated size, and no deeper.
//! Buckets that are full and whose entries answer are left alone; the answers to checks bring
//! them fresh contacts.
//!
//! While the table grows, refreshes follow each other; once it is healthy, ever more slowly.

use std::time::Duration;

use crate::config::RefreshConfig;
use crate::health::Health;
use crate::key::Cpl;
use crate::rng::Rng;
use crate::target::Targets;
use crate::time::Time;

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The neighbours.
    Itself,
    /// Peers of one bucket.
    Bucket(Cpl),
    /// Peers anywhere.
    Uniform,
    /// Peers in one of many equal parts of the key space.
    Slice(u32),
}

/// The schedule of refreshes.
#[derive(Clone, Debug)]
pub(crate) struct Explore {
    config: RefreshConfig,
    next_at: Time,
    interval: Duration,
    /// When each bucket was looked up last.
    refreshed_at: Vec<Option<Time>>,
    /// The deepest bucket that is worth a lookup of its own, once the network's size is known.
    depth: Option<Cpl>,
}

impl Explore {
    /// Nothing was ever refreshed, so all is due at once.
    pub(crate) const fn new(now: Time, config: RefreshConfig) -> Self {
        let interval = config.interval_min;
        Self {
            config,
            next_at: now,
            interval,
            refreshed_at: Vec::new(),
            depth: None,
        }
    }

    /// See [`Health::depth`]; as of the last refresh.
    pub(crate) const fn depth(&self) -> Option<Cpl> {
        self.depth
    }

    pub(crate) const fn due_at(&self) -> Time {
        self.next_at
    }

    /// Something happened that the next refresh should not wait for.
    pub(crate) fn hasten(&mut self, now: Time, rng: &mut Rng) {
        self.interval = self.config.interval_min;
        let at = now.saturating_add(rng.jitter(self.interval));
        self.next_at = self.next_at.min(at);
    }

    /// The next refresh is due at once: after an outage, or when our addresses changed.
    pub(crate) fn hasten_now(&mut self, now: Time) {
        self.interval = self.config.interval_min;
        self.next_at = self.next_at.min(now);
    }

    /// A refresh ended. `has_gained` where the table has more live peers than before.
    pub(crate) fn ended(&mut self, now: Time, health: &Health, has_gained: bool, rng: &mut Rng) {
        self.depth = health.estimate().map(|_| health.depth());
        self.interval = if !health.is_whole() && has_gained {
            self.config.interval_min
        } else {
            (self.interval * 2).min(self.config.interval_max)
        };
        self.next_at = now.saturating_add(rng.jitter(self.interval));
    }

    /// Not before this, whatever happens: a failed refresh must not follow itself at once.
    pub(crate) fn delay(&mut self, now: Time, rng: &mut Rng) {
        let at = now.saturating_add(rng.jitter(self.config.interval_min));
        self.next_at = self.next_at.max(at);
    }

    /// The buckets to look up, farthest first.
    pub(crate) fn due_buckets(&self, now: Time, health: &Health, is_forced: bool) -> Vec<Cpl> {
        let depth = health.depth().min(Targets::CPL_MAX);
        let all = (0..=depth.bits()).map(Cpl::new);
        all.filter(|cpl| is_forced || self.is_due(now, *cpl, health))
            .collect()
    }

    fn is_due(&self, now: Time, cpl: Cpl, health: &Health) -> bool {
        let refreshed_at = self.refreshed_at.get(cpl.index()).copied().flatten();
        let Some(refreshed_at) = refreshed_at else {
            return true;
        };
        let age = now.saturating_since(refreshed_at);
        age >= self.config.full_bucket_age || health.is_thin(cpl)
    }

    /// A bucket was looked up, by us or by somebody else on our behalf.
    pub(crate) fn refreshed(&mut self, now: Time, cpl: Cpl) {
        if self.refreshed_at.len() <= cpl.index() {
            self.refreshed_at.resize(cpl.index() + 1, None);
        }
        self.refreshed_at[cpl.index()] = Some(now);
    }
}

/// The deepest bucket that is looked up when bucket `empty` is still empty after its lookup, in a
/// refresh down to `deepest`: twice as many buckets, as go-libp2p-kad-dht does. A gap is either
/// chance, or the edge of a network that is smaller than it seems.
pub(crate) fn limit_after_gap(empty: Cpl, deepest: Cpl) -> Cpl {
    let limit = empty.bits().saturating_add(1).saturating_mul(2);
    Cpl::new(limit).min(deepest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_ends_the_refresh_at_twice_its_depth() {
        let limit = |gap, deepest| limit_after_gap(Cpl::new(gap), Cpl::new(deepest)).bits();
        assert_eq!(limit(2, 10), 6);
        assert_eq!(limit(6, 10), 10);
        assert_eq!(limit(0, 10), 2);
        assert_eq!(limit(255, 20), 20);
    }
}
