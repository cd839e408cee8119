//! A node whose line is cut.

use std::time::Duration;

use dht_walk::Event;

use super::stage::{brisk, network, ours, peers, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_keeps_its_table_and_is_whole_again_after() {
    let nodes = network(12).await;
    let ours = ours(brisk(Duration::from_secs(1))).await;
    ours.add(&nodes).await;
    let cut_at = ours
        .with(|swarm| {
            swarm.behaviour_mut().cut.is_cut = true;
            let all: Vec<_> = swarm.connected_peers().copied().collect();
            for peer in all {
                // Who is gone by itself meanwhile is cut off too.
                let _ = swarm.disconnect_peer_id(peer);
            }
            let table = swarm.behaviour().walk.table();
            table.iter().map(|it| it.heard_at()).max()
        })
        .await
        .expect("there are entries");
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
    // Whole: each of them was heard since, and none is in doubt.
    ours.until("end of the outage", move |swarm, _| {
        let walk = &swarm.behaviour().walk;
        let mut entries = walk.table().iter();
        let is_whole = entries.all(|it| it.heard_at() > cut_at && it.strikes() == 0);
        (is_whole && !walk.walk().is_outage()).then_some(())
    })
    .await;
    let (of_walk, of_kad) = ours.tables().await;
    assert_eq!(of_walk, peers(&nodes));
    assert_eq!(of_kad, of_walk);
    let (outages, evicted) = ours
        .with_events(|events| {
            let is_outage = |it: &&Event| matches!(it, Event::OutageBegan | Event::OutageEnded);
            let outages: Vec<Event> = told(events).filter(is_outage).cloned().collect();
            let is_eviction = |it: &Event| matches!(it, Event::Evicted { .. });
            (outages, told(events).any(is_eviction))
        })
        .await;
    assert_eq!(outages, [Event::OutageBegan, Event::OutageEnded]);
    assert!(!evicted);
}
