//! A table of thirty nodes: it fills, and who is gone or serves no more leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use dht_walk::swarm::Config;
use dht_walk::swarm::libp2p_kad::{self as kad, Mode};
use dht_walk::{Event, EvictReason, Table, Time};
use libp2p::PeerId;

use super::stage::{
    Node, Ours, OursEvent, Stock, StockEvent, both_tables, brisk, kad_table, network, ours, peers,
    stock, told,
};

/// Each entry is checked every three seconds, and nothing else is done after the start.
fn bounds() -> Config {
    let mut config = brisk(Duration::from_secs(3));
    let hour = Duration::from_secs(3_600);
    config.walk.refresh.interval_min = hour;
    config.walk.refresh.interval_max = hour;
    // Between one round of checks and the next, nobody else answers.
    config.walk.checks.outage_after = Duration::from_secs(20);
    config
}

/// The longest that a peer that is gone may stay since it was heard last: until its check is due,
/// and its tries with the pauses between them.
fn cycle() -> Duration {
    let walk = bounds().walk;
    let tries = u32::from(walk.checks.strikes_max);
    // Each pause is twice the one before.
    let pauses = walk.checks.retry_pause * ((1 << (tries - 1)) - 1);
    walk.checks.interval_max + walk.lookup.request_timeout * tries + pauses
}

/// How entries leave, by the walk's own clock: it reads as the answer that came last.
#[derive(Clone, Debug, Default)]
struct Watch {
    heard_at: BTreeMap<PeerId, Time>,
    strikes: BTreeMap<PeerId, BTreeSet<u8>>,
    /// Who left, and how long before it was heard.
    unheard: BTreeMap<PeerId, Duration>,
}

impl Watch {
    fn look(&mut self, table: &Table) {
        let mut there = BTreeSet::new();
        for entry in table.iter() {
            let (peer, at) = (entry.peer().id(), entry.heard_at());
            self.heard_at.insert(peer, at);
            self.strikes
                .entry(peer)
                .or_default()
                .insert(entry.strikes());
            there.insert(peer);
        }
        let now = self.heard_at.values().copied().max().unwrap_or_default();
        for (peer, heard_at) in &self.heard_at {
            if !there.contains(peer) {
                let unheard = now.saturating_since(*heard_at);
                self.unheard.entry(*peer).or_insert(unheard);
            }
        }
    }
}

/// Watches from now on until both tables of our node are these peers.
async fn watch_until(node: &Node<Ours>, wanted: Vec<PeerId>) -> impl Future<Output = Watch> {
    let mut watch = Watch::default();
    let look = move |swarm: &mut libp2p::Swarm<Ours>, _: &[OursEvent]| {
        watch.look(swarm.behaviour().walk.table());
        let (of_walk, of_kad) = both_tables(swarm);
        (of_walk == wanted && of_kad == wanted).then(|| watch.clone())
    };
    node.watch("tables as they should be", look).await
}

/// Until both tables of our node are these peers.
async fn until_tables(node: &Node<Ours>, wanted: Vec<PeerId>) {
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
async fn bootstrap(plain: &Node<Stock>, ours: PeerId) -> Vec<PeerId> {
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
async fn dead_and_client_peers_leave_within_one_cycle_of_checks_and_a_plain_kad_keeps_them() {
    let mut nodes = network(30).await;
    let everybody = peers(&nodes);
    let ours = ours(bounds()).await;
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
    // It serves too, and was met when it bootstrapped.
    until_tables(&ours, with(everybody.clone(), plain.peer)).await;

    let gone: Vec<Node<Stock>> = nodes.split_off(22);
    let dead: BTreeSet<PeerId> = gone.iter().map(|it| it.peer).collect();
    let clients = nodes.split_off(18);
    let seen = ours_after(&ours, gone, &clients, with(peers(&nodes), plain.peer)).await;

    let leavers = clients.iter().map(|it| it.peer).chain(dead.iter().copied());
    let left: BTreeSet<PeerId> = seen.unheard.keys().copied().collect();
    assert_eq!(left, leavers.collect());
    for (peer, unheard) in &seen.unheard {
        assert!(*unheard <= cycle(), "{peer}: {unheard:?}");
    }
    for peer in &dead {
        let strikes = &seen.strikes[peer];
        assert_eq!(*strikes, BTreeSet::from([0, 1, 2]), "the third is the last");
    }
    assert_eq!(
        reasons(&ours).await,
        [vec![EvictReason::Dead; 8], vec![EvictReason::NotServing; 4],].concat()
    );
    assert_eq!(
        bootstrap(&plain, ours.peer).await,
        everybody,
        "kad alone keeps all"
    );
}

fn with(mut peers: Vec<PeerId>, one: PeerId) -> Vec<PeerId> {
    peers.push(one);
    peers.sort();
    peers
}

/// What our node sees when some die and some become clients.
async fn ours_after(
    ours: &Node<Ours>,
    dead: Vec<Node<Stock>>,
    clients: &[Node<Stock>],
    wanted: Vec<PeerId>,
) -> Watch {
    let watched = watch_until(ours, wanted).await;
    for node in dead {
        node.kill().await;
    }
    for node in clients {
        node.with(|swarm| swarm.behaviour_mut().kad.set_mode(Some(Mode::Client)))
            .await;
    }
    watched.await
}

async fn reasons(ours: &Node<Ours>) -> Vec<EvictReason> {
    ours.with_events(|events| {
        let evicted = told(events).filter_map(|it| match it {
            Event::Evicted { reason, .. } => Some(*reason),
            _ => None,
        });
        let mut reasons: Vec<_> = evicted.collect();
        reasons.sort();
        reasons
    })
    .await
}
