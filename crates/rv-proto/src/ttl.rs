//! How long a registration stands.

use std::{fmt, time::Duration};

use thiserror::Error;

/// A time to live in whole seconds, 1 s to 72 h.
///
/// What a point grants is narrower, see its limits; what remains of a granted one goes down to 1 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// 72 h, the specification's upper bound.
    pub const MAX: Self = Self(72 * 60 * 60);

    /// 2 h, which is meant when a request names none.
    pub const DEFAULT: Self = Self(2 * 60 * 60);

    /// 1 s.
    pub const MIN: Self = Self(1);

    /// The ttl of that many seconds.
    ///
    /// # Errors
    ///
    /// If it is zero or above [`Ttl::MAX`].
    pub fn from_secs(secs: u64) -> Result<Self, TtlError> {
        match u32::try_from(secs) {
            Ok(0) => Err(TtlError::Zero),
            Ok(secs) if secs <= Self::MAX.0 => Ok(Self(secs)),
            Ok(_) | Err(_) => Err(TtlError::TooLong { secs }),
        }
    }

    /// Whole seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// Why a number of seconds is no [`Ttl`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TtlError {
    /// Nothing lives for no time.
    #[error("ttl is zero")]
    Zero,
    /// Above [`Ttl::MAX`].
    #[error("ttl of {secs} s is above {}", Ttl::MAX)]
    TooLong {
        /// The seconds that were given.
        secs: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_1_second_to_72_hours() {
        assert_eq!(Ttl::from_secs(0), Err(TtlError::Zero));
        assert_eq!(Ttl::from_secs(1), Ok(Ttl::MIN));
        assert_eq!(Ttl::from_secs(259_200), Ok(Ttl::MAX));
        for secs in [259_201, 1 << 32, (1 << 32) + 7_200, u64::MAX] {
            assert_eq!(Ttl::from_secs(secs), Err(TtlError::TooLong { secs }));
        }
    }

    #[test]
    fn a_ttl_reads_as_seconds() {
        assert_eq!(Ttl::DEFAULT.to_string(), "7200 s");
        assert_eq!(Ttl::DEFAULT.as_duration(), Duration::from_secs(7_200));
        assert_eq!(
            TtlError::TooLong { secs: 300_000 }.to_string(),
            "ttl of 300000 s is above 259200 s"
        );
    }
}
