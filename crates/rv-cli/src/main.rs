//! The command `rv`: a rendezvous point for libp2p, and what belongs to it.

mod args;
mod failure;
mod key;
mod log;
mod open_files;
mod output;
mod serve;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Key(args) => key::run(args),
        Command::Serve(args) => serve::run(*args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
