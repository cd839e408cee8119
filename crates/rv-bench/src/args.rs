//! The arguments of a run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    affinity::Affinity,
    load::Effort,
    push::Telling,
    server::{Kind, Launcher},
};

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Part {
    /// What requests cost the servers.
    Servers,
    /// Costs that must not grow.
    Flat,
    /// What a long listing costs the clients.
    Clients,
    /// How soon subscribers are told, and what they cost a REGISTER.
    Push,
}

impl Part {
    const ALL: [Self; 4] = [Self::Servers, Self::Flat, Self::Clients, Self::Push];
}

/// What to measure, and how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// A short run: 1,000 registered, a second a measurement.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Numbers of registered peers.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    registered: Vec<u32>,
    /// Seconds a measurement.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Requests after which a measurement ends early.
    #[arg(long, default_value_t = 500_000)]
    requests_max: u64,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: u32,
    /// Registrations of other dialects that a reader must not pay for.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) other_dialects: u32,
    /// Servers to measure.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Kind::ALL)]
    pub(crate) servers: Vec<Kind>,
    /// Parts to run.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Part::ALL)]
    parts: Vec<Part>,
    /// Peers in the namespace that the clients list.
    #[arg(long, default_value_t = 10_000)]
    listed_peers: u32,
    /// Times that each client lists them.
    #[arg(long, default_value_t = 7)]
    listings: u32,
    /// Subscribers of the fullest audience.
    #[arg(long, default_value_t = 1_000)]
    subscribers: u32,
    /// Lets servers and clients share all processors.
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// The program `rv`; by default the one beside this program.
    #[arg(long)]
    rv: Option<PathBuf>,
    /// The go peer that `cargo xtask peers` makes; by default where it makes it.
    #[arg(long)]
    go: Option<PathBuf>,
    /// Where stores are made; by default the folder of this program.
    #[arg(long)]
    store_parent: Option<PathBuf>,
    /// Shows what servers write to stderr.
    #[arg(long)]
    verbose: bool,
}

impl RunArgs {
    /// Whether `part` is to be run.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Peers that the clients list, and how often each client does.
    pub(crate) fn listing(&self) -> (u32, u32) {
        if self.quick {
            (self.listed_peers.min(1_000), self.listings.clamp(1, 2))
        } else {
            (self.listed_peers, self.listings.max(1))
        }
    }

    /// How much subscribers are told.
    pub(crate) fn telling(&self) -> Telling {
        let (rounds, polling_rounds) = if self.quick { (20, 1) } else { (100, 4) };
        Telling {
            subscribers: self.subscribers.max(2),
            rounds,
            polling_rounds,
            row: self.effort().duration,
        }
    }

    /// How hard each measurement is.
    pub(crate) fn effort(&self) -> Effort {
        let seconds = if self.quick {
            self.seconds.min(1.0)
        } else {
            self.seconds
        };
        Effort {
            connections: self.connections,
            duration: Duration::from_secs_f64(seconds.clamp(0.1, 600.0)),
            requests_max: self.requests_max,
        }
    }

    /// Numbers of registered peers.
    pub(crate) fn sizes(&self) -> Vec<u32> {
        if self.quick {
            vec![1_000]
        } else {
            self.registered.clone()
        }
    }

    /// How servers are started.
    pub(crate) fn launcher(&self, affinity: Affinity) -> Result<Launcher> {
        let program = std::env::current_exe().context("find our own program")?;
        let folder = program.parent().context("our own program has no folder")?;
        Ok(Launcher {
            rv: self.rv.clone().unwrap_or_else(|| folder.join("rv")),
            go: self
                .go
                .clone()
                .unwrap_or_else(|| folder.join("../peers/go/peer")),
            store_parent: self
                .store_parent
                .clone()
                .unwrap_or_else(|| folder.to_owned()),
            affinity,
            verbose: self.verbose,
        })
    }
}
