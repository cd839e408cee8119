//! Targets land where they are wanted, under the hash that networks use.

use std::collections::BTreeSet;

use dht_walk::libp2p_identity::PeerId;
use dht_walk::{Cpl, Key, Seed, Targets};
use sha2::{Digest as _, Sha256};

use crate::world::random;

/// Computed here, so that a mistake of the crate's own hash would be seen.
fn shared_bits(left: &[u8], right: &[u8]) -> u32 {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    let differing = left.iter().zip(&right).map(|(l, r)| l ^ r);
    let mut bits = 0;
    for byte in differing {
        bits += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    bits
}

#[test]
fn cpl_target_has_exact_cpl_with_real_sha256() {
    let mut targets = random(3);
    let local = targets.uniform();
    for cpl in 0..=20_u8 {
        let count = if cpl < 13 { 64 } else { 4 };
        for _ in 0..count {
            let target = targets
                .in_bucket(local.key(), Cpl::new(cpl))
                .expect("a target");
            let bits = shared_bits(&target.to_bytes(), &local.to_bytes());
            assert_eq!(bits, u32::from(cpl));
            assert_eq!(local.key().cpl(target.key()), Some(Cpl::new(cpl)));
        }
    }
}

#[test]
fn a_target_deeper_than_is_worth_its_hashes_is_not_made() {
    let mut targets = random(3);
    let local = targets.uniform();
    assert_eq!(targets.in_bucket(local.key(), Cpl::new(21)), None);
    assert_eq!(targets.in_bucket(local.key(), Cpl::new(255)), None);
}

#[test]
fn targets_are_fresh_at_each_use_and_differ_from_seed_to_seed() {
    let mut seen = BTreeSet::new();
    for seed in 1..=4 {
        let mut targets = random(seed);
        let local = random(9).uniform();
        for _ in 0..50 {
            assert!(seen.insert(targets.uniform().to_bytes()));
            let target = targets
                .in_bucket(local.key(), Cpl::new(3))
                .expect("a target");
            assert!(seen.insert(target.to_bytes()));
        }
    }
    assert_eq!(
        random(1).uniform(),
        random(1).uniform(),
        "a seed gives the same again"
    );
}

#[test]
fn a_target_is_a_peer_id_that_others_can_read() {
    let target = random(4).uniform();
    let bytes = target.to_bytes();
    assert_eq!(bytes.len(), 34);
    assert_eq!(
        PeerId::from_bytes(&bytes).expect("a peer id"),
        target.peer_id()
    );
    assert_eq!(*target.key(), Key::of(&bytes));
}

#[test]
fn a_sweep_has_one_target_in_each_slice() {
    for slices in [1, 2, 3, 100, 1_000] {
        let mut targets = Targets::new(Seed::from_bytes([5; 32]));
        let all = targets.stratified(slices);
        let slice = |key: &Key| {
            let head = u64::from_be_bytes(*key.as_bytes().first_chunk().expect("32 bytes"));
            (u128::from(head) * slices as u128) >> 64
        };
        let hit: BTreeSet<u128> = all.iter().map(|target| slice(target.key())).collect();
        assert_eq!((all.len(), hit.len()), (slices, slices));
    }
    assert!(random(5).stratified(0).is_empty());
    assert_eq!(
        random(5).stratified(Targets::SLICES_MAX + 1).len(),
        Targets::SLICES_MAX
    );
}
