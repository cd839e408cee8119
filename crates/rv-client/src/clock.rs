//! The client's time, and its randomness.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use rv_proto::Time;
use web_time::{SystemTime, UNIX_EPOCH};

/// The wall clock as it stood at the start, plus the time that has passed since: setting the wall
/// clock while the process runs lets no registration lapse.
///
/// Time asleep counts where the system tells it (Linux and Android).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at_start: Time,
    started: Moment,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let at_start = Time::from_millis(millis(since_unix_epoch()));
        let started = Moment::now();
        Self { at_start, started }
    }

    pub(crate) fn now(&self) -> Time {
        self.at_start.saturating_add(self.started.elapsed())
    }
}

/// Since the machine booted, with the time that it was asleep.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Clone, Copy, Debug)]
struct Moment(Duration);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Moment {
    fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let secs = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
        Self(Duration::new(secs, nanos))
    }

    fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
type Moment = web_time::Instant;

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
