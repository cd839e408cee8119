//! Clients and points in a network that fails in every way: every promise is kept.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use rv_core::client::{Event, GoneReason};
use rv_sim::client::{Case, Seen, Sent, check, check_and_trace, shrink};

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

#[test]
fn some_clients_are_pushed_to_and_others_poll() {
    let (mut subscribed, mut told_left) = ([0, 0], [0, 0]);
    for seed in 1..=10 {
        let mut count = |_, seen: &Seen| match seen {
            Seen::Sent {
                client,
                sent: Sent::Subscribe { .. },
                ..
            } => subscribed[client % 2] += 1,
            Seen::Told {
                client,
                event:
                    Event::Gone {
                        reason: GoneReason::Left,
                        ..
                    },
            } => told_left[client % 2] += 1,
            _ => {}
        };
        let outcome = check_and_trace(&Case::of_seed(seed), &mut count);
        outcome.expect("every promise is kept");
    }
    let [pushed, polling] = subscribed;
    assert!(pushed > 0 && polling == 0, "{subscribed:?}");
    let [pushed, polling] = told_left;
    assert!(pushed > 0 && polling == 0, "{told_left:?}");
}
