//! What a sweep of the whole network will take.

use crate::target::Targets;
use crate::time::Time;

use super::Walk;

/// A sweep that tells of nearly all peers, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepForecast {
    /// Lookups, for [`Walk::sweep`].
    pub slices: u32,
    /// FIND_NODE requests of all of them: two in a hundred sweeps take more.
    pub messages: u64,
}

/// What the lookups took that found all there was, the last ones above all: a network may have
/// grown since the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LookupCosts {
    ended: f64,
    requests: f64,
    squares: f64,
}

impl LookupCosts {
    /// How much less a lookup counts with each further one: half as much after 14.
    const FADE: f64 = 0.95;

    pub(super) fn add(&mut self, requests: u32) {
        let requests = f64::from(requests);
        self.ended = self.ended * Self::FADE + 1.0;
        self.requests = self.requests * Self::FADE + requests;
        self.squares = self.squares * Self::FADE + requests * requests;
    }

    /// What `lookups` more of them take: the mean, and two standard deviations of the sum above it.
    fn most(&self, lookups: f64) -> Option<f64> {
        let mean = (self.ended > 0.0).then(|| self.requests / self.ended)?;
        let variance = (self.squares / self.ended - mean * mean).max(0.0);
        Some(mean * lookups + 2.0 * (variance * lookups).sqrt())
    }
}

impl Walk {
    /// What a sweep takes that tells of 98% of the peers: `2 N / k` lookups, by the estimate of the
    /// network's size, if they are like those until now. `None` before either is known.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "clamped to the slices that a sweep may have, of a hundred requests each"
    )]
    pub fn forecast_sweep(&self, now: Time) -> Option<SweepForecast> {
        let lookups = 2.0 * self.estimate(now)?.peers / self.config.bucket_size as f64;
        let lookups = lookups.ceil().clamp(1.0, Targets::SLICES_MAX as f64);
        let messages = self.lookup_costs.most(lookups)?;
        Some(SweepForecast {
            slices: lookups as u32,
            messages: messages.ceil() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_alike_take_what_they_took_and_others_their_spread_more() {
        let costs = |of: &[u32]| {
            let mut costs = LookupCosts::default();
            of.iter().for_each(|requests| costs.add(*requests));
            costs
        };
        assert_eq!(costs(&[]).most(4.0), None);
        let most = |of: &[u32]| costs(of).most(4.0).expect("some ended");
        assert!((most(&[20, 20]) - 80.0).abs() < 1e-6);
        // A deviation of 5 each, so twice 10 for four; the later one counts a little more.
        assert!((most(&[15, 25]) - 100.0).abs() < 1.0);
    }

    #[test]
    fn what_lookups_took_in_a_network_that_has_grown_fades() {
        let mut costs = LookupCosts::default();
        (0..30).for_each(|_| costs.add(5));
        (0..100).for_each(|_| costs.add(20));
        let most = costs.most(10.0).expect("some ended");
        assert!((200.0..210.0).contains(&most), "{most}");
    }
}
