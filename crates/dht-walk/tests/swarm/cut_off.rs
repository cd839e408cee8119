//! A node whose line is cut.

use std::time::Duration;

use dht_walk::Event;

use super::stage::{brisk, network, ours, peers, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_keeps_its_table_and_is_whole_again_after() {
    let nodes = network(12).await;
    let ours = ours(brisk(Duration::from_secs(1))).await;
    ours.add(&nodes).await;
    ours.with(|swarm| {
        swarm.behaviour_mut().cut.is_cut = true;
        let all: Vec<_> = swarm.connected_peers().copied().collect();
        for peer in all {
            // Who is gone by itself meanwhile is cut off too.
            let _ = swarm.disconnect_peer_id(peer);
        }
    })
    .await;
    ours.until("outage", |_, events| {
        told(events)
            .any(|it| *it == Event::OutageBegan)
            .then_some(())
    })
    .await;
    let (of_walk, of_kad) = ours.tables().await;
    assert_eq!(of_walk, peers(&nodes));
    assert_eq!(of_kad, of_walk);

    ours.with(|swarm| swarm.behaviour_mut().cut.is_cut = false)
        .await;
    ours.until("end of the outage", |swarm, events| {
        let walk = &swarm.behaviour().walk;
        let is_sound = walk.table().iter().all(|entry| entry.strikes() == 0);
        let has_ended = told(events).any(|it| *it == Event::OutageEnded);
        (has_ended && is_sound && !walk.walk().is_outage()).then_some(())
    })
    .await;
    let (of_walk, of_kad) = ours.tables().await;
    assert_eq!(of_walk, peers(&nodes));
    assert_eq!(of_kad, of_walk);
    let evicted = ours
        .with_events(|events| told(events).any(|it| matches!(it, Event::Evicted { .. })))
        .await;
    assert!(!evicted);
}
