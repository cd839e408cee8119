//! Where something stands in the log, and which log it is.

use std::fmt;

/// A position in the log, from 1 on; [`Seq::ZERO`] is before the first.
///
/// 44 bits, which is what a cookie has room for: at 10,000 writes a second they last 55 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// Before the first position.
    pub const ZERO: Self = Self(0);

    /// The last position there is.
    pub const MAX: Self = Self((1 << Self::BITS) - 1);

    pub(crate) const BITS: u32 = 44;

    /// The position of that number; `None` above [`Seq::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number of this position.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one; `None` after the last.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// The low bits of a cookie's number.
    pub(crate) const fn from_low_bits(bits: u64) -> Self {
        Self(bits & Self::MAX.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tag of one life of a log: a position means something only within its epoch.
///
/// 18 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u32);

impl Epoch {
    pub(crate) const BITS: u32 = 18;

    const MASK: u32 = (1 << Self::BITS) - 1;

    /// The epoch of the low 18 bits of a number, which may be random.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::MASK)
    }

    /// The number of this epoch.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_end_at_44_bits() {
        assert_eq!(Seq::new(1 << 44), None);
        assert_eq!(Seq::new((1 << 44) - 1), Some(Seq::MAX));
        assert_eq!(Seq::MAX.next(), None);
        assert_eq!(Seq::ZERO.next().map(Seq::get), Some(1));
    }

    #[test]
    fn an_epoch_takes_the_low_18_bits() {
        assert_eq!(Epoch::from_bits(u32::MAX).get(), 262_143);
        assert_eq!(Epoch::from_bits(1 << 18), Epoch::from_bits(0));
    }
}
