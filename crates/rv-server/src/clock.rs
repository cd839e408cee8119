//! Where the machines' time comes from.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rv_proto::Time;

/// A source of time for deadlines that outlive the process.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. Must not go backwards while the process lives.
    fn now(&self) -> Time;
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
}

/// The wall clock; the epoch itself if it stands before that.
pub(crate) fn wall_clock() -> Time {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
