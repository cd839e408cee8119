//! A shorter case that breaks the same promise.

use super::case::{Case, Link};
use super::oracle::Violation;
use super::run::check;

/// Runs that shrinking may take: each lasts a fraction of a second.
const RUNS_MAX: u32 = 400;

/// Cuts the script, and then the faults of the links, as long as the same promise stays broken.
///
/// Returns what is left, and how it breaks.
pub fn shrink(case: Case, violation: Violation) -> (Case, Violation) {
    let mut shrinking = Shrinking {
        case,
        violation,
        runs: 0,
    };
    let mut chunk = shrinking.case.script.len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        while start < shrinking.case.script.len() {
            let mut shorter = shrinking.case.clone();
            let end = shorter.script.len().min(start + chunk);
            shorter.script.drain(start..end);
            if !shrinking.keeps(shorter) {
                start += chunk;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    shrinking.calm_the_links();
    (shrinking.case, shrinking.violation)
}

struct Shrinking {
    case: Case,
    violation: Violation,
    runs: u32,
}

impl Shrinking {
    /// Goes on with a case if it breaks the same promise.
    fn keeps(&mut self, case: Case) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        match check(&case) {
            Err(violation) if violation.promise == self.violation.promise => {
                self.case = case;
                self.violation = violation;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn calm_the_links(&mut self) {
        let parts: [fn(&mut Link) -> &mut u64; 5] = [
            |link| &mut link.late,
            |link| &mut link.doubled,
            |link| &mut link.answers_lost,
            |link| &mut link.lost,
            |link| &mut link.delay_millis_max,
        ];
        for part in parts {
            let mut calmer = self.case.clone();
            *part(&mut calmer.shape.link) = 0;
            self.keeps(calmer);
        }
    }
}
