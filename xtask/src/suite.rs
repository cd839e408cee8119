//! The tests, sorted into stages so that every test binary runs exactly once.

use std::collections::BTreeMap;
use std::env::consts::EXE_SUFFIX;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use cargo_metadata::{Metadata, TargetKind};

use crate::cargo::{EVERYTHING, capture, cargo, execute, workspace};
use crate::peers::{self, Peers};
use crate::say;
use crate::stages::{Budget, Stages};

/// The tests that take the power away. Each must exist: a renamed one would silently join
/// another stage.
const CRASH_TESTS: [&str; 2] = ["crash_images", "kill"];

/// How many kills a crash test makes; read by `kill`, which has a small default of its own.
const KILL_ROUNDS: &str = "RV_KILL_ROUNDS";

/// Which budget each integration test counts against, by the name of its target.
type Plan = BTreeMap<String, Budget>;

/// Builds and runs every test that this machine can run.
///
/// # Errors
/// When a stage fails.
pub(crate) fn run() -> Result<()> {
    let mut stages = Stages::default();
    run_into(&mut stages)
}

/// Runs every test after the stages that were run before, and ends the run.
///
/// # Errors
/// When any stage failed, also an earlier one.
pub(crate) fn run_into(stages: &mut Stages) -> Result<()> {
    let peers = Peers::look();
    say(&peers.summary());
    let plan = plan(&workspace()?)?;

    let built = stages.run(Budget::BuildsAndLints, "build", || {
        execute(cargo(["build", "--quiet", "--all-targets"]).args(EVERYTHING))
    });
    if !built {
        return stages.finish();
    }
    // Quick ones first: a broken rule should show before the long stages begin.
    for (budget, name) in [
        (Budget::UnitAndModel, "unit and model tests"),
        (Budget::Crash, "crash tests"),
        (Budget::Simulators, "simulations"),
        (Budget::Peers, "peer tests"),
    ] {
        let Some(mut tests) = tests(&plan, budget) else {
            continue;
        };
        if budget == Budget::Peers {
            stages.run(budget, "stock peers made", || peers.make());
            peers.require(&mut tests);
        }
        stages.run(budget, name, || execute(&mut tests));
    }
    close(stages)
}

/// The doctests, held back until the table of stages is printed: so the last lines of the run are
/// cargo's own, as after a plain `cargo test`.
fn close(stages: &mut Stages) -> Result<()> {
    let mut stdout = Vec::new();
    stages.run(Budget::UnitAndModel, "doctests", || {
        let mut doctests = cargo(["test", "--doc", "--no-fail-fast"]);
        let (output, succeeded) = capture(doctests.args(EVERYTHING))?;
        stdout = output;
        ensure!(succeeded, "see below");
        Ok(())
    });
    say(&stages.table());
    std::io::stdout().write_all(&stdout)?;
    stages.finish()
}

/// The call that runs the tests of one budget; `None` where there are none.
fn tests(plan: &Plan, budget: Budget) -> Option<Command> {
    let mut command = cargo(["test", "--no-fail-fast"]);
    command.args(EVERYTHING);
    let mut any = false;
    if budget == Budget::UnitAndModel {
        command.args(["--lib", "--bins"]);
        any = true;
    }
    for (target, _) in plan.iter().filter(|&(_, &planned)| planned == budget) {
        command.args(["--test", target]);
        any = true;
    }
    any.then_some(command)
}

fn plan(metadata: &Metadata) -> Result<Plan> {
    let targets = metadata.packages.iter().flat_map(|package| {
        let tests = |target: &&cargo_metadata::Target| {
            target.test && target.kind.contains(&TargetKind::Test)
        };
        let name = package.name.as_str();
        package
            .targets
            .iter()
            .filter(tests)
            .map(move |target| (name, target.name.as_str()))
    });
    plan_targets(targets)
}

fn plan_targets<'a>(targets: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Plan> {
    let mut plan = Plan::new();
    for (package, target) in targets {
        let budget = match (package, target) {
            _ if CRASH_TESTS.contains(&target) => Budget::Crash,
            ("rv-interop", _) => Budget::Peers,
            ("rv-sim", _) => Budget::Simulators,
            _ => Budget::UnitAndModel,
        };
        // Cargo selects tests of a workspace by their names alone.
        if let Some(other) = plan.insert(target.to_owned(), budget)
            && other != budget
        {
            bail!(
                "{package} has a test `{target}`, and so has a crate of another stage: rename it"
            );
        }
    }
    for test in CRASH_TESTS {
        ensure!(
            plan.contains_key(test),
            "the crash test `{test}` is gone: correct CRASH_TESTS"
        );
    }
    Ok(plan)
}

