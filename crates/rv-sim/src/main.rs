//! Long runs of the simulations, and replays of a case.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rv_sim::client::{Case, Seen, check, check_and_trace, shrink};
use rv_sim::walk::experiments::Experiment;

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
    /// Kademlia networks that tend their tables: measures them, and writes the results.
    Walk(Walks),
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

/// Which experiments.
#[derive(Debug, Args)]
struct Walks {
    /// One of coverage, steady, exodus, join, cut, hostile; all of them if none is named.
    experiment: Option<Experiment>,
    /// The network's size, instead of the experiment's own.
    #[arg(long)]
    nodes: Option<u32>,
    /// Where the page and the curves go.
    #[arg(long, default_value = "docs/walk")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match Arguments::parse().network {
        Network::Client(seeds) => client(&seeds),
        Network::Walk(walks) => walk(&walks),
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

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command, and its results are its output"
)]
fn walk(walks: &Walks) -> ExitCode {
    let all = Experiment::ALL.to_vec();
    for experiment in walks.experiment.map_or(all, |one| vec![one]) {
        match experiment.write(walks.nodes, &walks.out) {
            Ok(section) => println!("{}", section.to_markdown()),
            Err(error) => {
                eprintln!("cannot write into {}: {error}", walks.out.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
