//! The daemon's time: the wall clock as it stood at the start, plus what has passed since.

use std::time::Duration;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::time::Instant;

use rv_proto::Time;

use crate::Clock;
use crate::clock::{differs_from_wall_clock, wall_clock};

/// A clock that nobody can set while the process runs, and that counts time asleep where the
/// system can tell it (Linux and Android).
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    start: Start,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    started: Instant,
}

impl SteadyClock {
    /// Starts from the wall clock as it stands now.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn new() -> Self {
        Self {
            start: Start {
                wall: wall_clock(),
                boot: since_boot(),
            },
        }
    }

    /// Starts from the wall clock as it stands now.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn new() -> Self {
        let start = Start {
            wall: wall_clock(),
            boot: Duration::ZERO,
        };
        Self {
            start,
            started: Instant::now(),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn boot(&self) -> Duration {
        since_boot()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn boot(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Time {
        self.start.sample(self.boot())
    }

    fn is_disputed(&self) -> bool {
        differs_from_wall_clock(self.now())
    }
}

/// Two clocks read together at the start.
#[derive(Clone, Copy, Debug)]
struct Start {
    wall: Time,
    boot: Duration,
}

impl Start {
    /// The time when the time since boot is `boot`. The wall clock is not asked again.
    fn sample(&self, boot: Duration) -> Time {
        self.wall.saturating_add(boot.saturating_sub(self.boot))
    }
}

/// Time since the machine booted, with the time it was suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(secs, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Start = Start {
        wall: Time::from_millis(1_000_000),
        boot: Duration::from_secs(50),
    };

    #[test]
    fn time_passes_as_the_time_since_boot_does() {
        assert_eq!(
            START.sample(Duration::from_secs(50)),
            Time::from_millis(1_000_000)
        );
        assert_eq!(
            START.sample(Duration::from_millis(53_250)),
            Time::from_millis(1_003_250)
        );
        let asleep = Duration::from_secs(3_600);
        assert_eq!(
            START.sample(START.boot + asleep),
            START.wall.saturating_add(asleep)
        );
    }

    #[test]
    fn a_wall_clock_set_forward_or_back_changes_nothing() {
        // Setting the clock moves the wall clock and not the time since boot. A daemon that starts
        // after the change is off by it, one that runs is not.
        let running = START.sample(Duration::from_secs(60));
        for set_to in [Time::ZERO, Time::from_millis(u64::MAX)] {
            let started_later = Start {
                wall: set_to,
                boot: Duration::from_secs(60),
            };
            assert_eq!(started_later.sample(Duration::from_secs(60)), set_to);
            assert_eq!(START.sample(Duration::from_secs(60)), running);
        }
    }

    #[test]
    fn time_never_goes_behind_the_start() {
        assert_eq!(START.sample(Duration::ZERO), START.wall);
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let late = Start {
            wall: Time::from_millis(u64::MAX - 1),
            boot: Duration::ZERO,
        };
        assert_eq!(
            late.sample(Duration::from_secs(9)),
            Time::from_millis(u64::MAX)
        );
    }

    #[test]
    fn the_real_clock_starts_at_the_wall_clock_and_goes_on() {
        let before = wall_clock();
        let clock = SteadyClock::new();
        let (first, second) = (clock.now(), clock.now());
        assert!(first >= before);
        assert!(second >= first);
        assert!(first.saturating_since(before) < Duration::from_secs(60));
    }
}
