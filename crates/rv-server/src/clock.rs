//! Where the machines' time comes from.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rv_proto::{Epoch, Time};

/// A source of time for deadlines that outlive the process.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. Must not go backwards while the process lives.
    fn now(&self) -> Time;

    /// Whether something else says that [`now`](Self::now) is wrong by much. While it does,
    /// expired registrations are hidden but nothing is erased.
    fn is_disputed(&self) -> bool {
        false
    }
}

/// The wall clock as it stood at the start, plus the time that has passed since.
///
/// Setting the wall clock while the process runs changes nothing. Time asleep is not counted where
/// the system's monotonic clock leaves it out; the daemon has a clock that counts it.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    at_start: Time,
    started: Instant,
}

impl SystemClock {
    /// Starts from the wall clock as it stands now.
    pub fn new() -> Self {
        Self {
            at_start: wall_clock(),
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        self.at_start.saturating_add(self.started.elapsed())
    }

    fn is_disputed(&self) -> bool {
        differs_from_wall_clock(self.now())
    }
}

/// The wall clock; the epoch itself if it stands before that.
pub(crate) fn wall_clock() -> Time {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Whether the wall clock was set since the start, by more than it may drift.
pub(crate) fn differs_from_wall_clock(now: Time) -> bool {
    const DRIFT_MAX: Duration = Duration::from_secs(5 * 60);
    let wall = wall_clock();
    wall.saturating_since(now).max(now.saturating_since(wall)) > DRIFT_MAX
}

/// A new epoch, from the system's randomness: what a point in memory needs at every start, and a
/// journal when it is made.
pub fn random_epoch() -> Epoch {
    // The keys of a hash map are the system's randomness without another dependency.
    let random = RandomState::new().build_hasher().finish();
    let [a, b, c, d, ..] = random.to_be_bytes();
    Epoch::from_bits(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn epochs_differ() {
        let epochs: BTreeSet<_> = (0..32).map(|_| random_epoch()).collect();
        // Two of 32 collide once in 500 runs, and seven never.
        assert!(epochs.len() > 25, "{epochs:?}");
    }

    #[test]
    fn a_clock_is_disputed_when_the_wall_clock_is_elsewhere() {
        let clock = SystemClock::new();
        assert!(!clock.is_disputed());
        let hour = Duration::from_secs(3_600);
        let ahead = SystemClock {
            at_start: clock.at_start.saturating_add(hour),
            ..clock
        };
        let behind = Time::from_millis(clock.at_start.as_millis() - 3_600_000);
        let behind = SystemClock {
            at_start: behind,
            ..clock
        };
        assert!(ahead.is_disputed() && behind.is_disputed());
    }
}
