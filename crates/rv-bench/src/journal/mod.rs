//! Measures what a journal costs: the embedded store in its settings, beside a plain
//! append-only log with snapshots.
//!
//! Every store takes the same rows: load all registrations, refresh random ones in batches,
//! then start again from what a `kill -9` leaves behind.

mod counting;
mod log_store;
mod redb_store;
mod rows;
mod usage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use log_store::LogStore;
use redb_store::{Commit, RedbStore};
use rows::Rows;
use usage::Usage;

/// Rows in one batch of the load.
const LOAD_BATCH_ROWS: u64 = 1_000;

/// What to measure, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Registrations in the store.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) registrations: u64,
    /// Refreshes one by one, each with a sync of its own.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) singles: u64,
    /// Refreshes in batches of 100.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) batched: u64,
    /// Memory that the embedded store may use as a cache, in MiB.
    #[arg(long, default_value_t = 32)]
    pub(crate) cache_mib: usize,
    /// Measure only the store of this name: redb, redb-2pc, redb-quick or log.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// The folder for the files, which are removed at the end; default: the system's.
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
}

/// What the measurement needs of a store.
trait Store {
    /// Writes the rows of these numbers atomically and durably.
    fn commit(&mut self, rows: &mut Rows, numbers: &[u64]) -> anyhow::Result<()>;
    /// Bytes that the store handed to the system since the last call.
    fn take_written_bytes(&mut self) -> u64;
    /// Syncs since the last call.
    fn take_syncs(&mut self) -> u64;
}

/// Runs the measurement and prints one line a figure.
///
/// # Errors
/// When a file cannot be written or read.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::tempdir_in(root).context("a folder for the measurement")?;
    let cache_bytes = args.cache_mib << 20;
    for commit in [Commit::OnePhase, Commit::TwoPhase, Commit::QuickRepair] {
        if wanted(args, commit.name()) {
            let file = folder.path().join(commit.name());
            let mut store = RedbStore::open(&file, cache_bytes, commit)?;
            write_all(args, commit.name(), &file, &mut store)?;
            restart_redb(commit, &file, cache_bytes, store)?;
        }
    }
    if wanted(args, "log") {
        let file = folder.path().join("log");
        let mut store = LogStore::create(&file)?;
        write_all(args, "log", &file, &mut store)?;
        restart_log(&file, store)?;
    }
    Ok(())
}

fn wanted(args: &Args, name: &str) -> bool {
    args.only.as_deref().is_none_or(|only| only == name)
}

fn write_all(args: &Args, name: &str, file: &Path, store: &mut dyn Store) -> anyhow::Result<()> {
    let mut rows = Rows::new(args.registrations);
    let numbers: Vec<u64> = (0..args.registrations).collect();
    let batches = numbers.chunks(usize::try_from(LOAD_BATCH_ROWS)?);
    phase(name, "load", file, store, &mut rows, batches)?;

    let singles: Vec<u64> = (0..args.singles).map(|_| rows.pick()).collect();
    phase(
        name,
        "refresh by 1",
        file,
        store,
        &mut rows,
        singles.chunks(1),
    )?;

    let batched: Vec<u64> = (0..args.batched).map(|_| rows.pick()).collect();
    phase(
        name,
        "refresh by 100",
        file,
        store,
        &mut rows,
        batched.chunks(100),
    )
}

fn phase<'a>(
    name: &str,
    what: &str,
    file: &Path,
    store: &mut dyn Store,
    rows: &mut Rows,
    batches: impl Iterator<Item = &'a [u64]>,
) -> anyhow::Result<()> {
    let file_bytes = std::fs::metadata(file)?.len();
    let usage = Usage::now();
    let started = Instant::now();
    let mut written_rows = 0_u64;
    for batch in batches {
        store.commit(rows, batch)?;
        written_rows += u64::try_from(batch.len())?;
    }
    let elapsed = started.elapsed();
    let used = usage.elapsed();
    let per_row = |total: u64| total / written_rows.max(1);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let grown_bytes = i128::from(std::fs::metadata(file)?.len()) - i128::from(file_bytes);
    say(format_args!(
        "{name}: {what}: {written_rows} rows, {} B a row, {} B written a row, {} B to disk a row, \
         {} syncs, cpu {} us a row, wall {} us a row, file grew {} MiB to {} MiB",
        rows.row_bytes(),
        per_row(store.take_written_bytes()),
        per_row(used.disk_bytes),
        store.take_syncs(),
        per_row(micros(used.cpu)),
        per_row(micros(elapsed)),
        grown_bytes >> 20,
        std::fs::metadata(file)?.len() >> 20,
    ))
}

/// Starts from a copy of the file as it is while the store is open, which is what `kill -9`
/// leaves, and from the file closed in order.
fn restart_redb(
    commit: Commit,
    file: &Path,
    cache_bytes: usize,
    store: RedbStore,
) -> anyhow::Result<()> {
    let killed = file.with_extension("killed");
    std::fs::copy(file, &killed)?;
    let started = Instant::now();
    drop(store);
    let name = commit.name();
    say(format_args!(
        "{name}: close in order: {:.2} s",
        started.elapsed().as_secs_f64()
    ))?;
    for (how, path, is_verified) in [
        ("kill -9", killed.as_path(), true),
        ("close in order", file, false),
    ] {
        let usage = Usage::now();
        let started = Instant::now();
        let mut store = RedbStore::open(path, cache_bytes, commit)?;
        let opened = started.elapsed();
        if !is_verified {
            store.verify()?;
        }
        let verified = started.elapsed() - opened;
        let verified_cpu = usage.elapsed().cpu;
        let started = Instant::now();
        let rows = store.replay()?;
        say(format_args!(
            "{name}: start after {how}: open {:.2} s, verify {:.2} s (cpu of both {:.2} s), \
             replay of {rows} rows {:.2} s",
            opened.as_secs_f64(),
            verified.as_secs_f64(),
            verified_cpu.as_secs_f64(),
            started.elapsed().as_secs_f64(),
        ))?;
        drop(store);
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn restart_log(file: &Path, mut store: LogStore) -> anyhow::Result<()> {
    let started = Instant::now();
    let bytes = store.snapshot()?;
    say(format_args!(
        "log: snapshot: {} MiB in {:.2} s, {} B a refresh when one comes with each doubling",
        bytes >> 20,
        started.elapsed().as_secs_f64(),
        bytes / u64::try_from(store.rows()).unwrap_or(u64::MAX).max(1),
    ))?;
    drop(store);
    let usage = Usage::now();
    let started = Instant::now();
    let rows = LogStore::open(file)?.rows();
    say(format_args!(
        "log: start after any end: open and replay of {rows} rows {:.2} s (cpu {:.2} s)",
        started.elapsed().as_secs_f64(),
        usage.elapsed().cpu.as_secs_f64(),
    ))?;
    std::fs::remove_file(file)?;
    Ok(())
}

fn say(line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
