//! Costs that must not grow: with the number of registrations when nothing is new, and with
//! entries that a reader's dialect leaves out.

use std::{fmt::Write as _, ops::Range, sync::Arc};

use anyhow::{Result, ensure};
use bytes::Bytes;
use rv_proto::Dialect;

use crate::{
    client::{NAMESPACE, Preload},
    load::{Effort, Measured, Streams, Workload, end_of, measure},
    report::markdown,
    run::{PAGE_ENTRIES, progress},
    server::{Kind, Launcher, RunningServer},
};

/// Numbers of registrations at which a listing with nothing new is measured.
pub(crate) const GROWTH: [u32; 3] = [1_000, 10_000, 100_000];

/// Peers of the growing store: each registers in many namespaces, since a connection a
/// registration would take longer than all measurements.
const GROWTH_PEERS: u32 = 100;

/// Peers that read the other dialect's store; a full page, and one more.
const LEGACY_PEERS: u32 = 200;

/// Peers of other dialects. All are in the readers' namespace too.
const OTHER_PEERS_MAX: u32 = 2_000;

/// Runs both parts on stores in memory and returns their tables.
pub(crate) async fn run(
    launcher: &Launcher,
    effort: Effort,
    others: u32,
    growth: &[u32],
) -> Result<String> {
    let effort = Effort {
        connections: effort.connections.min(GROWTH_PEERS),
        ..effort
    };
    let mut text = String::from("## Flat cost (rv memory, stream kept)\n");
    let grown = grow(launcher, effort, growth).await?;
    let headers = [
        "DISCOVER of all namespaces",
        "registered",
        "requests/s",
        "CPU us",
        "ratio",
    ];
    write!(text, "\n{}", markdown(&headers.map(str::to_owned), &grown))?;
    let mixed = mix(launcher, effort, others).await?;
    let headers = [
        "legacy reader's DISCOVER",
        "others",
        "requests/s",
        "CPU us",
        "ratio",
    ];
    write!(text, "\n{}", markdown(&headers.map(str::to_owned), &mixed))?;
    Ok(text)
}

fn line(what: &str, count: u32, measured: Measured, base: Measured) -> Vec<String> {
    let failures = match measured.failures {
        0 => String::new(),
        failures => format!(", {failures} FAILED"),
    };
    vec![
        what.to_owned(),
        count.to_string(),
        format!("{:.0}{failures}", measured.requests_per_sec()),
        format!("{:.1}", measured.cpu_us()),
        format!("x{:.2}", measured.cpu_us() / base.cpu_us()),
    ]
}

async fn register(
    running: &RunningServer,
    peers: Range<u32>,
    namespaces: Vec<String>,
    dialects: &'static [Dialect],
) -> Result<()> {
    let namespaces = Arc::from(namespaces);
    Preload {
        peers,
        namespaces,
        dialects,
        keeps_streams: true,
    }
    .run(&running.server)
    .await
}

async fn ask(
    running: &RunningServer,
    effort: Effort,
    namespace: Option<&'static str>,
    cookie: Option<Bytes>,
) -> Result<Measured> {
    let entries = if cookie.is_some() {
        0
    } else {
        usize::try_from(PAGE_ENTRIES)?
    };
    let workload = Workload::Discover {
        namespace,
        limit: PAGE_ENTRIES,
        cookie,
        entries,
    };
    measure(running, &workload, Streams::Kept, effort).await
}

/// The same questions to a growing store.
async fn grow(launcher: &Launcher, effort: Effort, steps: &[u32]) -> Result<Vec<Vec<String>>> {
    let running = launcher.start(Kind::Memory)?;
    let mut namespaces = 0;
    let (mut empty, mut page) = (Vec::new(), Vec::new());
    for &step in steps {
        progress(&format!("flat cost: {step} registered"));
        let wanted = step / GROWTH_PEERS;
        let names = (namespaces..wanted)
            .map(|number| format!("growth-{number}"))
            .collect();
        register(&running, 0..GROWTH_PEERS, names, &[Dialect::Legacy]).await?;
        namespaces = wanted;
        let (found, cookie) = end_of(&running.server, None).await?;
        ensure!(
            found == step as usize,
            "{found} are listed instead of {step}"
        );
        empty.push((step, ask(&running, effort, None, Some(cookie)).await?));
        page.push((step, ask(&running, effort, None, None).await?));
    }
    let lines = |what: &str, measured: &[(u32, Measured)]| -> Vec<Vec<String>> {
        let base = measured.first().map(|(_, base)| *base);
        let lines = measured.iter().zip(base.into_iter().cycle());
        lines
            .map(|((step, measured), base)| line(what, *step, *measured, base))
            .collect()
    };
    let mut table = lines("cookie, nothing new", &empty);
    table.extend(lines("100 returned", &page));
    Ok(table)
}

/// The same questions of a reader of one dialect, before and after others fill the store.
async fn mix(launcher: &Launcher, effort: Effort, others: u32) -> Result<Vec<Vec<String>>> {
    const LEGACY: &[Dialect] = &[Dialect::Legacy];
    let running = launcher.start(Kind::Memory)?;
    let readers = 0..LEGACY_PEERS;
    let own = vec![NAMESPACE.to_owned()];
    register(&running, readers.clone(), own.clone(), LEGACY).await?;
    let scopes = [
        ("of one namespace", Some(NAMESPACE)),
        ("of all namespaces", None),
    ];
    let mut before = Vec::new();
    for (_, scope) in scopes {
        let (_, cookie) = end_of(&running.server, scope).await?;
        let empty = ask(&running, effort, scope, Some(cookie.clone())).await?;
        let page = ask(&running, effort, scope, None).await?;
        before.push((cookie, empty, page));
    }
    progress(&format!(
        "flat cost: {others} registrations of other dialects"
    ));
    let peers = others.min(OTHER_PEERS_MAX);
    let each = others.checked_div(peers).unwrap_or(0);
    let mut names = own.clone();
    names.extend((1..each).map(|number| format!("others-{number}")));
    let others = peers * each;
    let numbers = LEGACY_PEERS..LEGACY_PEERS + peers;
    register(
        &running,
        numbers,
        names,
        &[Dialect::Standard, Dialect::Plain],
    )
    .await?;
    let mut after = Vec::new();
    for ((_, scope), (cookie, _, _)) in scopes.iter().zip(&before) {
        // The cookie is from before the others: all of them lie behind it.
        after.push(ask(&running, effort, *scope, Some(cookie.clone())).await?);
    }
    // A refresh moves the readers' own entries behind all others in the log.
    register(&running, readers, own, LEGACY).await?;
    let mut table = Vec::new();
    for (((name, scope), (_, empty, page)), empty_after) in scopes.iter().zip(before).zip(after) {
        let page_after = ask(&running, effort, *scope, None).await?;
        let (what, pages) = (
            format!("nothing new {name}"),
            format!("100 returned {name}"),
        );
        table.push(line(&what, 0, empty, empty));
        table.push(line(&what, others, empty_after, empty));
        table.push(line(&pages, 0, page, page));
        table.push(line(&pages, others, page_after, page));
    }
    Ok(table)
}
