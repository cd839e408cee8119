//! Randomness from a seed that the caller keeps secret.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::time::millis;

/// Bytes from the system's source of randomness, fresh for each [`Walk`](crate::Walk).
///
/// Targets follow from it. Who knows it can have peers waiting next to each target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// This seed.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// SHA-256 of the seed and a counter: the same seed gives the same numbers on every machine, and
/// the numbers that were seen tell nothing about the next.
#[derive(Clone)]
pub(crate) struct Rng {
    seed: [u8; 32],
    blocks: u64,
    block: [u8; 32],
    left: u8,
}

impl Rng {
    pub(crate) const fn new(seed: Seed) -> Self {
        let block = [0; 32];
        Self {
            seed: seed.0,
            blocks: 0,
            block,
            left: 0,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        if self.left == 0 {
            let hash = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.blocks.to_be_bytes());
            self.block = hash.finalize().into();
            self.blocks = self.blocks.wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        let at = usize::from(self.left) * 8;
        let bytes = self.block[at..]
            .first_chunk()
            .expect("a block holds four numbers");
        u64::from_be_bytes(*bytes)
    }

    /// Any number below `end`; 0 where there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        // The high half of a product is unbiased to within end / 2^64.
        let product = u128::from(self.number()) * u128::from(end);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// The duration, longer or shorter by up to a fifth: peers that began together drift apart.
    pub(crate) fn jitter(&mut self, duration: Duration) -> Duration {
        let fifth = millis(duration / 5);
        let cut = duration.saturating_sub(Duration::from_millis(fifth));
        let span = fifth.saturating_mul(2).saturating_add(1);
        cut.saturating_add(Duration::from_millis(self.number() % span))
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.number().to_be_bytes());
        }
        bytes
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_another_seed_gives_others() {
        let numbers = |byte| {
            let mut rng = Rng::new(Seed::from_bytes([byte; 32]));
            std::array::from_fn::<u64, 9, _>(|_| rng.number())
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        let mut sorted = numbers(1);
        sorted.sort_unstable();
        assert!(
            sorted.windows(2).all(|pair| pair[0] < pair[1]),
            "none comes twice"
        );
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let mut rng = Rng::new(Seed::from_bytes([7; 32]));
        let second = Duration::from_secs(1);
        for _ in 0..1_000 {
            let jittered = rng.jitter(second);
            assert!(
                (second * 4 / 5..=second * 6 / 5).contains(&jittered),
                "{jittered:?}"
            );
        }
        assert_eq!(rng.jitter(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_number_below_an_end_is_below_it() {
        let mut rng = Rng::new(Seed::from_bytes([7; 32]));
        let mut seen = [0; 3];
        (0..300).for_each(|_| seen[rng.below(3)] += 1);
        assert!(seen.iter().all(|count| *count > 60), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Seed::from_bytes([9; 32])), "Seed(..)");
        assert_eq!(
            format!("{:?}", Rng::new(Seed::from_bytes([9; 32]))),
            "Rng(..)"
        );
    }
}
