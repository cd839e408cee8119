//! Our own point: keeps streams open, reads both signatures.

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use rv_client::rv_core::client::{Cause, RegisterOptions, StartError};
use rv_client::rv_proto::{Status, Ttl};
use rv_client::{Behaviour, DiscoverError, RegisterError, UnregisterError};

use crate::support::*;

#[tokio::test]
async fn a_registered_peer_is_found_until_it_unregisters() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (node, client) = client_of([at.clone()]).await;
    let (_seeker, seeker) = client_of([at.clone()]).await;
    let here = client.point(point.peer());

    let granted = within("grant", here.register(namespace("ns"), secs(600))).await;
    assert_eq!(granted, Ok(Ttl::from_secs(600).expect("a good ttl")));

    let found = within("listing", seeker.discover(scope("ns"), None)).await;
    let found = found.expect("the point answers");
    assert_eq!(found.peers.len(), 1);
    assert_eq!(found.peers[0].peer(), node.peer);
    assert_eq!(found.peers[0].addresses(), [external()]);
    assert!(found.peers[0].is_verified());

    let status = client.status().await;
    assert_eq!(status.registrations.len(), 1);
    assert!(status.registrations[0].until.is_some());
    assert!(status.registrations[0].next_at < status.registrations[0].until);

    let left = within("end", here.unregister(namespace("ns"))).await;
    assert_eq!(left, Ok(()));
    assert_eq!(listed_at(at, "ns").await, Some(vec![]), "written and read");
    assert_eq!(client.status().await.registrations, []);
}

#[tokio::test]
async fn a_short_ttl_is_refreshed_again_and_again_without_a_gap() {
    let point = own_point(1).await;
    let at = (point.peer(), point.address.clone());
    let (node, client) = client_of([at.clone()]).await;
    let (_seeker, seeker) = client_of([at]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(3))).await;
    assert_eq!(granted.expect("granted").len(), 1);

    // Three refreshes take longer than two ttls.
    eventually("third refresh", async || {
        let found = seeker.discover(scope("ns"), None).await;
        let found = found.expect("the point answers");
        assert_eq!(found.peers.len(), 1, "listed at every moment");
        (node.count(is_registered) > 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pages_go_on_where_the_cookie_stands() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let mut nodes = Vec::new();
    for _ in 0..5 {
        let (node, client) = client_of([at.clone()]).await;
        let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
        granted.expect("granted");
        nodes.push(node);
    }
    let (_seeker, seeker) = client_of([at]).await;
    let here = seeker.point(point.peer());
    let (mut cookie, mut found) = (None, Vec::new());
    for expected in [2, 2, 1, 0] {
        let page = within("page", here.discover(scope("ns"), Some(2), cookie)).await;
        let page = page.expect("the point answers");
        assert_eq!(page.peers.len(), expected);
        found.extend(page.peers.iter().map(|it| it.peer()));
        cookie = page.cookie;
        assert!(cookie.is_some());
    }
    let mut registered: Vec<_> = nodes.iter().map(|node| node.peer).collect();
    registered.sort();
    found.sort();
    assert_eq!(found, registered);
}

#[tokio::test]
async fn refusals_are_told_with_their_status() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (_node, client) = client_of([at]).await;
    let here = client.point(point.peer());

    let refused = within("answer", here.register(namespace("ns"), secs(60))).await;
    let Err(RegisterError::Refused {
        point: by, status, ..
    }) = refused
    else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!((by, status), (point.peer(), Status::INVALID_TTL));

    let cookie = Some(Bytes::from_static(b"short"));
    let refused = within("answer", here.discover(scope("ns"), None, cookie)).await;
    let Err(DiscoverError::Refused { status, .. }) = refused else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!(status, Status::INVALID_COOKIE);
}

#[tokio::test]
async fn a_point_that_cannot_be_reached_is_told_as_such() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    point.node.kill().await;
    let (_node, client) = client_of([at.clone()]).await;
    let here = client.point(at.0);
    let (registered, found, left) = within("answers", async {
        let registered = here.register(namespace("ns"), None).await;
        let found = client.discover(scope("ns"), None).await;
        (registered, found, here.unregister(namespace("ns")).await)
    })
    .await;
    let point = at.0;
    assert_eq!(registered, Err(RegisterError::Unreachable { point }));
    assert_eq!(found, Err(DiscoverError::Unreachable { point }));
    assert_eq!(left, Err(UnregisterError::Unreachable { point }));
}

