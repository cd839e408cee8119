//! The three forms that a peer record has on the wire.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A form of peer record. Implementations that share none cannot read each other's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// A signed envelope of type `/libp2p/routing-state-record`: what rust registers.
    Legacy,
    /// A signed envelope of type `03 01`: what nim and js register, and some forks of go.
    Standard,
    /// An unsigned peer id with addresses: what go and py register.
    Plain,
}

impl Dialect {
    /// Every dialect, in the order of [`Dialect::index`].
    pub const ALL: [Self; 3] = [Self::Legacy, Self::Standard, Self::Plain];

    /// 0, 1 or 2: for tables with one place for each dialect.
    pub const fn index(self) -> usize {
        match self {
            Self::Legacy => 0,
            Self::Standard => 1,
            Self::Plain => 2,
        }
    }

    /// Whether its records carry their peer's signature. Without one, a record says what whoever
    /// passed it on says.
    pub const fn is_signed(self) -> bool {
        match self {
            Self::Legacy | Self::Standard => true,
            Self::Plain => false,
        }
    }

    /// The name in configuration, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Standard => "standard",
            Self::Plain => "plain",
        }
    }

    /// The number in messages and cookies, where 0 is none.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Legacy => 1,
            Self::Standard => 2,
            Self::Plain => 3,
        }
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| u64::from(dialect.number()) == number)
    }

    const fn bit(self) -> u8 {
        1 << self.index()
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
            .ok_or(UnknownDialect)
    }
}

/// A name that no [`Dialect`] has.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("unknown dialect: use legacy, standard or plain")]
pub struct UnknownDialect;

/// Some of the dialects.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialectSet(u8);

impl DialectSet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// All of them.
    pub const ALL: Self = Self(0b111);

    /// The set whose [`DialectSet::to_bits`] these are; bits without a meaning are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// A number below 8, bit [`Dialect::index`] for each dialect.
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// Adds one.
    pub const fn insert(&mut self, dialect: Dialect) {
        self.0 |= dialect.bit();
    }

    /// Whether it is one of them.
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & dialect.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The dialects that are in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The dialects that are in this one alone.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether some dialect is in both.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those that are in it, in the order of [`Dialect::index`].
    pub fn iter(self) -> impl Iterator<Item = Dialect> {
        Dialect::ALL
            .into_iter()
            .filter(move |dialect| self.contains(*dialect))
    }
}

impl fmt::Debug for DialectSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl From<Dialect> for DialectSet {
    fn from(dialect: Dialect) -> Self {
        Self(dialect.bit())
    }
}

impl FromIterator<Dialect> for DialectSet {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        let mut set = Self::EMPTY;
        for dialect in dialects {
            set.insert(dialect);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::rendezvous::message;

    #[test]
    fn a_dialect_has_one_name_one_index_and_one_number() {
        for (index, dialect) in Dialect::ALL.into_iter().enumerate() {
            assert_eq!(dialect.index(), index);
            assert_eq!(dialect.as_str().parse(), Ok(dialect));
            assert_eq!(
                Dialect::from_number(u64::from(dialect.number())),
                Some(dialect)
            );
        }
        assert_eq!(Dialect::from_number(0), None);
        assert_eq!(Dialect::from_number(4), None);
        assert_eq!("".parse::<Dialect>(), Err(UnknownDialect));
    }

    #[test]
    fn numbers_are_those_of_the_proto_file() {
        use message::Dialect as Wire;
        for (dialect, wire) in
            Dialect::ALL
                .into_iter()
                .zip([Wire::Legacy, Wire::Standard, Wire::Plain])
        {
            assert_eq!(i32::from(dialect.number()), wire as i32);
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        for bits in 0..=u8::MAX {
            let set = DialectSet::from_bits(bits);
            assert_eq!(set.to_bits(), bits & 0b111);
            assert_eq!(set.iter().collect::<DialectSet>(), set);
            assert_eq!(set.iter().count(), set.to_bits().count_ones() as usize);
            assert_eq!(set.is_empty(), set == DialectSet::EMPTY);
        }
    }
}
