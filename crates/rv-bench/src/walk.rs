//! Networks of real swarms over TCP on loopback that tend their tables: libp2p-kad by itself, and
//! libp2p-kad in the behaviour of `dht-walk`. Beside them, the simulator's models of both.

pub(crate) mod child;
mod measured;
mod model;
mod node;
mod page;
mod real;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use measured::Measured;
use page::Row;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Sizes of networks.
    #[arg(long, value_delimiter = ',', default_values_t = [30, 100])]
    nodes: Vec<u32>,
    /// Networks of real swarms for each row.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Networks of the simulator for each row.
    #[arg(long, default_value_t = 30)]
    seeds: u64,
    /// Where the page goes; by default it is printed.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Who tends the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    /// libp2p-kad alone.
    Kad,
    /// The behaviour of `dht-walk` around a libp2p-kad.
    Ours,
}

/// What happens: all nodes come one after the other and know the first one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// How many.
    pub(crate) nodes: u32,
    /// How long they take to come, evenly.
    pub(crate) arrival: Duration,
    /// When the tables are looked at.
    pub(crate) span: Duration,
    /// The pause between bootstraps of a kad that is alone.
    pub(crate) bootstrap_every: Duration,
}

impl Scene {
    /// Nodes come one a second: twice the half second that a kad waits after an insertion before
    /// it bootstraps. At that pace itself, chance decides how often it does.
    fn of(nodes: u32) -> Self {
        let arrival = Duration::from_secs(1) * nodes;
        Self {
            nodes,
            arrival,
            span: arrival + Duration::from_secs(45),
            bootstrap_every: Duration::from_secs(30),
        }
    }
}

/// Measures, and writes the page.
///
/// # Errors
///
/// When a swarm cannot listen, or the page cannot be written.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut rows = Vec::new();
    for nodes in &args.nodes {
        for who in [Who::Kad, Who::Ours] {
            let row = row(args, who, Scene::of(*nodes))?;
            eprint_row(&row);
            rows.push(row);
        }
    }
    let page = page::page(&rows);
    match &args.out {
        Some(path) => {
            std::fs::write(path, page).with_context(|| format!("write {}", path.display()))
        }
        None => print(&page),
    }
}

fn row(args: &Args, who: Who, scene: Scene) -> Result<Row> {
    let runs = (0..args.runs).map(|_| child::run(who, scene.nodes));
    let model = (1..=args.seeds).map(|seed| model::run(who, &scene, seed));
    Ok(Row {
        who,
        scene,
        ran: runs.collect::<Result<Vec<_>>>()?,
        model: Measured::all(model),
    })
}

fn print(page: &str) -> Result<()> {
    use std::io::Write as _;
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a long run shows how far it is")]
fn eprint_row(row: &Row) {
    eprintln!("{row:?}");
}
