//! What a refresh says about itself, and what kad does beside.

use dht_walk::swarm::libp2p_kad::{self as kad, Mode};
use dht_walk::{LookupEnd, Peer, RoundEnd};

use super::stage::{Node, OursEvent, Stock, by_hand, network, ours, ours_knowing};

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_reports_per_bucket_what_it_asked_found_admitted_evicted_and_why_it_ended() {
    let nodes = network(12).await;
    nodes[1].with(to_client).await;
    let ours = ours_knowing(by_hand(), &nodes[..2], |walk| {
        walk.refresh(true).expect("nothing waits");
    })
    .await;
    let report = ours.report(0).await;

    assert_eq!(report.end, RoundEnd::Done);
    assert_eq!((report.admitted, report.evicted), (10, 1), "{report:?}");
    let local = Peer::new(ours.peer);
    let left = local.cpl(&Peer::new(nodes[1].peer)).expect("another peer");
    for bucket in &report.buckets {
        let cpl_of = |node: &&Node<Stock>| local.cpl(&Peer::new(node.peer));
        let there = nodes.iter().filter(|it| cpl_of(it) == Some(bucket.cpl));
        let evicted = u32::from(bucket.cpl == left);
        assert_eq!(bucket.evicted, evicted, "{bucket:?}");
        assert_eq!(bucket.after, there.count() - evicted as usize, "{bucket:?}");
        let entered = bucket.before + bucket.admitted as usize;
        assert_eq!(entered - evicted as usize, bucket.after, "{bucket:?}");
        assert!(bucket.found >= bucket.admitted as usize, "{bucket:?}");
    }
    let looked_up = report.buckets.iter().filter(|it| it.end.is_some());
    for bucket in looked_up.clone() {
        // Fewer peers than a bucket has places: all of them were asked.
        assert_eq!(bucket.end, Some(LookupEnd::Exhausted), "{bucket:?}");
        assert!(bucket.requests >= 11, "{bucket:?}");
    }
    assert!(looked_up.count() > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_of_kad_is_paid_from_the_budget_and_who_answers_is_no_entry_by_that() {
    let nodes = network(12).await;
    let ours = ours(by_hand()).await;
    ours.add(&nodes[..1]).await;
    let query = ours
        .with(|swarm| swarm.behaviour_mut().walk.bootstrap())
        .await
        .expect("it knows somebody");
    let asked = ours
        .until("end of the bootstrap", move |_, events| {
            let steps = events.iter().filter_map(|event| match event {
                OursEvent::Walk(dht_walk::swarm::Event::Kad(
                    kad::Event::OutboundQueryProgressed {
                        id, stats, step, ..
                    },
                )) if *id == query => Some((stats.num_requests(), step.last)),
                _ => None,
            });
            let steps: Vec<_> = steps.collect();
            let is_over = steps.iter().any(|(_, is_last)| *is_last);
            is_over.then(|| steps.iter().map(|(requests, _)| requests).sum::<u32>())
        })
        .await;
    let spent = ours
        .with(|swarm| swarm.behaviour().walk.walk().spent().messages)
        .await;
    assert!(asked > 0 && spent >= u64::from(asked), "{spent} of {asked}");
    let (of_walk, of_kad) = ours.tables().await;
    assert_eq!(of_walk, [nodes[0].peer]);
    assert_eq!(of_kad, [nodes[0].peer]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_does_to_the_table_of_kad_is_known_at_the_next_refresh() {
    let nodes = network(3).await;
    let gone = nodes[2].peer;
    // Who is lost to kad alone would be found again, did it serve.
    nodes[2].with(to_client).await;
    let ours = ours_knowing(by_hand(), &nodes, |walk| {
        walk.remove_peer(&gone).expect("it was there");
        assert_eq!(walk.table().len(), 3, "that is no event");
        walk.refresh(true).expect("nothing waits");
    })
    .await;
    let report = ours.report(0).await;
    assert_eq!(report.end, RoundEnd::Done);
    let (of_walk, of_kad) = ours.tables().await;
    assert!(!of_walk.contains(&gone));
    assert_eq!((of_walk.len(), of_kad), (2, of_walk));
}

fn to_client(swarm: &mut libp2p::Swarm<Stock>) {
    swarm.behaviour_mut().kad.set_mode(Some(Mode::Client));
}
