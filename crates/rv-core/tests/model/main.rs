//! A point against a reference model that is made of plain lists.
//!
//! The same random operations run on both: peers register in every dialect, refresh and leave, time
//! passes and goes back, the journal is slow, fails or does not tell, the point dies, and readers
//! page through all of it. [`harness`] compares after each step. [`mutants`] runs it on points that
//! each have one known fault, and every one must be caught.
//!
//! A failure prints the line that replays it.

mod cookies;
mod desk;
mod flat;
mod harness;
mod journal;
mod limits;
mod model;
mod mutants;
mod ops;
mod point;
mod pool;
mod real;
mod replicas;
mod walk;
mod writer;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use harness::{Case, Violation, run};
use real::Real;

/// Cases of each of the two random tests.
const CASES: u32 = 2_000;

/// Where the seed of a failure goes.
const SEED_VARIABLE: &str = "RV_MODEL_SEED";

#[test]
fn a_point_does_what_the_model_does() {
    check_seed(1);
}

#[test]
fn a_point_does_what_the_model_does_in_cases_never_seen_before() {
    let given = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok());
    check_seed(given.unwrap_or_else(|| TestRunner::default().rng().next_u64()));
}

fn check_seed(seed: u64) {
    let mut runner = runner(seed, CASES);
    let outcome = runner.run(&ops::case(), |case| {
        check(&case).map_err(|Violation(what)| TestCaseError::fail(what))
    });
    if let Err(error) = outcome {
        let test = "a_point_does_what_the_model_does_in_cases_never_seen_before";
        panic!("{error}\nreplay: {SEED_VARIABLE}={seed} cargo test -p rv-core --test model {test}");
    }
}

fn check(case: &Case) -> Result<(), Violation> {
    run(case, Real::new(&case.setup))
}

/// Cases that depend on the seed alone.
fn runner(seed: u64, cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    })
}
