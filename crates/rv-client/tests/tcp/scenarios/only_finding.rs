//! A client that finds others and is not found.

use futures::StreamExt as _;
use rv_client::rv_proto::Scope;
use rv_client::{Discovery, RegisterError, WatchEvent};

use crate::support::*;

#[tokio::test]
async fn a_client_without_an_address_finds_and_watches_and_is_nowhere_listed() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (other, other_client) = client_of([at.clone()]).await;
    let granted = other_client.register(namespace("ns"), ttl(600));
    within("grant", granted).await.expect("granted");

    let (node, client) = client_without_address();
    client.add_point(at.0, [at.1.clone()]).await.expect("room");
    let discovery = Discovery::new(client.clone());
    let mut watch = discovery.watch(namespace("ns")).await.expect("room");
    let event = within("event", watch.next()).await;
    assert!(matches!(event, Some(WatchEvent::Joined(it)) if it.peer() == other.peer));
    let all = discovery.find_all_peers(namespace("ns"), |_| {});
    let all = within("listing", all).await.expect("the point answers");
    assert_eq!(all.peers.len(), 1);
    assert_eq!(client.status().await.registrations, []);

    // Even if it tried.
    let refused = within("answer", client.register(namespace("ns"), ttl(600))).await;
    assert_eq!(refused, Err(RegisterError::NoAddress));
    let left = within("end", client.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    assert_eq!(node.count(is_registered), 0);
    let (_seeker, seeker) = client_of([at]).await;
    let all = within("listing", seeker.discover(Scope::All, None)).await;
    let listed: Vec<_> = all
        .expect("answered")
        .peers
        .iter()
        .map(|it| it.peer())
        .collect();
    assert_eq!(listed, [other.peer]);
}
