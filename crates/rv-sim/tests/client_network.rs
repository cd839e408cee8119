//! Clients and points in a network that fails in every way: every promise is kept.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use rv_sim::client::{Case, check, shrink};

/// Seeds that are always run.
const FIXED: u64 = 60;

/// Seeds that no run had before.
const FRESH: u64 = 30;

fn check_seeds(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let case = Case::of_seed(seed);
        if let Err(violation) = check(&case) {
            let (shortest, last) = shrink(case, violation.clone());
            panic!(
                "seed {seed}: {violation}\nshortest: {last}\n{shortest:#?}\n\
                 replay: cargo xtask sim client --seeds 1 --from {seed}"
            );
        }
    }
}

#[test]
fn every_promise_is_kept() {
    check_seeds(1..=FIXED);
}

#[test]
fn every_promise_is_kept_in_cases_never_seen_before() {
    let first = RandomState::new().build_hasher().finish() >> 1;
    println!("seeds from {first}");
    check_seeds(first..first + FRESH);
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 4] {
        let runs = [check(&Case::of_seed(seed)), check(&Case::of_seed(seed))];
        assert_eq!(runs[0], runs[1]);
    }
}
