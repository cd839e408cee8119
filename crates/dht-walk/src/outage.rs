//! Whether it is the others who are gone, or we.
//!
//! While nothing at all succeeds, failures say nothing about peers: no strike counts, nobody is
//! dropped, lookups wait. A few entries far apart are asked, at growing intervals, until one
//! answers.

use std::time::Duration;

use crate::config::CheckConfig;
use crate::time::Time;

/// Watches for an outage of our own.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    after: Duration,
    succeeded_at: Time,
    /// Failures since the last success.
    failures: u32,
    state: State,
    /// Grows with each outage; wraps around.
    epoch: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down { ask_at: Time, pause: Duration },
    Up,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Began,
    Ended,
}

impl Outage {
    /// Fewer failures in a row than this are chance: with half of all entries dead, five happen
    /// once in 32 times, and cost nothing but a pause until the next answer.
    const FAILURES_MIN: u32 = 5;

    /// The pause between two tries, doubled up to the longest. Short, for whoever waits for the
    /// line to come back; long, for a laptop that sleeps for a night.
    const PAUSE_MIN: Duration = Duration::from_secs(5);
    const PAUSE_MAX: Duration = Duration::from_secs(60);

    pub(crate) const fn new(now: Time, config: &CheckConfig) -> Self {
        let after = config.outage_after;
        Self {
            after,
            succeeded_at: now,
            failures: 0,
            state: State::Up,
            epoch: 0,
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state != State::Up
    }

    pub(crate) const fn epoch(&self) -> u8 {
        self.epoch
    }

    pub(crate) const fn succeeded_at(&self) -> Time {
        self.succeeded_at
    }

    /// Somebody answered.
    pub(crate) fn succeeded(&mut self, now: Time) -> Option<Change> {
        self.succeeded_at = now;
        self.failures = 0;
        if self.state == State::Up {
            return None;
        }
        self.state = State::Up;
        self.epoch = self.epoch.wrapping_add(1);
        Some(Change::Ended)
    }

    /// Whether a failure may be our own fault, because nobody else answered since that time.
    pub(crate) fn is_ours(&self, since: Time) -> bool {
        self.is_down() || self.succeeded_at <= since
    }

    /// Somebody did not answer.
    pub(crate) fn failed(&mut self, now: Time) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        let is_long = now.saturating_since(self.succeeded_at) >= self.after;
        if self.state == State::Up && is_long && self.failures >= Self::FAILURES_MIN {
            let pause = Self::PAUSE_MIN;
            let ask_at = now.saturating_add(pause);
            self.state = State::Down { ask_at, pause };
            return Some(Change::Began);
        }
        None
    }

    /// The host says that there is no connection to the network at all, or that there is again.
    pub(crate) fn told(&mut self, now: Time, is_connected: bool) -> Option<Change> {
        match (self.state, is_connected) {
            (State::Up, false) => {
                let pause = Self::PAUSE_MIN;
                let ask_at = now.saturating_add(pause);
                self.state = State::Down { ask_at, pause };
                Some(Change::Began)
            }
            (State::Down { pause, .. }, true) => {
                // Believed only when somebody answers, but asked at once.
                self.state = State::Down { ask_at: now, pause };
                None
            }
            (State::Up, true) | (State::Down { .. }, false) => None,
        }
    }

    /// When to try again.
    pub(crate) const fn ask_at(&self) -> Option<Time> {
        match self.state {
            State::Down { ask_at, .. } => Some(ask_at),
            State::Up => None,
        }
    }

    /// A try was made.
    pub(crate) fn asked(&mut self, now: Time) {
        if let State::Down { pause, .. } = self.state {
            let pause = (pause * 2).min(Self::PAUSE_MAX);
            let ask_at = now.saturating_add(pause);
            self.state = State::Down { ask_at, pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Time {
        Time::from_millis(secs * 1_000)
    }

    fn outage() -> Outage {
        Outage::new(secs(0), &CheckConfig::default())
    }

    #[test]
    fn failures_beside_a_success_are_not_ours() {
        let mut outage = outage();
        assert_eq!(outage.succeeded(secs(7)), None);
        for _ in 0..100 {
            assert_eq!(outage.failed(secs(10)), None);
            assert!(!outage.is_ours(secs(5)) && outage.is_ours(secs(8)));
        }
        assert!(!outage.is_down());
    }

    #[test]
    fn failures_beside_nothing_for_long_are_an_outage() {
        let mut outage = outage();
        for at in [6, 7, 8, 9, 19] {
            assert_eq!(
                outage.failed(secs(at)),
                None,
                "too few, or too short a time"
            );
        }
        assert_eq!(outage.failed(secs(20)), Some(Change::Began));
        assert_eq!(outage.failed(secs(21)), None, "told once");
        assert!(outage.is_ours(secs(0)));
        assert_eq!(outage.epoch(), 0);
        assert_eq!(outage.succeeded(secs(22)), Some(Change::Ended));
        assert_eq!((outage.epoch(), outage.is_down()), (1, false));
    }

    #[test]
    fn a_few_failures_over_a_long_time_are_no_outage() {
        let mut outage = outage();
        for at in [100, 200, 300, 400] {
            outage.failed(secs(at));
        }
        assert!(!outage.is_down());
    }

    #[test]
    fn tries_grow_apart_up_to_a_minute() {
        let mut outage = outage();
        assert_eq!(outage.told(secs(0), false), Some(Change::Began));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let at = outage.ask_at().expect("it is down");
            outage.asked(at);
            let next = outage.ask_at().expect("it is down");
            pauses.push(next.saturating_since(at).as_secs());
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60, 60]);
        outage.told(secs(500), true);
        assert_eq!(outage.ask_at(), Some(secs(500)));
    }
}
