//! The project's own commands: `cargo xtask <command>`.
//!
//! The gate on a laptop and the gate of continuous integration are the same program, so nothing
//! is checked in one place only.

mod cargo;
mod codegen;
mod gate;
mod peers;
mod stages;
mod suite;
mod tidy;

use std::env;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const USAGE: &str = "\
usage: cargo xtask <command>

  ci                  the whole gate: tidy, lints, docs, then every test
  test                every test that this machine can run, each stage timed
  frames              record anew what the stock peers send, which the tests replay
  matrix              let the stock peers write the table of who finds whom into the README
  peers               make the stock peers of other languages, which the tests of rv-interop run
  tidy                the rules that no compiler checks
  codegen [--check]   write the generated sources, or say whether they are stale
  crash [--rounds N]  kill a serving point N times (default 200) and look at what it kept
  bench [ARGS]        build the points and the load generator for release, then run the latter
  sim client [ARGS]   simulate clients and points: --seeds N, --from SEED, --trace
  sim walk [NAME]     measure networks that tend their tables, write docs/walk: --nodes N";

/// Kills of `cargo xtask crash`: enough to hit every step of a commit many times.
const CRASH_ROUNDS: u32 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    // Every path below is relative to the workspace, wherever the command was typed.
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").context("run me as `cargo xtask`")?;
    env::set_current_dir(manifest_dir)?;
    env::set_current_dir("..")?;

    match arguments {
        ["bench", rest @ ..] => suite::bench(rest)?,
        ["ci"] => gate::run()?,
        ["codegen"] => codegen::run(false)?,
        ["codegen", "--check"] => codegen::run(true)?,
        ["crash"] => suite::crash(CRASH_ROUNDS)?,
        ["crash", "--rounds", rounds] => {
            suite::crash(rounds.parse().context("--rounds wants a number")?)?;
        }
        [test @ ("frames" | "matrix")] => suite::write(test)?,
        ["peers"] => peers::run()?,
        ["sim", rest @ ..] => suite::sim(rest)?,
        ["test"] => suite::run()?,
        ["tidy"] => tidy::run()?,
        _ => {
            say(USAGE);
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says something to the person at the terminal; stdout is left to findings and test results.
#[expect(
    clippy::print_stderr,
    reason = "this is a command, and stderr is where it talks"
)]
fn say(text: &str) {
    eprintln!("{text}");
}