/// Makes the stock peers, and lets a test write what it finds into the project: `matrix` its table
/// into the README, `frames` what clients send.
///
/// # Errors
/// When a peer is missing or cannot be made, or the test fails.
pub(crate) fn write(test: &str) -> Result<()> {
    let peers = Peers::look();
    say(&peers.summary());
    peers.make()?;
    let mut command = cargo(["test", "--test", test]);
    let variable = format!("RV_{}", test.to_uppercase());
    command.args(EVERYTHING).env(variable, "write");
    execute(peers.require_all(&mut command))
}

/// Kills a serving point `rounds` times.
///
/// # Errors
/// When a registration that was acknowledged is lost, or the test cannot run.
pub(crate) fn crash(rounds: u32) -> Result<()> {
    let mut command = cargo(["test", "--test", "kill"]);
    command
        .args(EVERYTHING)
        .args(["--", "--nocapture"])
        .env(KILL_ROUNDS, rounds.to_string());
    execute(&mut command)
}

/// Runs simulations with `arguments`: long runs, and replays of a seed.
///
/// They are built for release, which makes them ten times quicker; a seed is the same case in every
/// build.
///
/// # Errors
/// When a promise is broken, or the simulator cannot be built.
pub(crate) fn sim(arguments: &[&str]) -> Result<()> {
    let mut command = cargo(["run", "--quiet", "--release", "--package", "rv-sim", "--"]);
    execute(command.args(arguments))
}

/// Builds the points and the load generator for release and runs the latter with `arguments`.
///
/// # Errors
/// When a build or the load generator fails.
pub(crate) fn bench(arguments: &[&str]) -> Result<()> {
    if arguments.first() != Some(&"walk") {
        peers::run_go()?;
    }
    execute(&mut cargo([
        "build",
        "--release",
        "-p",
        "rv-bench",
        "-p",
        "rv-cli",
    ]))?;
    // Not `cargo run`: its narrower selection would unify features anew and build again.
    let folder = workspace()?.target_directory.join("release");
    let generator = folder.join(format!("rv-bench{EXE_SUFFIX}"));
    execute(Command::new(generator).args(arguments).stdin(Stdio::null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: [(&str, &str); 2] = [("rv-cli", "kill"), ("rv-server", "crash_images")];

    fn plan_with(extra: &[(&'static str, &'static str)]) -> Result<Plan> {
        plan_targets(CRASH.iter().chain(extra).copied())
    }

    #[test]
    fn each_test_runs_in_the_stage_of_its_crate() {
        let plan = plan_with(&[
            ("rv-core", "model"),
            ("rv-interop", "rust"),
            ("rv-sim", "churn"),
        ])
        .expect("all names differ");

        let selected = |budget| {
            let command = tests(&plan, budget)?;
            let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned());
            Some(
                arguments
                    .skip(2 + EVERYTHING.len())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(selected(Budget::BuildsAndLints), None);
        assert_eq!(
            selected(Budget::UnitAndModel).as_deref(),
            Some("--lib --bins --test model")
        );
        assert_eq!(
            selected(Budget::Crash).as_deref(),
            Some("--test crash_images --test kill")
        );
        assert_eq!(
            selected(Budget::Simulators).as_deref(),
            Some("--test churn")
        );
        assert_eq!(selected(Budget::Peers).as_deref(), Some("--test rust"));
    }

    #[test]
    fn one_name_in_two_stages_is_refused_because_it_would_run_twice() {
        let error = plan_with(&[("rv-core", "rust"), ("rv-interop", "rust")]);
        assert!(
            error
                .expect_err("two stages share a name")
                .to_string()
                .contains("`rust`")
        );

        plan_with(&[("rv-core", "model"), ("rv-proto", "model")]).expect("one stage runs both");
    }

    #[test]
    fn a_crash_test_that_was_renamed_is_missed() {
        let error = plan_targets(CRASH[1..].iter().copied());
        assert!(
            error
                .expect_err("kill is gone")
                .to_string()
                .contains("`kill`")
        );
    }
}
