//! The published rust point: closes each stream after its answer, reads one dialect alone.

use rv_client::rv_proto::{Dialect, Status};
use rv_client::{DiscoverError, RegisterError};

use crate::support::*;

#[tokio::test]
async fn a_stock_point_is_registered_at_refreshed_paged_and_left() {
    let point = stock_point(1).await;
    let at = (point.peer(), point.address.clone());
    let (node, client) = client_of([at.clone()]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(3))).await;
    assert_eq!(granted.expect("granted").len(), 1);
    let status = client.status().await;
    assert_eq!(status.points[0].dialect, Dialect::Legacy, "it was learnt");

    let (second, other) = client_of([at.clone()]).await;
    let granted = within("grant", other.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");

    let (_seeker, seeker) = client_of([at.clone()]).await;
    let here = seeker.point(point.peer());
    eventually("second refresh", async || {
        let found = seeker.discover(scope("ns"), None).await;
        let found = found.expect("the point answers");
        assert_eq!(found.peers.len(), 2, "listed at every moment");
        (node.count(is_registered) > 2).then_some(())
    })
    .await;

    let page = within("page", here.discover(scope("ns"), Some(1), None)).await;
    let page = page.expect("the point answers");
    assert_eq!(page.peers.len(), 1);
    let rest = here.discover(scope("ns"), None, page.cookie);
    let rest = within("page", rest).await.expect("the point answers");
    let mut found = [page.peers, rest.peers].concat();
    found.sort_by_key(|it| it.peer());
    let found: Vec<_> = found.iter().map(|it| it.peer()).collect();
    let mut expected = vec![node.peer, second.peer];
    expected.sort();
    assert_eq!(found, expected);

    let left = within("end", client.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    let listed = listed_at(at, "ns").await;
    assert_eq!(listed, Some(vec![second.peer]), "written and read");
}

#[tokio::test]
async fn refusals_of_a_stock_point_are_told_with_their_status() {
    let point = stock_point(7_200).await;
    let at = (point.peer(), point.address.clone());
    let (_node, client) = client_of([at]).await;
    let here = client.point(point.peer());
    let refused = within("answer", here.register(namespace("ns"), secs(60))).await;
    let Err(RegisterError::Refused { status, .. }) = refused else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!(status, Status::INVALID_TTL);

    // A cookie of another scope.
    let other = within("page", here.discover(scope("other"), None, None)).await;
    let cookie = other.expect("the point answers").cookie;
    assert!(cookie.is_some());
    let refused = within("answer", here.discover(scope("ns"), None, cookie)).await;
    let Err(DiscoverError::Refused { status, .. }) = refused else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!(status, Status::INVALID_COOKIE);
}

#[tokio::test]
async fn what_identify_says_decides_the_dialect_of_the_first_register() {
    let point = stock_point(1).await;
    let (peer, address) = (point.peer(), point.address.clone());
    let (node, client) = client_of([(peer, address.clone())]).await;
    let dialect = async || client.status().await.points[0].dialect;
    assert_eq!(dialect().await, Dialect::Standard, "nothing is known");
    let identify = |swarm: &mut libp2p::Swarm<rv_client::Behaviour>, peer| {
        let behaviour = swarm.behaviour_mut();
        behaviour.on_identified(peer, "rust-libp2p/0.57.0", ["/rendezvous/1.0.0"]);
    };
    node.with(move |swarm| identify(swarm, peer)).await;
    assert_eq!(dialect().await, Dialect::Standard, "it is not connected");

    node.with(move |swarm| swarm.dial(peer))
        .await
        .expect("its address is known");
    eventually("connection", async || {
        let is_connected = node.with(move |swarm| swarm.is_connected(&peer)).await;
        is_connected.then_some(())
    })
    .await;
    node.with(move |swarm| identify(swarm, peer)).await;
    assert_eq!(dialect().await, Dialect::Legacy);
}
