//! The client's time, and its randomness.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use rv_proto::Time;
use web_time::{Instant, SystemTime, UNIX_EPOCH};

/// The wall clock as it stood at the start, plus the time that has passed since: setting the wall
/// clock while the process runs lets no registration lapse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at_start: Time,
    started: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let at_start = Time::from_millis(millis(since_unix_epoch()));
        let started = Instant::now();
        Self { at_start, started }
    }

    pub(crate) fn now(&self) -> Time {
        self.at_start.saturating_add(self.started.elapsed())
    }
}

/// Seconds of the wall clock as it stands now.
pub(crate) fn unix_secs() -> u64 {
    since_unix_epoch().as_secs()
}

/// A number that differs from process to process and from call to call.
pub(crate) fn random() -> u64 {
    // The keys of a hash map are the system's randomness without another dependency. Where they are
    // always the same, as in a browser, the time is what differs.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u128(since_unix_epoch().as_nanos());
    hasher.finish()
}

fn since_unix_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
