//! The command `rv`: a rendezvous point for libp2p, its clients, and what belongs to both.

mod args;
mod client;
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
        Command::Discover(args) => client::discover(&args),
        Command::Key(args) => key::run(args),
        Command::Register(args) => client::register(&args),
        Command::Serve(args) => serve::run(*args),
        Command::Unregister(args) => client::unregister(&args),
        Command::Walk(args) => client::walk(&args),
        Command::Watch(args) => client::watch(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
