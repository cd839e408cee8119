//! Targets for every peer's buckets, shared among all peers.
//!
//! Bucket `c` of a peer is a part of the key space: all positions that begin with the peer's first
//! `c` bits and the opposite of the next one. Many peers have the same parts, so a target in each
//! part of one size serves all of them, and a sweep finds those together far quicker than one by
//! one: 16,384 parts take 160,000 hashes instead of 270 million.

use std::collections::BTreeMap;

use crate::key::Cpl;
use crate::peer::Peer;
use crate::target::{Target, Targets};

#[derive(Clone, Debug)]
pub(super) struct Prefixes {
    targets: Targets,
    /// The key space is divided into 2 to the power of this many parts.
    bits: u8,
    /// One in each part, by the head of its position.
    shared: BTreeMap<u64, Target>,
}

impl Prefixes {
    /// Up to 2^14 shared targets, which is about 3 MB. Only networks of more than 300,000 peers
    /// have full buckets beyond; those targets are made for one peer.
    const SHARED_BITS_MAX: u8 = 14;

    pub(super) const fn new(targets: Targets) -> Self {
        Self {
            targets,
            bits: 0,
            shared: BTreeMap::new(),
        }
    }

    /// A target in a peer's bucket; `None` above [`Targets::CPL_MAX`].
    pub(super) fn target(&mut self, peer: &Peer, cpl: Cpl) -> Option<Target> {
        let bits = cpl.bits() + 1;
        if bits <= Self::SHARED_BITS_MAX {
            self.divide(bits);
            let below = 64 - u32::from(bits);
            let first = ((peer.prefix() >> below) ^ 1) << below;
            let last = first | ((1 << below) - 1);
            if let Some((_, target)) = self.shared.range(first..=last).next() {
                return Some(target.clone());
            }
        }
        self.targets.in_bucket(peer.key(), cpl)
    }

    /// Finds a target for each part of that size.
    fn divide(&mut self, bits: u8) {
        if bits > self.bits {
            self.bits = bits;
            let all = self.targets.stratified(1 << bits).into_iter();
            self.shared = all.map(|it| (it.as_peer().prefix(), it)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn each_target_lands_in_the_bucket_and_few_are_made() {
        let mut random = Targets::new(Seed::from_bytes([1; 32]));
        let mut prefixes = Prefixes::new(Targets::new(Seed::from_bytes([2; 32])));
        for bits in (0..=15).rev() {
            for _ in 0..20 {
                let peer = random.uniform().as_peer().clone();
                let target = prefixes.target(&peer, Cpl::new(bits)).expect("a target");
                assert_eq!(peer.key().cpl(target.key()), Some(Cpl::new(bits)));
            }
        }
        assert_eq!(prefixes.shared.len(), 1 << Prefixes::SHARED_BITS_MAX);
        let peer = random.uniform().as_peer().clone();
        assert_eq!(prefixes.target(&peer, Cpl::new(21)), None);
    }
}
