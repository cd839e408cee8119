//! How fast one peer may register.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use rv_proto::Time;

use crate::Limits;

/// A token bucket per peer.
///
/// A bucket is one number, the moment at which it will be full again: it is empty when that lies a
/// whole burst ahead, and it need not be kept once that has come.
#[derive(Debug)]
pub(super) struct RateLimit {
    token_micros: u64,
    burst_micros: u64,
    buckets_max: usize,
    full_at: BTreeMap<PeerId, u64>,
    by_full_at: BTreeSet<(u64, PeerId)>,
}

impl RateLimit {
    const MICROS_PER_SEC: u64 = 1_000_000;

    pub(super) fn new(limits: &Limits) -> Self {
        let token_micros = Self::MICROS_PER_SEC / u64::from(limits.register_per_sec.max(1));
        let token_micros = token_micros.max(1);
        Self {
            token_micros,
            burst_micros: token_micros * u64::from(limits.register_burst.max(1)),
            buckets_max: limits.register_buckets_max.max(1),
            full_at: BTreeMap::new(),
            by_full_at: BTreeSet::new(),
        }
    }

    /// Whether `peer` has a token.
    pub(super) fn has_token(&self, now: Time, peer: PeerId) -> bool {
        self.full_at_after(now, peer).is_some()
    }

    /// Takes a token of `peer`; false if there is none.
    pub(super) fn admit(&mut self, now: Time, peer: PeerId) -> bool {
        let Some(full_at) = self.full_at_after(now, peer) else {
            return false;
        };
        if let Some(before) = self.full_at.insert(peer, full_at) {
            self.by_full_at.remove(&(before, peer));
        }
        self.by_full_at.insert((full_at, peer));
        self.forget(micros(now));
        true
    }

    /// When the bucket of `peer` will be full once a token is taken; `None` if there is none.
    fn full_at_after(&self, now: Time, peer: PeerId) -> Option<u64> {
        let now = micros(now);
        let known = self.full_at.get(&peer).copied().unwrap_or(0);
        // A bucket that is more than empty was filled under a clock that has gone back since.
        let known = if known > now + self.burst_micros {
            now
        } else {
            known.max(now)
        };
        let full_at = known + self.token_micros;
        (full_at - now <= self.burst_micros).then_some(full_at)
    }

    /// Drops buckets that are full again, a few at a time, and the fullest above the bound.
    fn forget(&mut self, now_micros: u64) {
        const PER_CALL: usize = 2;
        for _ in 0..PER_CALL {
            let Some((full_at, peer)) = self.by_full_at.first().copied() else {
                return;
            };
            if full_at > now_micros && self.full_at.len() <= self.buckets_max {
                return;
            }
            self.by_full_at.remove(&(full_at, peer));
            self.full_at.remove(&peer);
        }
    }
}

fn micros(time: Time) -> u64 {
    time.as_millis().saturating_mul(1_000).min(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(burst: u32, per_sec: u32, buckets_max: usize) -> RateLimit {
        RateLimit::new(&Limits {
            register_burst: burst,
            register_per_sec: per_sec,
            register_buckets_max: buckets_max,
            ..Limits::default()
        })
    }

    #[test]
    fn a_burst_is_admitted_and_then_the_rate() {
        let mut rate = limit(3, 2, 10);
        let peer = PeerId::random();
        let at = Time::from_millis;

        let burst: Vec<_> = (0..4).map(|_| rate.admit(at(1_000), peer)).collect();
        assert_eq!(burst, [true, true, true, false]);
        assert!(!rate.admit(at(1_499), peer), "half a token");
        assert!(rate.admit(at(1_500), peer), "one token");
        assert!(!rate.admit(at(1_500), peer), "no second one");
        assert!(
            rate.admit(at(1_500), PeerId::random()),
            "another peer has a bucket of its own"
        );
    }

    #[test]
    fn memory_stays_bounded_whoever_asks() {
        let mut rate = limit(10, 1, 5);
        for millis in 0..1_000 {
            assert!(rate.admit(Time::from_millis(millis), PeerId::random()));
            assert!(rate.full_at.len() <= 5);
            assert_eq!(rate.full_at.len(), rate.by_full_at.len());
        }
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let mut rate = limit(10, 1_000, 1_000);
        for _ in 0..100 {
            rate.admit(Time::from_millis(0), PeerId::random());
        }
        for _ in 0..100 {
            rate.admit(Time::from_millis(1_000), PeerId::random());
        }
        assert!(rate.full_at.len() <= 101, "{} buckets", rate.full_at.len());
    }
}
