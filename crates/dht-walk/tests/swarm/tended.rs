//! A table of thirty nodes: it fills, and who is gone or serves no more leaves it.

use std::time::Duration;

use dht_walk::swarm::libp2p_kad::{self as kad, Mode};
use dht_walk::{Event, EvictReason};

use super::stage::{
    Node, Ours, Stock, StockEvent, both_tables, brisk, kad_table, network, ours, peers, stock, told,
};

const EVERY: Duration = Duration::from_secs(3);

/// Until both tables of our node are these peers.
async fn until_tables(node: &Node<Ours>, wanted: Vec<libp2p::PeerId>) {
    node.until("tables as they should be", move |swarm, _| {
        let (of_walk, of_kad) = both_tables(swarm);
        (of_walk == wanted && of_kad == wanted).then_some(())
    })
    .await;
}

/// A plain kad that was told of everybody, and has asked all whom it bootstraps with.
async fn plain(nodes: &[Node<Stock>]) -> Node<Stock> {
    let plain = stock(201).await;
    let all: Vec<_> = nodes
        .iter()
        .map(|it| (it.peer, it.address.clone()))
        .collect();
    plain
        .with(move |swarm| {
            for (peer, address) in all {
                swarm.behaviour_mut().kad.add_address(&peer, address);
            }
        })
        .await;
    plain
}

/// Runs a bootstrap to its end, and gives the table after, our own node aside.
async fn bootstrap(plain: &Node<Stock>, ours: libp2p::PeerId) -> Vec<libp2p::PeerId> {
    let query = plain
        .with(|swarm| swarm.behaviour_mut().kad.bootstrap())
        .await
        .expect("it knows somebody");
    plain
        .until("end of a bootstrap", move |swarm, events| {
            let is_end = |event: &StockEvent| {
                matches!(event,
                    StockEvent::Kad(kad::Event::OutboundQueryProgressed { id, step, .. })
                        if *id == query && step.last)
            };
            let kad = &mut swarm.behaviour_mut().kad;
            let table = |all: Vec<_>| all.into_iter().filter(|it| *it != ours).collect();
            events.iter().any(is_end).then(|| table(kad_table(kad)))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_and_client_peers_leave_and_a_plain_kad_keeps_them() {
    let mut nodes = network(30).await;
    let everybody = peers(&nodes);
    let ours = ours(brisk(EVERY)).await;
    let first = (nodes[0].peer, vec![nodes[0].address.clone()]);
    ours.with(move |swarm| {
        let walk = &mut swarm.behaviour_mut().walk;
        walk.set_bootstrap([first]);
        walk.sweep(3, Duration::from_secs(60))
            .expect("nothing waits");
    })
    .await;
    until_tables(&ours, everybody.clone()).await;
    let plain = plain(&nodes).await;
    assert_eq!(bootstrap(&plain, ours.peer).await, everybody);

    for dead in nodes.split_off(22) {
        dead.kill().await;
    }
    let clients = nodes.split_off(18);
    for node in &clients {
        node.with(|swarm| swarm.behaviour_mut().kad.set_mode(Some(Mode::Client)))
            .await;
    }
    // The plain one serves too, and was met when it bootstrapped.
    let mut left = peers(&nodes);
    left.push(plain.peer);
    left.sort();
    until_tables(&ours, left).await;
    let reasons = ours
        .with_events(|events| {
            let evicted = told(events).filter_map(|it| match it {
                Event::Evicted { reason, .. } => Some(*reason),
                _ => None,
            });
            let mut reasons: Vec<_> = evicted.collect();
            reasons.sort();
            reasons
        })
        .await;
    let expected = [vec![EvictReason::Dead; 8], vec![EvictReason::NotServing; 4]].concat();
    assert_eq!(reasons, expected);
    assert_eq!(
        bootstrap(&plain, ours.peer).await,
        everybody,
        "kad alone keeps all"
    );
}
