//! The run: starts one server after the other, loads it, and prints the comparison.

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use anyhow::{Result, bail};

use crate::{
    affinity::Affinity,
    args::{Part, RunArgs},
    client::{NAMESPACE, Preload},
    flat,
    load::{Effort, Workload, end_of, measure},
    process, push, readers,
    report::{self, Column, MemoryRow, Row},
    server::{Kind, Launcher, RunningServer},
    versions,
};

/// The operations, in the order in which they are measured and printed.
const OPERATIONS: [&str; 4] = [
    "DISCOVER, 100 returned",
    "DISCOVER, cookie, nothing new",
    "REGISTER, same record",
    "REGISTER, new record",
];

/// Entries of a listing that is measured.
pub(crate) const PAGE_ENTRIES: u64 = 100;

/// Runs all of it.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let sizes = args.sizes();
    if sizes.iter().any(|&size| size < args.connections) || args.connections == 0 {
        bail!(
            "each of the {} connections is of another registered peer",
            args.connections
        );
    }
    let processors = std::thread::available_parallelism()?.get();
    let affinity = Affinity::split(!args.no_pin)?;
    let launcher = args.launcher(affinity.clone())?;
    // Started behind the split: its threads inherit our processors.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.saturating_sub(1).max(1))
        .enable_all()
        .build()?;
    print(&versions::headline(
        processors,
        affinity.is_pinned(),
        args.effort(),
    ))?;
    runtime.block_on(async {
        tokio::select! {
            ended = run_all(args, &launcher, &sizes) => ended,
            ended = interrupted() => ended,
        }
    })
}

async fn run_all(args: &RunArgs, launcher: &Launcher, sizes: &[u32]) -> Result<()> {
    let kinds = present(launcher, &args.servers);
    let mut failures = Vec::new();
    if args.has(Part::Servers) {
        print(&compare(args, launcher, &kinds, sizes, &mut failures).await)?;
    }
    if args.has(Part::Flat) && kinds.contains(&Kind::Memory) {
        let (others, steps) = if args.quick {
            (args.other_dialects.min(10_000), &flat::GROWTH[..2])
        } else {
            (args.other_dialects, &flat::GROWTH[..])
        };
        match flat::run(launcher, args.effort(), others, steps).await {
            Ok(tables) => print(&tables)?,
            Err(error) => failures.push(format!("flat cost: {error:#}")),
        }
    }
    if args.has(Part::Clients) {
        let (peers, listings) = args.listing();
        match readers::run(launcher, &kinds, peers, listings).await {
            Ok(table) => print(&table)?,
            Err(error) => failures.push(format!("clients: {error:#}")),
        }
    }
    if args.has(Part::Push) {
        print(&push::run(launcher, &kinds, args.telling(), &mut failures).await)?;
    }
    if !failures.is_empty() {
        bail!("not all was measured:\n{}", failures.join("\n"));
    }
    Ok(())
}

/// Those of `wanted` whose program is there, in the order in which they are measured.
fn present(launcher: &Launcher, wanted: &[Kind]) -> Vec<Kind> {
    let has_rv = launcher.rv.exists();
    if !has_rv {
        progress(&format!("left out: rv, without {}", launcher.rv.display()));
    }
    let has_go = launcher.go.exists();
    if !has_go {
        progress(&format!(
            "left out: the go point, without {}, which `cargo xtask peers` makes where Go is",
            launcher.go.display()
        ));
    }
    let is_present = |kind: &Kind| match kind {
        Kind::Memory | Kind::Durable => has_rv,
        Kind::Go => has_go,
        Kind::Stock | Kind::Echo => true,
    };
    let mut kinds = Kind::ALL.to_vec();
    kinds.retain(|kind| wanted.contains(kind) && is_present(kind));
    kinds
}

/// Measures one server after the other, and returns the tables.
async fn compare(
    args: &RunArgs,
    launcher: &Launcher,
    kinds: &[Kind],
    sizes: &[u32],
    failures: &mut Vec<String>,
) -> String {
    let mut table = Table::new(sizes);
    for &kind in kinds {
        for &size in sizes {
            let measured = match kind {
                Kind::Echo => measure_echo(launcher, args.effort(), size, &mut table).await,
                Kind::Stock | Kind::Memory | Kind::Durable | Kind::Go => {
                    measure_server(launcher, args.effort(), kind, size, &mut table).await
                }
            };
            if let Err(error) = measured {
                failures.push(format!(
                    "{} at {size}: {error:#}",
                    report::server_title(kind)
                ));
            }
        }
    }
    format!(
        "\n## Requests a second (x: to stock)\n\n{}\n\
         ## Server CPU per request, us (x: to stock)\n\n{}\n\
         ## Resident memory\n\n{}",
        report::rates(&table.rows),
        report::costs(&table.rows),
        report::memory(&table.memory),
    )
}

