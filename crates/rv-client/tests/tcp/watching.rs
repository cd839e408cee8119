//! Streams of changes.

use futures::StreamExt as _;
use rv_client::rv_core::client::GoneReason;
use rv_client::{Discovery, Event, WatchEvent};

use crate::support::*;

#[tokio::test]
async fn a_watch_that_polls_tells_who_joins_and_who_is_gone() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let mut config = quick();
    config.client.push = false;
    let (_seeker, seeker) = client_of_with(config, [at.clone()]).await;
    let discovery = Discovery::new(seeker.clone());
    let mut watch = discovery.watch(namespace("ns")).await.expect("room");
    let (node, client) = client_of([at]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");

    let event = within("event", watch.next()).await;
    let Some(WatchEvent::Joined(found)) = event else {
        panic!("nobody joined: {event:?}");
    };
    assert_eq!(found.peer(), node.peer);
    assert_eq!(found.addresses(), [external()]);

    // Who comes later is told what is known.
    let mut second = discovery.watch(namespace("ns")).await.expect("room");
    let event = within("event", second.next()).await;
    assert!(matches!(event, Some(WatchEvent::Joined(it)) if it.peer() == node.peer));
    drop(second);

    let left = within("end", client.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let gone = WatchEvent::Gone {
        namespace: namespace("ns"),
        peer: node.peer,
        reason: GoneReason::Unlisted,
    };
    assert_eq!(within("event", watch.next()).await, Some(gone));

    let watches = seeker.status().await.watches;
    assert_eq!((watches.len(), watches[0].is_pushed), (1, false));
    drop(watch);
    eventually("end of the polling", async || {
        seeker.status().await.watches.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn whom_a_discovery_found_has_joined_once_for_a_stream_and_once_for_the_application() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (node, client) = client_of([at.clone()]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");
    let mut config = quick();
    config.client.push = false;
    let (seeking, seeker) = client_of_with(config, [at]).await;
    let found = within("listing", seeker.discover(scope("ns"), None)).await;
    assert_eq!(found.expect("listed").peers[0].peer(), node.peer);

    let is_joined = |event: &Event| matches!(event, Event::Joined(it) if it.peer() == node.peer);
    assert_eq!(seeking.count(is_joined), 0, "nobody watched");
    let mut watch = seeker.watch(scope("ns")).await.expect("room");
    let event = within("event", watch.next()).await;
    assert!(matches!(event, Some(WatchEvent::Joined(it)) if it.peer() == node.peer));

    let left = within("end", client.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let event = within("event", watch.next()).await;
    assert!(matches!(event, Some(WatchEvent::Gone { peer, .. }) if peer == node.peer));
    assert_eq!(seeking.count(is_joined), 1);
}

#[tokio::test]
async fn a_watch_ends_when_the_client_is_closed() {
    let point = own_point(120).await;
    let (_node, client) = client_of([(point.peer(), point.address.clone())]).await;
    let mut watch = client.watch(scope("ns")).await.expect("room");
    client.close().await;
    assert_eq!(within("end", watch.next()).await, None);
}
