//! Measures a rendezvous point beside the stock servers of rust-libp2p and of go-libp2p, over real
//! connections; and networks of real swarms that tend their Kademlia tables.

mod affinity;
mod args;
mod client;
mod flat;
mod journal;
mod load;
mod node;
mod process;
mod push;
mod reader;
mod readers;
mod report;
mod run;
mod server;
mod versions;
mod walk;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: args::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares the servers; the default.
    Run(args::RunArgs),
    /// Measures what a journal costs, store by store.
    Journal(journal::Args),
    /// Compares networks of real swarms that tend their tables with their models.
    Walk(walk::Args),
    /// Lists a namespace as a client, for `run`.
    #[command(hide = true)]
    Read(reader::Args),
    /// Runs a network of real swarms, for `walk`.
    #[command(hide = true)]
    WalkNetwork(walk::child::Args),
    /// Serves as the stock server, for `run`.
    #[command(hide = true)]
    ServeStock,
    /// Serves as the echo, for `run`.
    #[command(hide = true)]
    ServeEcho,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.command.unwrap_or(Command::Run(args.run)) {
        Command::Run(args) => run::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Walk(args) => walk::run(&args),
        Command::WalkNetwork(args) => walk::child::serve(&args),
        Command::Read(args) => reader::run(&args),
        Command::ServeStock => server::stock::run(),
        Command::ServeEcho => server::echo::run(),
    }
}
