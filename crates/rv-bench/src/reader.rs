//! A client that lists a namespace to its end, in a process of its own so that it can be measured.

mod ours;
mod stock;

use std::{
    collections::BTreeSet,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use rustix::time::{ClockId, clock_gettime};

use crate::{client::Server, process};

/// A listing that takes longer has failed; 10,000 signatures take about a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Reader {
    /// The client of `libp2p-rendezvous`, as published.
    Stock,
    /// `rv-client`.
    Ours,
}

/// What to list.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Who lists.
    #[arg(long, value_enum)]
    reader: Reader,
    /// Entries asked for in a page.
    #[arg(long)]
    page_entries: u32,
    /// The point, as `<multiaddr>/p2p/<peer id>`.
    server: Multiaddr,
}

/// What one listing took, from the dial to the last verified record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Different peers that were found and verified.
    pub(crate) peers: usize,
    pub(crate) requests: usize,
    pub(crate) wall: Duration,
    /// User and system time of the process.
    pub(crate) cpu: Duration,
    /// Resident memory before the dial.
    pub(crate) before_kib: u64,
    /// The most that was ever resident.
    pub(crate) peak_kib: u64,
}

impl Reader {
    /// Its name on the command line.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Ours => "ours",
        }
    }
}

impl Reading {
    /// Reads the line that [`run`] prints.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let figures: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        let figures = figures.with_context(|| format!("no figures: {line:?}"))?;
        let [peers, requests, wall_us, cpu_us, before_kib, peak_kib] = figures[..] else {
            bail!("6 figures are wanted: {line:?}");
        };
        Ok(Self {
            peers: usize::try_from(peers)?,
            requests: usize::try_from(requests)?,
            wall: Duration::from_micros(wall_us),
            cpu: Duration::from_micros(cpu_us),
            before_kib,
            peak_kib,
        })
    }

    fn line(&self) -> String {
        format!(
            "{} {} {} {} {} {}",
            self.peers,
            self.requests,
            self.wall.as_micros(),
            self.cpu.as_micros(),
            self.before_kib,
            self.peak_kib
        )
    }
}

/// When a listing began, and what the process had used by then.
struct Start {
    at: Instant,
    cpu: Duration,
    before_kib: u64,
}

impl Start {
    fn now() -> Result<Self> {
        Ok(Self {
            before_kib: process::memory(std::process::id())?.resident_kib,
            cpu: cpu_time()?,
            at: Instant::now(),
        })
    }

    /// What it took until now. `peers` are compared after the clock has stopped.
    fn reading(&self, requests: usize, peers: impl IntoIterator<Item = PeerId>) -> Result<Reading> {
        let (wall, cpu) = (self.at.elapsed(), cpu_time()? - self.cpu);
        let peak_kib = process::memory(std::process::id())?.peak_kib;
        let mut told = 0;
        let different: BTreeSet<PeerId> = peers.into_iter().inspect(|_| told += 1).collect();
        ensure!(told == different.len(), "a peer came twice");
        Ok(Reading {
            peers: told,
            requests,
            wall,
            cpu,
            before_kib: self.before_kib,
            peak_kib,
        })
    }
}

/// CPU time of this process, finer than the kernel's ticks.
fn cpu_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (secs, nanos) = (u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?);
    Ok(Duration::new(secs, nanos))
}

/// Lists once and prints what it took.
#[tokio::main]
pub(crate) async fn run(args: &Args) -> Result<()> {
    let mut address = args.server.clone();
    let Some(Protocol::P2p(peer)) = address.pop() else {
        bail!("the address must end in /p2p/ and the peer id of the point");
    };
    let server = Server { address, peer };
    let reading = tokio::time::timeout(PATIENCE, async {
        match args.reader {
            Reader::Stock => stock::list(&server, args.page_entries).await,
            Reader::Ours => ours::list(&server, args.page_entries).await,
        }
    });
    let reading = reading.await.context("the listing timed out")??;
    writeln!(std::io::stdout(), "{}", reading.line())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_survives_its_line() {
        let reading = Reading {
            peers: 1,
            requests: 2,
            wall: Duration::from_micros(3),
            cpu: Duration::from_micros(4),
            before_kib: 5,
            peak_kib: 6,
        };
        assert_eq!(Reading::parse(&reading.line()).expect("whole"), reading);
        assert!(Reading::parse("1 2 3 4 5").is_err());
        assert!(Reading::parse("1 2 3 4 5 six").is_err());
    }

    #[test]
    fn a_reader_is_named_on_the_command_line_as_clap_names_it() {
        for reader in [Reader::Stock, Reader::Ours] {
            let value = clap::ValueEnum::to_possible_value(&reader).expect("not skipped");
            assert_eq!(value.get_name(), reader.argument());
        }
    }
}
