//! The scene among real swarms.

use anyhow::{Context as _, Result};
use rv_sim::walk::Lookups;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::child::Ran;
use super::measured::Figures;
use super::node::{App, Errand, Node, Ours, Outcome, Phase, Stock};
use super::{Scene, Who};

/// Nodes that sweep the network after the scene, all at once; the first of them lists it then.
const SWEEPERS: u32 = 5;

/// Runs the scene once, and `at_end` when it is over and before anybody sweeps.
///
/// # Errors
///
/// When a node cannot listen.
pub(crate) fn run(who: Who, scene: &Scene, at_end: impl FnOnce() -> Result<()>) -> Result<Ran> {
    let runtime = Runtime::new().context("start a runtime")?;
    let outcomes = match who {
        Who::Kad => runtime.block_on(watch_all::<Stock>(scene, at_end)),
        Who::Ours => runtime.block_on(watch_all::<Ours>(scene, at_end)),
    }?;
    let asked = outcomes.iter().map(|it| it.asked).sum();
    let mut lookups = Lookups::default();
    for of_node in outcomes.iter().map(|it| it.lookups) {
        lookups.ended += of_node.ended;
        lookups.requests += of_node.requests;
    }
    let sweeps = outcomes.iter().filter_map(|it| it.sweep).collect();
    let crawl = outcomes.iter().find_map(|it| it.crawl);
    let tables: Vec<_> = outcomes
        .into_iter()
        .map(|it| (it.peer, it.entries))
        .collect();
    let figures = Figures::of(&tables, asked, lookups);
    Ok(Ran {
        figures,
        sweeps,
        crawl,
        ..Ran::default()
    })
}

async fn watch_all<B: App + 'static>(
    scene: &Scene,
    at_end: impl FnOnce() -> Result<()>,
) -> Result<Vec<Outcome>> {
    let began_at = Instant::now();
    let (phase, phases) = watch::channel(Phase::Tend);
    let (done, mut all_done) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    let first = Node::<B>::start(scene.bootstrap_every, None).await?;
    let known = first.place.clone();
    tasks.spawn(first.run(None, phases.clone()));
    let count = scene.nodes.saturating_sub(1);
    for nth in 0..count {
        sleep_until(began_at + scene.arrival * nth / count).await;
        let node = Node::<B>::start(scene.bootstrap_every, Some(known.clone())).await?;
        let errand = (nth < SWEEPERS).then(|| Errand {
            is_crawler: nth == 0,
            done: done.clone(),
        });
        tasks.spawn(node.run(errand, phases.clone()));
    }
    drop((done, phases));
    sleep_until(began_at + scene.span).await;
    at_end()?;
    phase.send(Phase::Sweep).context("the nodes are gone")?;
    // Nobody says anything: all is done when the last one has let go of its end.
    while all_done.recv().await.is_some() {}
    drop(phase);
    Ok(tasks.join_all().await)
}
