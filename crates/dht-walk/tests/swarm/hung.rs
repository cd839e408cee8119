//! A peer that takes requests and answers none.

use std::time::Duration;

use dht_walk::swarm::Config;
use dht_walk::{LookupEnd, Refusal, RoundEnd};

use super::stage::{by_hand, network, ours};

/// Long enough for whoever answers, on a loaded machine.
fn bounds() -> Config {
    let mut config = by_hand();
    config.walk.lookup.request_timeout = Duration::from_secs(3);
    config.walk.lookup.stall = Duration::from_millis(200);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_peer_costs_its_deadline_and_nothing_else() {
    let nodes = network(12).await;
    let ours = ours(bounds()).await;
    ours.add(&nodes).await;
    let walks = |count| {
        move |swarm: &mut libp2p::Swarm<_>| {
            let ours: &mut super::stage::Ours = swarm.behaviour_mut();
            ours.walk.walks(count).expect("nothing waits")
        }
    };
    ours.with(walks(1)).await;
    let report = ours.report(0).await;
    assert_eq!(
        (report.lookups[0].requests, report.lookups[0].failures),
        (12, 0)
    );

    let hung = &nodes[3];
    hung.freeze().await;
    ours.with(walks(2)).await;
    let report = ours.report(1).await;
    assert_eq!(report.end, RoundEnd::Done);
    for lookup in &report.lookups {
        assert_eq!((lookup.requests, lookup.failures), (12, 1));
        assert_eq!(lookup.end, LookupEnd::Exhausted, "not its own deadline");
        assert_eq!(lookup.closest.len(), 11);
        assert!(!lookup.closest.contains(&hung.peer));
        let took = lookup.ended_at.saturating_since(lookup.started_at);
        assert!(took >= bounds().walk.lookup.request_timeout, "{took:?}");
    }
    let of_hung = hung.peer;
    let (silent, doubted) = ours
        .with(|swarm| {
            let walk = swarm.behaviour().walk.walk();
            let doubted = walk.table().iter().filter(|it| it.strikes() > 0);
            let doubted: Vec<_> = doubted.map(|it| it.peer().id()).collect();
            (walk.refusals().count(Refusal::NoAnswer), doubted)
        })
        .await;
    assert_eq!(silent, 2, "once for each lookup");
    assert_eq!(doubted, [of_hung], "the others are as they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_fires_though_nothing_else_happens_in_the_swarm() {
    let nodes = network(1).await;
    let ours = ours(bounds()).await;
    ours.add(&nodes).await;
    let walk = |swarm: &mut libp2p::Swarm<super::stage::Ours>| {
        swarm.behaviour_mut().walk.walks(1).expect("nothing waits")
    };
    ours.with(walk).await;
    assert_eq!(ours.report(0).await.lookups[0].failures, 0);
    // The connection stays, and so does the stream on it: neither ends by itself.
    nodes[0].freeze().await;
    ours.with(walk).await;
    let report = ours.report(1).await;
    let lookup = &report.lookups[0];
    assert_eq!((lookup.requests, lookup.failures), (1, 1));
    assert_eq!(report.end, RoundEnd::Done);
}
