//! Long runs of the simulations, and replays of a case.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rv_sim::client::{Case, Seen, check, check_and_trace, shrink};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    network: Network,
}

#[derive(Debug, Subcommand)]
enum Network {
    /// Clients and points.
    Client(Seeds),
}

/// Which cases.
#[derive(Debug, Args)]
struct Seeds {
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Say what failed, but look for no shorter case.
    #[arg(long)]
    no_shrink: bool,
    /// Print all that is seen in a case that fails, the shortest if one is looked for.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    match Arguments::parse().network {
        Network::Client(seeds) => client(&seeds),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "this is a command, and its findings are its output"
)]
fn print_trace(case: &Case) {
    let mut print = |at: Duration, seen: &Seen| println!("{:>9.3} {seen:?}", at.as_secs_f64());
    // That it fails is known.
    let _ = check_and_trace(case, &mut print);
}

#[expect(
    clippy::print_stdout,
    reason = "this is a command, and its findings are its output"
)]
fn client(seeds: &Seeds) -> ExitCode {
    let mut failed = 0_u64;
    let mut requests = 0;
    for seed in (seeds.from..).take(usize::try_from(seeds.seeds).unwrap_or(usize::MAX)) {
        let case = Case::of_seed(seed);
        match check(&case) {
            Ok(tally) => requests += tally.requests,
            Err(violation) => {
                failed += 1;
                println!("seed {seed}: {violation}");
                let case = if seeds.no_shrink {
                    case
                } else {
                    let (case, violation) = shrink(case, violation);
                    println!("shortest: {violation}\n{case:#?}");
                    case
                };
                if seeds.trace {
                    print_trace(&case);
                }
                println!("replay: cargo xtask sim client --seeds 1 --from {seed}");
            }
        }
    }
    println!(
        "{} seeds, {requests} requests, {failed} failed",
        seeds.seeds
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
