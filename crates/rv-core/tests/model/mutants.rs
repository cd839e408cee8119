//! Points with one fault each. The harness is worth something because it finds every one.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::flat::Flat;
use crate::harness::run;
use crate::model::Fault;
use crate::{ops, runner};

/// A fault must show within so many cases.
const CASES_MAX: usize = 200;

/// The first case that shows the fault, and how.
fn first_violation(fault: Option<Fault>, cases: usize) -> Option<(usize, String)> {
    let mut runner = runner(7, 0);
    (0..cases).find_map(|number| {
        let case = ops::case().new_tree(&mut runner).expect("a case").current();
        let outcome = run(&case, Flat::new(&case.setup, fault));
        outcome
            .err()
            .map(|violation| (number, format!("{}\n{case:?}", violation.0)))
    })
}

fn check_is_caught(fault: Fault) {
    let caught = first_violation(Some(fault), CASES_MAX);
    assert!(
        caught.is_some(),
        "{fault:?} goes unnoticed in {CASES_MAX} cases"
    );
}

#[test]
fn a_plain_point_without_a_fault_passes() {
    if let Some((number, violation)) = first_violation(None, CASES_MAX) {
        panic!("case {number}: {violation}");
    }
}

macro_rules! caught {
    ($($name:ident: $fault:ident,)+) => {
        $(
            #[test]
            fn $name() {
                check_is_caught(Fault::$fault);
            }
        )+
    };
}

caught! {
    a_changed_dialect_that_goes_on_is_caught: ChangedDialectGoesOn,
    a_cookie_at_the_end_for_py_is_caught: LastCookieShown,
    a_cookie_stronger_than_identify_is_caught: CookieBeforeIdentify,
    a_cookie_that_counts_entries_is_caught: OffsetCookie,
    a_fact_applied_twice_is_caught: ReplayedTwice,
    a_failure_that_leaves_a_trace_is_caught: FailureLeavesTrace,
    a_guess_that_is_remembered_is_caught: GuessRemembered,
    a_page_that_skips_the_rest_is_caught: PageSkipsRest,
    a_refresh_refused_at_a_limit_is_caught: RefreshRefusedAtLimit,
    a_refresh_that_leaves_the_old_one_is_caught: RefreshLeaks,
    a_removal_forgotten_by_a_restart_is_caught: RemovalForgotten,
    a_total_off_by_one_is_caught: OffByOneTotal,
    a_ttl_that_grows_is_caught: TtlGrows,
    expired_ones_that_are_shown_are_caught: ExpiredShown,
    marks_for_stock_readers_are_caught: AllMarked,
    mixed_dialects_are_caught: DialectsMixed,
    one_entry_for_each_form_is_caught: EachFormShown,
    plain_marked_as_verified_is_caught: PlainMarkedVerified,
    plain_where_signed_is_there_is_caught: PlainPreferred,
    seqs_compared_across_dialects_are_caught: StaleAcrossDialects,
    two_in_flight_past_a_limit_are_caught: InFlightNotCounted,
}
