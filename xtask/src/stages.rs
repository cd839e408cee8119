//! Stages of a run: each is timed, a failed one is remembered, and the end has a table of all.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::say;

/// The time of a whole run, in minutes on two cores.
const WHOLE_MINUTES_MAX: u64 = 60;

/// What a stage's time is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Budget {
    /// Everything that compiles or only reads.
    BuildsAndLints,
    /// Tests of one machine or one process, doctests included.
    UnitAndModel,
    /// Tests that take the power away.
    Crash,
    /// Whole networks in simulated time.
    Simulators,
    /// Tests against stock peers.
    Peers,
}

impl Budget {
    const fn name(self) -> &'static str {
        match self {
            Self::BuildsAndLints => "builds and lints",
            Self::UnitAndModel => "unit and model",
            Self::Crash => "crash",
            Self::Simulators => "simulators",
            Self::Peers => "peers",
        }
    }

    /// The limit in minutes; over it a change should make its tests quicker, not the limit higher.
    const fn minutes_max(self) -> u64 {
        match self {
            Self::BuildsAndLints => 12,
            Self::UnitAndModel => 8,
            Self::Crash => 6,
            Self::Simulators => 5,
            Self::Peers => 20,
        }
    }
}

/// The stages that ran so far.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    name: &'static str,
    budget: Budget,
    took: Duration,
    failed: bool,
}

impl Stages {
    /// Runs one stage and says whether it succeeded; a failure is printed, not returned, so that
    /// one run shows all that is wrong.
    pub(crate) fn run(
        &mut self,
        budget: Budget,
        name: &'static str,
        work: impl FnOnce() -> Result<()>,
    ) -> bool {
        say(&format!("== {name}"));
        let start = Instant::now();
        let outcome = work();
        if let Err(error) = &outcome {
            say(&format!("== {name} failed: {error:#}"));
        }
        self.done.push(Stage {
            name,
            budget,
            took: start.elapsed(),
            failed: outcome.is_err(),
        });
        outcome.is_ok()
    }

    /// The end of a run.
    ///
    /// # Errors
    /// Names every stage that failed.
    pub(crate) fn finish(&self) -> Result<()> {
        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|s| s.failed)
            .map(|s| s.name)
            .collect();
        ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }

    /// One line for each budget that was touched, with its stages below it.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:<26}{:>9}  {}\n", "stage", "seconds", "budget");
        let mut budgets: Vec<Budget> = self.done.iter().map(|stage| stage.budget).collect();
        budgets.sort_unstable();
        budgets.dedup();
        for budget in budgets {
            let stages = || self.done.iter().filter(move |stage| stage.budget == budget);
            let took = stages().map(|stage| stage.took).sum();
            push_row(
                &mut table,
                budget.name(),
                took,
                &limit(took, budget.minutes_max()),
            );
            for stage in stages() {
                let note = if stage.failed { "failed" } else { "" };
                push_row(&mut table, &format!("  {}", stage.name), stage.took, note);
            }
        }
        let took = self.done.iter().map(|stage| stage.took).sum();
        push_row(&mut table, "in all", took, &limit(took, WHOLE_MINUTES_MAX));
        table
    }
}

fn push_row(table: &mut String, name: &str, took: Duration, note: &str) {
    let row = format!("{name:<26}{:>9.1}  {note}", took.as_secs_f64());
    // Writing to a string cannot fail.
    let _ = writeln!(table, "{}", row.trim_end());
}

fn limit(took: Duration, minutes_max: u64) -> String {
    let over = if took > Duration::from_secs(minutes_max * 60) {
        ", passed"
    } else {
        ""
    };
    format!("{minutes_max} min{over}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn the_table_sums_each_budget_and_names_failures_and_budgets_passed() {
        let stage = |name, budget, secs, failed| Stage {
            name,
            budget,
            took: Duration::from_secs(secs),
            failed,
        };
        let stages = Stages {
            done: vec![
                stage("kill", Budget::Crash, 361, true),
                stage("tidy", Budget::BuildsAndLints, 1, false),
                stage("clippy", Budget::BuildsAndLints, 40, false),
            ],
        };
        let expected = "\
stage                       seconds  budget
builds and lints               41.0  12 min
  tidy                          1.0
  clippy                       40.0
crash                         361.0  6 min, passed
  kill                        361.0  failed
in all                        402.0  60 min
";
        assert_eq!(stages.table(), expected);
    }

    #[test]
    fn a_failed_stage_fails_the_run_and_the_next_still_runs() {
        let mut stages = Stages::default();
        assert!(!stages.run(Budget::Crash, "one", || bail!("broken")));
        assert!(stages.run(Budget::Crash, "two", || Ok(())));

        let error = stages.finish().expect_err("one stage failed");
        assert_eq!(error.to_string(), "failed: one");
    }
}
