//! Points in time, as an argument and never from a clock.

use std::time::Duration;

/// Milliseconds since the Unix epoch on a server; in tests and simulations whatever they count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);

    /// The point that many milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This much later, or the last point there is.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long `earlier` is past; zero if it is not.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_both_ends() {
        let last = Time::from_millis(u64::MAX);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(Time::ZERO.saturating_since(last), Duration::ZERO);
        assert_eq!(
            last.saturating_since(Time::ZERO).as_millis(),
            u128::from(u64::MAX)
        );
    }

    #[test]
    fn fractions_of_a_millisecond_are_dropped() {
        let later = Time::from_millis(5).saturating_add(Duration::from_micros(1_999));
        assert_eq!(later.as_millis(), 6);
    }
}
