//! Streams of changes that the point tells of by itself.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::Multiaddr;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use rv_client::rv_core::client::{ClientConfig, GoneReason};
use rv_client::{Client, Config, Watch, WatchEvent};

use crate::support::*;

/// Polls are so rare that none explains what is told, but for the one that a watch begins with.
fn patient() -> Config {
    let mut config = quick();
    config.client = ClientConfig {
        poll_min: Duration::from_secs(300),
        poll_max: Duration::from_secs(300),
        relist_interval: Duration::from_secs(3_000),
        ..config.client
    };
    config
}

async fn pushed(client: &Client) {
    eventually("subscription", async || {
        let watches = client.status().await.watches;
        watches.iter().all(|it| it.is_pushed).then_some(())
    })
    .await;
}

async fn joined(watch: &mut Watch) -> (PeerId, Vec<Multiaddr>) {
    match within("event", watch.next()).await {
        Some(WatchEvent::Joined(found)) => (found.peer(), found.addresses().to_vec()),
        other => panic!("nobody joined: {other:?}"),
    }
}

fn gone(peer: PeerId, reason: GoneReason) -> Option<WatchEvent> {
    Some(WatchEvent::Gone {
        namespace: namespace("ns"),
        peer,
        reason,
    })
}

async fn register(client: &Client, secs: u64) {
    let granted = within("grant", client.register(namespace("ns"), ttl(secs))).await;
    granted.expect("granted");
}

#[tokio::test]
async fn a_watch_is_told_at_once_who_joins_is_renewed_leaves_and_expires() {
    let point = own_point(1).await;
    let at = (point.peer(), point.address.clone());
    let (_seeker, seeker) = client_of_with(patient(), [at.clone()]).await;
    let mut watch = seeker.watch(scope("ns")).await.expect("room");
    pushed(&seeker).await;

    let (node, client) = client_of([at.clone()]).await;
    register(&client, 600).await;
    assert_eq!(joined(&mut watch).await, (node.peer, vec![external()]));

    let another: Multiaddr = "/ip4/203.0.113.8/tcp/4001".parse().expect("good");
    let added = another.clone();
    node.with(move |swarm| swarm.add_external_address(added))
        .await;
    let event = within("event", watch.next()).await;
    let Some(WatchEvent::Renewed(found)) = event else {
        panic!("not renewed: {event:?}");
    };
    assert_eq!(found.addresses(), [external(), another]);

    let left = within("end", client.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let event = within("event", watch.next()).await;
    assert_eq!(event, gone(node.peer, GoneReason::Left));

    let mut once = quick();
    once.client.refresh = false;
    let (node, client) = client_of_with(once, [at]).await;
    register(&client, 2).await;
    assert_eq!(joined(&mut watch).await.0, node.peer);
    let event = within("event", watch.next()).await;
    assert_eq!(event, gone(node.peer, GoneReason::Expired));
}

#[tokio::test]
async fn a_watch_goes_on_where_it_ended_when_the_connection_is_made_anew() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let mut config = patient();
    config.client.poll_min = Duration::from_millis(200);
    config.client.poll_max = Duration::from_millis(200);
    let (seeking, seeker) = client_of_with(config, [at.clone()]).await;
    let (first, staying) = client_of([at.clone()]).await;
    let (second, leaving) = client_of([at]).await;
    register(&staying, 600).await;
    let mut watch = seeker.watch(scope("ns")).await.expect("room");
    assert_eq!(joined(&mut watch).await.0, first.peer);
    register(&leaving, 600).await;
    assert_eq!(joined(&mut watch).await.0, second.peer);
    pushed(&seeker).await;

    let of_point = point.peer();
    let cut = seeking.with(move |swarm| swarm.disconnect_peer_id(of_point));
    assert_eq!(cut.await, Ok(()));
    let left = within("end", leaving.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let event = within("event", watch.next()).await;
    assert_eq!(event, gone(second.peer, GoneReason::Left));
    pushed(&seeker).await;
    assert_eq!(seeker.cached(scope("ns"), None).await.len(), 1);
}

#[tokio::test]
async fn a_watch_learns_from_a_point_that_lost_its_memory_who_is_missing() {
    let key = Keypair::generate_ed25519();
    let point = Point::start(&key, own(120), loopback()).await;
    let (peer, address) = (point.peer(), point.address.clone());
    let at = (peer, address.clone());
    let mut config = patient();
    config.client.poll_min = Duration::from_millis(200);
    config.client.poll_max = Duration::from_millis(200);
    let (_seeking, seeker) = client_of_with(config, [at.clone()]).await;
    let mut watch = seeker.watch(scope("ns")).await.expect("room");
    let (node, client) = client_of([at]).await;
    register(&client, 600).await;
    assert_eq!(joined(&mut watch).await.0, node.peer);
    pushed(&seeker).await;
    let missing = node.peer;
    node.kill().await;
    point.node.kill().await;
    let _point = eventually("the port is free", async || {
        let mut again = swarm(&key, own(120));
        let tried = again.listen_on(address.clone());
        tried.is_ok().then_some(())?;
        let listening = within("listening", async {
            loop {
                match again.select_next_some().await {
                    libp2p::swarm::SwarmEvent::NewListenAddr { .. } => return true,
                    libp2p::swarm::SwarmEvent::ListenerClosed { .. } => return false,
                    _ => {}
                }
            }
        });
        listening.await.then(|| Node::spawn(again))
    })
    .await;
    let event = within("event", watch.next()).await;
    assert_eq!(event, gone(missing, GoneReason::Unlisted));
}

#[tokio::test]
async fn a_watch_polls_while_the_point_takes_no_subscription() {
    let mut config = rv_server::Config::default();
    config.limits.subscriptions_total = 0;
    let behaviour = rv_server::Behaviour::in_memory(config, rv_server::random_epoch());
    let behaviour = behaviour.expect("a good configuration");
    let point = Point::start(&Keypair::generate_ed25519(), behaviour, loopback()).await;
    let at = (point.peer(), point.address.clone());
    let (_seeker, seeker) = client_of([at.clone()]).await;
    let mut watch = seeker.watch(scope("ns")).await.expect("room");
    let (node, client) = client_of([at]).await;
    register(&client, 600).await;
    assert_eq!(joined(&mut watch).await.0, node.peer);
    let left = within("end", client.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let event = within("event", watch.next()).await;
    assert_eq!(event, gone(node.peer, GoneReason::Unlisted));
    let refused = point
        .node
        .with(|swarm| swarm.behaviour().stats().subscribes_refused)
        .await;
    assert!(refused > 0, "it was asked");
}

#[tokio::test]
async fn a_watch_that_is_dropped_ends_the_subscription() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (_seeker, seeker) = client_of_with(patient(), [at]).await;
    let watch = seeker.watch(scope("ns")).await.expect("room");
    let open = async || {
        let stats = point.node.with(|swarm| swarm.behaviour().stats()).await;
        stats.subscriptions
    };
    eventually("subscription", async || (open().await == 1).then_some(())).await;
    drop(watch);
    eventually("its end", async || (open().await == 0).then_some(())).await;
}