/// Resolves when we are told to end. Without it, servers would outlive us.
async fn interrupted() -> Result<()> {
    #[cfg(unix)]
    {
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    bail!("interrupted")
}

struct Table {
    rows: Vec<Row>,
    memory: Vec<MemoryRow>,
}

impl Table {
    fn new(sizes: &[u32]) -> Self {
        let rows = OPERATIONS.into_iter().flat_map(|operation| {
            sizes.iter().map(move |&registered| Row {
                operation,
                registered,
                cells: BTreeMap::new(),
            })
        });
        Self {
            rows: rows.collect(),
            memory: Vec::new(),
        }
    }

    fn row(&mut self, operation: &str, registered: u32) -> Option<&mut Row> {
        self.rows
            .iter_mut()
            .find(|row| row.operation == operation && row.registered == registered)
    }
}

async fn measure_server(
    launcher: &Launcher,
    effort: Effort,
    kind: Kind,
    size: u32,
    table: &mut Table,
) -> Result<()> {
    let title = report::server_title(kind);
    progress(&format!("{title}: {size} peers register"));
    let running = launcher.start(kind)?;
    let empty = process::memory(running.pid())?;
    let preload = Preload {
        peers: 0..size,
        namespaces: Arc::from([NAMESPACE.to_owned()]),
        dialects: kind.dialects(),
        keeps_streams: kind.keeps_streams(),
    };
    preload.run(&running.server).await?;
    let loaded = process::memory(running.pid())?;
    for operation in OPERATIONS {
        let workload = workload(operation, &running, kind, size).await?;
        for column in columns_of(kind) {
            progress(&format!(
                "{title}: {operation} at {size}, {:?}",
                column.streams
            ));
            let measured = measure(&running, &workload, column.streams, effort).await?;
            if let Some(row) = table.row(operation, size) {
                row.cells.insert(column, measured);
            }
        }
    }
    let measured = process::memory(running.pid())?;
    table.memory.push(MemoryRow {
        kind,
        registered: size,
        empty,
        loaded,
        measured,
    });
    Ok(())
}

async fn workload(
    operation: &str,
    running: &RunningServer,
    kind: Kind,
    size: u32,
) -> Result<Workload> {
    let [dialect] = *kind.dialects();
    let namespace = Some(NAMESPACE);
    let [page, nothing_new, same_record, new_record] = OPERATIONS;
    if operation == page {
        let entries = usize::try_from(PAGE_ENTRIES.min(u64::from(size)))?;
        return Ok(Workload::Discover {
            namespace,
            limit: PAGE_ENTRIES,
            cookie: None,
            entries,
        });
    }
    if operation == nothing_new {
        let (found, cookie) = end_of(&running.server, namespace).await?;
        if found != size as usize {
            bail!("{found} registrations are listed instead of {size}");
        }
        let cookie = Some(cookie);
        return Ok(Workload::Discover {
            namespace,
            limit: PAGE_ENTRIES,
            cookie,
            entries: 0,
        });
    }
    debug_assert!(operation == same_record || operation == new_record);
    Ok(Workload::Register {
        new_record: operation == new_record,
        dialect,
    })
}

async fn measure_echo(
    launcher: &Launcher,
    effort: Effort,
    size: u32,
    table: &mut Table,
) -> Result<()> {
    let running = launcher.start(Kind::Echo)?;
    for operation in OPERATIONS {
        let Some(row) = table.row(operation, size) else {
            continue;
        };
        let Some((request_bytes, answer_bytes)) = row.bytes() else {
            continue;
        };
        progress(&format!("echo: {operation} at {size}"));
        let workload = Workload::Echo {
            request_bytes: usize::try_from(request_bytes)?,
            answer_bytes: usize::try_from(answer_bytes)?,
        };
        for column in columns_of(Kind::Echo) {
            let measured = measure(&running, &workload, column.streams, effort).await?;
            row.cells.insert(column, measured);
        }
    }
    Ok(())
}

fn columns_of(kind: Kind) -> impl Iterator<Item = Column> {
    Column::ALL
        .into_iter()
        .filter(move |column| column.kind == kind)
}

/// Says on stderr what goes on.
pub(crate) fn progress(line: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}
