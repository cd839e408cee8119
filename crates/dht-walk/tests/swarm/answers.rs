//! What stock nodes answer, and what is made of it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use dht_walk::swarm::libp2p_kad::{self as kad, QueryResult};
use dht_walk::{Contact, LookupEnd, Peer, Refusal, Target};
use libp2p::PeerId;

use super::stage::{Node, OursEvent, Stock, by_hand, network, ours, stock};

/// A node that was told of 40 peers, none of which is there.
async fn hub() -> (Node<Stock>, Vec<Contact>) {
    let hub = stock(1).await;
    let nowhere: libp2p::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
    let told: Vec<Contact> = (0..40)
        .map(|_| Contact::new(Peer::new(PeerId::random()), [nowhere.clone()]))
        .collect();
    let known = hub
        .with({
            let told = told.clone();
            move |swarm| {
                for contact in told {
                    let (peer, address) = (contact.peer.id(), nowhere.clone());
                    swarm.behaviour_mut().kad.add_address(&peer, address);
                }
                super::stage::kad_table(&mut swarm.behaviour_mut().kad)
            }
        })
        .await;
    // A bucket has twenty places.
    let kept = told.into_iter().filter(|it| known.contains(&it.peer.id()));
    (hub, kept.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_the_twenty_peers_nearest_to_what_is_looked_up() {
    let (hub, known) = hub().await;
    let hub = [hub];
    let ours = ours(by_hand()).await;
    ours.add(&hub).await;
    ours.with(|swarm| {
        let walk = &mut swarm.behaviour_mut().walk;
        walk.walks(1).expect("nothing waits");
    })
    .await;
    let report = ours.report(0).await;
    let lookup = &report.lookups[0];
    let target = Target::peer(Peer::new(lookup.target));
    let mut nearest = known;
    nearest.sort_by_key(|it| it.peer.distance(target.key()));
    nearest.truncate(20);
    let sorted = |contacts: Vec<Contact>| -> BTreeSet<PeerId> {
        contacts.into_iter().map(|it| it.peer.id()).collect()
    };
    assert_eq!(sorted(report.found), sorted(nearest));
    assert_eq!(lookup.end, LookupEnd::Exhausted);
    assert_eq!(lookup.closest, [hub[0].peer]);
    assert_eq!((lookup.requests, lookup.failures), (21, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_the_bound_is_none() {
    let (hub, _) = hub().await;
    let mut config = by_hand();
    config.answer_bytes_max = 500;
    let hub = [hub];
    let ours = ours(config).await;
    ours.add(&hub).await;
    ours.with(|swarm| {
        let walk = &mut swarm.behaviour_mut().walk;
        walk.walks(1).expect("nothing waits");
    })
    .await;
    let report = ours.report(0).await;
    assert_eq!(report.found, []);
    let lookup = &report.lookups[0];
    assert_eq!((lookup.requests, lookup.failures), (1, 1));
    let broken = ours
        .with(|swarm| {
            let walk = swarm.behaviour().walk.walk();
            walk.refusals().count(Refusal::NoAnswer)
        })
        .await;
    assert_eq!(broken, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answered_a_query_of_kad_was_heard_by_that() {
    let nodes = network(12).await;
    let ours = ours(by_hand()).await;
    ours.add(&nodes).await;
    let before = ours
        .with(|swarm| {
            let walk = &swarm.behaviour().walk;
            walk.table().iter().map(|it| it.heard_at()).max()
        })
        .await
        .expect("there are entries");
    let query = ours
        .with(|swarm| {
            let count = NonZeroUsize::new(20).expect("not zero");
            let walk = &mut swarm.behaviour_mut().walk;
            walk.get_n_closest_peers(PeerId::random(), count)
        })
        .await;
    let answered = ours
        .until("end of a query", move |_, events| {
            events.iter().find_map(|event| match event {
                OursEvent::Walk(dht_walk::swarm::Event::Kad(
                    kad::Event::OutboundQueryProgressed {
                        id,
                        result: QueryResult::GetClosestPeers(Ok(found)),
                        ..
                    },
                )) if *id == query => Some(found.peers.len()),
                _ => None,
            })
        })
        .await;
    assert_eq!(answered, 12);
    let (unheard, spent) = ours
        .with(move |swarm| {
            let walk = &swarm.behaviour().walk;
            let unheard = walk.table().iter().filter(|it| it.heard_at() <= before);
            (unheard.count(), walk.walk().spent().messages)
        })
        .await;
    assert_eq!((unheard, spent), (0, 0), "none of them was asked by us");
}