#[tokio::test]
async fn an_address_that_is_learnt_later_is_registered_then() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (node, client) = client_without_address();
    client.add_point(at.0, [at.1.clone()]).await.expect("room");

    let early = client.register(namespace("ns"), ttl(600));
    assert_eq!(within("answer", early).await, Err(RegisterError::NoAddress));
    let waiting = RegisterOptions {
        wait_for_address: true,
        ..ttl(600)
    };
    let waiting = client.register(namespace("other"), waiting);
    let learn = node.with(|swarm| swarm.add_external_address(external()));
    let (granted, ()) = within("grant", async { futures::join!(waiting, learn) }).await;
    assert_eq!(granted.expect("granted").len(), 1);

    // What was not waited for is registered all the same.
    let listed = eventually("registration", async || {
        let listed = listed_at(at.clone(), "ns").await?;
        (!listed.is_empty()).then_some(listed)
    });
    assert_eq!(listed.await, [node.peer]);

    // And moves when the address does.
    let moved: libp2p::Multiaddr = "/ip4/203.0.113.8/tcp/4001".parse().expect("good");
    let new = moved.clone();
    node.with(move |swarm| {
        swarm.remove_external_address(&external());
        swarm.add_external_address(new);
    })
    .await;
    let (_seeker, seeker) = client_of([at]).await;
    eventually("new address", async || {
        let found = seeker.discover(scope("ns"), None).await.ok()?;
        (found.peers.first()?.addresses() == [moved.clone()]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_found_peer_is_dialled_by_its_id_alone() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let key = Keypair::generate_ed25519();
    let behaviour = Behaviour::new(key.clone(), quick()).expect("a good configuration");
    let client = behaviour.client();
    let mut found = swarm(&key, behaviour);
    let address = listen(&mut found, loopback()).await;
    found.add_external_address(address);
    let found = Node::spawn(found);
    client.add_point(at.0, [at.1.clone()]).await.expect("room");
    let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");

    let (seeker, handle) = client_of([at]).await;
    let peer = found.peer;
    let unknown = seeker.with(move |swarm| swarm.dial(peer).is_err()).await;
    assert!(unknown, "nobody knows its address yet");
    let listed = within("listing", handle.discover(scope("ns"), None)).await;
    assert_eq!(listed.expect("the point answers").peers.len(), 1);
    let dialled = seeker.with(move |swarm| swarm.dial(peer).is_ok()).await;
    assert!(dialled);
    eventually("connection", async || {
        let is_connected = seeker.with(move |swarm| swarm.is_connected(&peer)).await;
        is_connected.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_closed_client_says_so_and_leaves_its_registrations() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (node, client) = client_of([at.clone()]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");
    let ((), ()) = within("end", async {
        futures::join!(client.closed(), client.close())
    })
    .await;
    let again = client.register(namespace("ns"), ttl(600)).await;
    assert_eq!(again, Err(RegisterError::Closed));
    let point = client.add_point(PeerId::random(), []).await;
    assert_eq!(point, Err(StartError::Closed));
    assert_eq!(listed_at(at, "ns").await, Some(vec![node.peer]));

    // The same where the swarm is gone.
    node.kill().await;
    let found = client.discover(scope("ns"), None).await;
    assert_eq!(found, Err(DiscoverError::Closed));
    within("end", client.closed()).await;
}

#[tokio::test]
async fn what_was_not_asked_through_a_handle_is_told_as_events() {
    use rv_client::Event;
    use rv_client::rv_core::client::Target;
    let point = own_point(120).await;
    let (node, _client) = client_of([(point.peer(), point.address.clone())]).await;
    let target = Target::Point(point.peer());
    let id = node.with(move |swarm| {
        let behaviour = swarm.behaviour_mut();
        behaviour.register(target, namespace("ns"), ttl(60))
    });
    let id = id.await.expect("there is such a point");
    let is_refused = |event: &Event| match event {
        Event::RegisterDone {
            operation,
            result: Err(failures),
        } => {
            let refused = |cause: &Cause| matches!(cause, Cause::Refused(Status::INVALID_TTL, _));
            *operation == id && failures.len() == 1 && refused(&failures[0].1)
        }
        _ => false,
    };
    eventually("refusal", async || {
        (node.count(is_refused) == 1).then_some(())
    })
    .await;
}
