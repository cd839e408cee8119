//! Clients side by side: each lists and verifies a namespace full of peers, in turn.

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use libp2p::multiaddr::Protocol;
use rv_proto::Dialect;

use crate::{
    client::{NAMESPACE, Preload},
    reader::{Reader, Reading},
    report::{markdown, mebibytes, server_title},
    run::progress,
    server::{Kind, Launcher, RunningServer},
};

/// Entries of a page: the most that points give, and of such records about 220 kB, far below the
/// 1 MiB that a stock client reads.
const PAGE_ENTRIES: u32 = 1_000;

const HEADERS: [&str; 7] = [
    "client",
    "point",
    "wall ms",
    "CPU ms",
    "resident before",
    "peak",
    "requests",
];

/// Lets each client list `peers` of them `listings` times at each of our points and the stock
/// one, and returns the table.
pub(crate) async fn run(
    launcher: &Launcher,
    kinds: &[Kind],
    peers: u32,
    listings: u32,
) -> Result<String> {
    let mut lines = Vec::new();
    for &kind in kinds {
        // What a point's disk does is no matter of its readers.
        if matches!(kind, Kind::Stock | Kind::Memory) {
            let point = server_title(kind);
            progress(&format!("clients: {peers} peers register at {point}"));
            let running = start(launcher, kind, peers).await?;
            progress(&format!("clients: they list {listings} times at {point}"));
            let (stock, ours) = list(&running, peers, listings).await?;
            lines.push(line("stock", point, &stock, None));
            lines.push(line("rv-client", point, &ours, Some(&stock)));
        }
    }
    let mut text = format!(
        "## {peers} peers listed and verified by a client (x: to stock)\n\n\
         Medians of {listings} processes each, in turn; in brackets the least and the most. From \
         the dial to the last record, pages of {PAGE_ENTRIES}.\n\n"
    );
    write!(text, "{}", markdown(&HEADERS.map(str::to_owned), &lines))?;
    Ok(text)
}

async fn start(launcher: &Launcher, kind: Kind, peers: u32) -> Result<RunningServer> {
    let running = launcher.start(kind)?;
    let preload = Preload {
        peers: 0..peers,
        namespaces: Arc::from([NAMESPACE.to_owned()]),
        // The one dialect that the stock client reads.
        dialects: &[Dialect::Legacy],
        keeps_streams: kind.keeps_streams(),
    };
    preload.run(&running.server).await?;
    Ok(running)
}

/// The readings of the stock client, and ours.
async fn list(
    running: &RunningServer,
    peers: u32,
    listings: u32,
) -> Result<(Vec<Reading>, Vec<Reading>)> {
    let (mut stock, mut ours) = (Vec::new(), Vec::new());
    for round in 0..listings {
        let mut order = [Reader::Stock, Reader::Ours];
        if round % 2 == 1 {
            order.reverse();
        }
        for reader in order {
            let reading = read(running, reader)
                .await
                .with_context(|| format!("the {} client", reader.argument()))?;
            ensure!(
                reading.peers == peers as usize,
                "the {} client found {} peers of {peers}",
                reader.argument(),
                reading.peers
            );
            match reader {
                Reader::Stock => stock.push(reading),
                Reader::Ours => ours.push(reading),
            }
        }
    }
    Ok((stock, ours))
}

/// Starts a client, which inherits our processors, and waits until it is done.
async fn read(running: &RunningServer, reader: Reader) -> Result<Reading> {
    let server = &running.server;
    let address = server.address.clone().with(Protocol::P2p(server.peer));
    let mut command = Command::new(std::env::current_exe().context("find our own program")?);
    command.args(["read", "--reader", reader.argument(), "--page-entries"]);
    command.args([PAGE_ENTRIES.to_string(), address.to_string()]);
    command.stdin(Stdio::null());
    // It ends by itself in bounded time.
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Reading::parse(&String::from_utf8_lossy(&output.stdout))
}

fn line(client: &str, point: &str, readings: &[Reading], base: Option<&[Reading]>) -> Vec<String> {
    let millis = |of: fn(&Reading) -> Duration| {
        let value = move |it: &Reading| of(it).as_secs_f64() * 1e3;
        cell(readings, base, value, |millis| format!("{millis:.0}"))
    };
    let kib = |of: fn(&Reading) -> u64| {
        let value = move |it: &Reading| of(it) as f64;
        cell(readings, base, value, mebibytes)
    };
    let requests = median(readings.iter().map(|it| it.requests as f64));
    vec![
        client.to_owned(),
        point.to_owned(),
        millis(|it| it.wall),
        millis(|it| it.cpu),
        kib(|it| it.before_kib),
        kib(|it| it.peak_kib),
        format!("{requests:.0}"),
    ]
}

/// Median, least, most, and the ratio of the medians.
fn cell(
    readings: &[Reading],
    base: Option<&[Reading]>,
    value: impl Fn(&Reading) -> f64,
    show: impl Fn(f64) -> String,
) -> String {
    let least = readings.iter().map(&value).fold(f64::INFINITY, f64::min);
    let most = readings.iter().map(&value).fold(0.0, f64::max);
    let middle = median(readings.iter().map(&value));
    let mut cell = format!("{} ({}..{})", show(middle), show(least), show(most));
    if let Some(base) = base {
        let ratio = middle / median(base.iter().map(&value));
        let _ = write!(cell, " x{ratio:.2}");
    }
    cell
}

/// The middle one, of an even number the lower; 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wall_ms: u64, peak_kib: u64) -> Reading {
        Reading {
            peers: 10,
            requests: 11,
            wall: Duration::from_millis(wall_ms),
            cpu: Duration::from_millis(7),
            before_kib: 2_048,
            peak_kib,
        }
    }

    #[test]
    fn a_line_shows_medians_their_range_and_the_ratio() {
        let stock = [
            reading(100, 4_096),
            reading(300, 4_096),
            reading(200, 4_096),
        ];
        let ours = [reading(90, 1_024), reading(110, 3_072), reading(100, 2_048)];
        let want = [
            "ours",
            "rv",
            "100 (90..110) x0.50",
            "7 (7..7) x1.00",
            "2.0 MiB (2.0 MiB..2.0 MiB) x1.00",
            "2.0 MiB (1.0 MiB..3.0 MiB) x0.50",
            "11",
        ];
        assert_eq!(line("ours", "rv", &ours, Some(&stock)), want);
    }

    #[test]
    fn a_median_of_an_even_number_is_one_that_was_measured() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([].into_iter()), 0.0);
    }
}
