//! How soon subscribers are told of a registration, and what they cost a REGISTER.

mod audience;
mod registrants;
mod table;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rv_proto::Dialect;

use self::{
    audience::{Audience, Stuck, Way},
    registrants::Registrants,
    table::{Delays, Scene},
};
use crate::{
    client::{NAMESPACE, Preload},
    report::server_title,
    run::progress,
    server::{Kind, Launcher, RunningServer},
};

/// The namespace that is subscribed to.
const WATCHED: &str = NAMESPACE;

/// Peers that register in turn.
const REGISTRANTS: u32 = 16;

/// Subscribers of a go point: its host as it is shipped refuses connections, or closes them,
/// from about 160 on, and tells no peer twice.
const GO_SUBSCRIBERS_MAX: u32 = 100;

/// Clients that poll, begun one after the other so that their polls lie evenly in the pause.
const POLLING: u32 = 32;

/// What a subscriber to everything is told at first: 2,000 registrations of more than 200 bytes,
/// when flow control lets a stream that nobody reads carry 256 KiB.
const HELD_PEERS: u32 = 20;
const HELD_NAMESPACES: u32 = 100;

/// A point gives up who reads nothing after 30 s; a scene that takes longer shows nothing.
const STUCK_MAX: Duration = Duration::from_secs(28);

/// REGISTERs in a row are measured no longer than this, for the same reason.
const ROW_MAX: Duration = Duration::from_secs(8);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling {
    /// Subscribers of the fullest audience.
    pub(crate) subscribers: u32,
    /// Registrations that a whole audience is told of, one by one.
    pub(crate) rounds: u32,
    /// The same for clients that poll.
    pub(crate) polling_rounds: u32,
    /// How long they register in a row.
    pub(crate) row: Duration,
}

/// Measures push at each of our points and the go one, and polling, and returns the table.
pub(crate) async fn run(
    launcher: &Launcher,
    kinds: &[Kind],
    telling: Telling,
    failures: &mut Vec<String>,
) -> String {
    let mut scenes = Vec::new();
    for &kind in kinds {
        let measured = match kind {
            Kind::Memory | Kind::Durable => ours(launcher, kind, telling, &mut scenes).await,
            Kind::Go => go(launcher, telling, &mut scenes).await,
            Kind::Stock | Kind::Echo => continue,
        };
        if let Err(error) = measured {
            failures.push(format!("push by {}: {error:#}", server_title(kind)));
        }
    }
    if kinds.contains(&Kind::Memory) {
        match polling(launcher, telling).await {
            Ok(scene) => scenes.push(scene),
            Err(error) => failures.push(format!("polling: {error:#}")),
        }
    }
    table::table(&scenes)
}

/// None, one and all of them, and all with one stuck.
async fn ours(
    launcher: &Launcher,
    kind: Kind,
    telling: Telling,
    scenes: &mut Vec<Scene>,
) -> Result<()> {
    let running = launcher.start(kind)?;
    let namespaces = (0..HELD_NAMESPACES).map(|number| format!("held-{number}"));
    Preload {
        peers: 0..HELD_PEERS,
        namespaces: Arc::from(namespaces.collect::<Vec<_>>()),
        dialects: &[Dialect::Legacy],
        keeps_streams: true,
    }
    .run(&running.server)
    .await?;
    let all = telling.subscribers;
    for (subscribers, is_one_stuck) in [(0, false), (1, false), (all, false), (all, true)] {
        let scene = scene(&running, kind, telling, subscribers, is_one_stuck).await;
        scenes.push(scene.with_context(|| format!("{subscribers} subscribers"))?);
    }
    Ok(())
}

async fn go(launcher: &Launcher, telling: Telling, scenes: &mut Vec<Scene>) -> Result<()> {
    for subscribers in [0, 1, telling.subscribers.min(GO_SUBSCRIBERS_MAX)] {
        // It tells the last registration again to who subscribes, so each begins without one.
        let running = launcher.start(Kind::Go)?;
        let scene = scene(&running, Kind::Go, telling, subscribers, false).await;
        scenes.push(scene.with_context(|| format!("{subscribers} subscribers"))?);
    }
    Ok(())
}

async fn scene(
    running: &RunningServer,
    kind: Kind,
    telling: Telling,
    subscribers: u32,
    is_one_stuck: bool,
) -> Result<Scene> {
    let point = server_title(kind);
    let with = if is_one_stuck { ", one stuck" } else { "" };
    progress(&format!("push: {subscribers} subscribers at {point}{with}"));
    let way = match kind {
        Kind::Go => Way::Inmem,
        Kind::Stock | Kind::Memory | Kind::Durable | Kind::Echo => Way::Updates,
    };
    let registrants = Registrants::connect(running, kind, REGISTRANTS).await?;
    let reading = subscribers - u32::from(is_one_stuck);
    let mut audience = Audience::subscribe(&running.server, way, reading).await?;
    let stuck_since = Instant::now();
    let stuck = if is_one_stuck {
        Some(Stuck::subscribe(&running.server).await?)
    } else {
        None
    };
    let (told, one_by_one) = rounds(&registrants, &mut audience, telling.rounds).await?;
    // From here on nobody waits for them: they read as fast as they can.
    let still_reading = audience.stop_telling();
    let in_a_row = registrants.row(telling.row.min(ROW_MAX)).await?;
    ensure!(
        stuck.is_none() || stuck_since.elapsed() < STUCK_MAX,
        "it took so long that the stuck subscriber may have been given up"
    );
    drop((stuck, still_reading));
    Ok(Scene {
        point,
        way: way.name(),
        subscribers,
        is_one_stuck,
        told,
        one_by_one,
        in_a_row,
    })
}

/// Clients as applications have them, told to poll as often as they may by default.
async fn polling(launcher: &Launcher, telling: Telling) -> Result<Scene> {
    let clients = POLLING.min(telling.subscribers);
    progress(&format!("push: {clients} clients that poll"));
    let running = launcher.start(Kind::Memory)?;
    let registrants = Registrants::connect(&running, Kind::Memory, 1).await?;
    registrants.register().await?;
    let mut audience = Audience::poll(&running.server, clients).await?;
    // They begin with who is there.
    audience.all_told().await?;
    let polls = telling.polling_rounds;
    let (told, one_by_one) = rounds(&registrants, &mut audience, polls).await?;
    Ok(Scene {
        point: server_title(Kind::Memory),
        way: Way::Polling.name(),
        subscribers: clients,
        is_one_stuck: false,
        told,
        one_by_one,
        in_a_row: Delays::default(),
    })
}

/// Registers, waits until all are told, and does so again: how long after the acknowledgement
/// they were, and how long the acknowledgement took.
async fn rounds(
    registrants: &Registrants,
    audience: &mut Audience,
    rounds: u32,
) -> Result<(Delays, Delays)> {
    let (mut told, mut acknowledged) = (Delays::default(), Delays::default());
    // One more at first: from then on each connection is warm, and go's subscriber is known to be
    // one.
    for round in 0..=rounds {
        let took = registrants.register().await?;
        let times = audience.all_told().await?;
        if round > 0 {
            acknowledged.add(took.sent, took.acknowledged);
            for time in times {
                told.add(took.acknowledged, time);
            }
        }
    }
    Ok((told, acknowledged))
}
