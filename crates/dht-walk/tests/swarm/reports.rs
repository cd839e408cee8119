//! What a refresh says about itself, and what kad does beside.

use dht_walk::swarm::libp2p_kad::{self as kad, Mode};
use dht_walk::{BucketReport, Cpl, LookupEnd, Peer, Purpose, RoundEnd};
use libp2p::PeerId;

use super::stage::{
    Node, OursEvent, Stock, acquainted, by_hand, key, network, ours, ours_knowing, peers, stock,
};

/// Twelve nodes all of which know each other, one of which we know, and two clients that we know
/// and they do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_reports_per_bucket_what_it_asked_found_admitted_evicted_and_why_it_ended() {
    let nodes = acquainted(12).await;
    let local = Peer::new(key(200).public().to_peer_id());
    let cpl_of = |peer: PeerId| local.cpl(&Peer::new(peer)).expect("another peer");
    let clients = [stock(101).await, stock(102).await];
    let left = clients.each_ref().map(|it| cpl_of(it.peer));
    assert_ne!(
        left[0], left[1],
        "of two buckets, and one of them is not the first"
    );
    for client in &clients {
        client.with(to_client).await;
    }
    let known: Vec<&Node<Stock>> = nodes[..1].iter().chain(&clients).collect();
    let ours = ours_knowing(by_hand(), known, |walk| {
        walk.refresh(true).expect("nothing waits");
    })
    .await;
    let report = ours.report(0).await;

    assert_eq!(report.end, RoundEnd::Done);
    assert_eq!((report.admitted, report.evicted), (11, 2));
    let mut found: Vec<PeerId> = report.found.iter().map(|it| it.peer.id()).collect();
    found.sort();
    assert_eq!(found, peers(&nodes));
    // That of itself, then one for each bucket that can be filled.
    let asked: Vec<_> = report
        .lookups
        .iter()
        .map(|it| (it.purpose, it.requests, it.failures, it.end))
        .collect();
    let aimed = report.buckets.iter().filter(|it| it.end.is_some());
    let aimed: Vec<_> = aimed
        .map(|it| (Purpose::Bucket(it.cpl), 12, 0, LookupEnd::Exhausted))
        .collect();
    assert_eq!(asked[0], (Purpose::Itself, 14, 2, LookupEnd::Exhausted));
    assert_eq!(asked[1..], aimed);
    assert_eq!(aimed[0].0, Purpose::Bucket(Cpl::new(0)));

    for bucket in &report.buckets {
        let of_bucket = |peer: PeerId| usize::from(cpl_of(peer) == bucket.cpl);
        let there: usize = nodes.iter().map(|it| of_bucket(it.peer)).sum();
        let gone: usize = clients.iter().map(|it| of_bucket(it.peer)).sum();
        let first = of_bucket(nodes[0].peer);
        let expected = BucketReport {
            cpl: bucket.cpl,
            before: first + gone,
            after: there,
            requests: if bucket.end.is_some() { 12 } else { 0 },
            found: there,
            admitted: u32::try_from(there - first).expect("a few"),
            evicted: u32::try_from(gone).expect("a few"),
            end: bucket.end,
        };
        assert_eq!(*bucket, expected);
    }
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

fn to_client(swarm: &mut libp2p::Swarm<Stock>) {
    swarm.behaviour_mut().kad.set_mode(Some(Mode::Client));
}
