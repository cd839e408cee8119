//! Positions in the key space, and how far they are from each other.
//!
//! A peer's position is the SHA-256 of its id, and so is a target's: each side of a FIND_NODE
//! hashes what is on the wire. A number drawn in the key space is therefore no target; a pre-image
//! of it is, see [`Targets`](crate::Targets).

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A position in the key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; Self::LEN]);

/// How far two positions are apart: their bitwise difference, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; Key::LEN]);

/// The number of leading bits that two positions share, which is the number of a bucket: 0 is the
/// half of the network that is farthest away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpl(u8);

impl Key {
    /// Bytes of a position.
    pub const LEN: usize = 32;

    /// Where these bytes stand: their SHA-256.
    ///
    /// "The `distance(a, b)` is `XOR(SHA256(a), SHA256(b))`", libp2p's Kademlia specification,
    /// <https://github.com/libp2p/specs/blob/master/kad-dht/README.md#distance>.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// This very position.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The position's bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// How far another position is from here.
    pub fn distance(&self, other: &Self) -> Distance {
        Distance(std::array::from_fn(|at| self.0[at] ^ other.0[at]))
    }

    /// The bucket of another position as seen from here; `None` for this position itself.
    pub fn cpl(&self, other: &Self) -> Option<Cpl> {
        let Distance(bytes) = self.distance(other);
        let at = bytes.iter().position(|byte| *byte != 0)?;
        let bits = at * 8 + bytes[at].leading_zeros() as usize;
        u8::try_from(bits).ok().map(Cpl)
    }

    /// The first 64 bits, which decide nearly every comparison.
    pub(crate) fn prefix(&self) -> u64 {
        let head = self.0.first_chunk().expect("a position has 32 bytes");
        u64::from_be_bytes(*head)
    }
}

impl Distance {
    /// The share of the key space that is at least this near, 0 to 1.
    pub fn fraction(&self) -> f64 {
        let head = self.0.first_chunk().expect("a distance has 32 bytes");
        fraction(u64::from_be_bytes(*head))
    }
}

/// A distance's first 64 bits as a share of the key space.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share is an estimate: 53 bits are more than enough"
)]
pub(crate) fn fraction(prefix: u64) -> f64 {
    prefix as f64 / 2_f64.powi(64)
}

impl Cpl {
    /// The bucket of that number.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The number of shared bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Cpl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:016x}..)", self.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_the_sha_256_of_the_bytes() {
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        assert_eq!(Key::of(b"abc").prefix(), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn the_bucket_counts_shared_bits_and_has_no_place_for_oneself() {
        let here = Key::from_bytes([0; Key::LEN]);
        let other = |at: usize, byte: u8| {
            let mut bytes = [0; Key::LEN];
            bytes[at] = byte;
            here.cpl(&Key::from_bytes(bytes))
        };
        assert_eq!(other(0, 0x80), Some(Cpl::new(0)));
        assert_eq!(other(0, 0x01), Some(Cpl::new(7)));
        assert_eq!(other(1, 0xff), Some(Cpl::new(8)));
        assert_eq!(other(31, 0x01), Some(Cpl::new(255)));
        assert_eq!(here.cpl(&here), None);
    }

    #[test]
    fn the_farthest_position_is_the_whole_key_space_away() {
        let here = Key::from_bytes([0; Key::LEN]);
        assert_eq!(here.distance(&here).fraction(), 0.0);
        let far = Key::from_bytes([0xff; Key::LEN]);
        assert!((here.distance(&far).fraction() - 1.0).abs() < 1e-12);
    }
}
