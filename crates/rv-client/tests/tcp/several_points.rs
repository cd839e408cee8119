//! Several points, some of which die, and a point that is a client too.

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use rv_client::rv_core::client::Reach;
use rv_client::{Behaviour, Discovery, Event, FindOptions};

use futures::StreamExt as _;

use crate::support::*;

#[tokio::test]
async fn a_point_that_dies_is_used_again_when_it_is_back_and_delays_nobody() {
    let key = Keypair::generate_ed25519();
    let mortal = Point::start(&key, own(1), loopback()).await;
    let steady = own_point(1).await;
    let there = (mortal.peer(), mortal.address.clone());
    let here = (steady.peer(), steady.address.clone());
    let (node, client) = client_of([there.clone(), here]).await;
    let is_at = |event: &Event| matches!(event, Event::Registered(it) if it.point == there.0);
    let granted = within("grant", client.register(namespace("ns"), ttl(4))).await;
    granted.expect("granted");
    eventually("both", async || (node.count(is_at) > 0).then_some(())).await;

    mortal.node.kill().await;
    let is_down =
        |event: &Event| matches!(event, Event::PointDown { point, .. } if *point == there.0);
    eventually("note of its death", async || {
        let found = client.discover(scope("other"), None).await;
        assert!(found.is_ok(), "the other point answers");
        (node.count(is_down) > 0).then_some(())
    })
    .await;
    let status = client.status().await;
    let is_down = |it: &Reach| matches!(it, Reach::Down { .. });
    let down: Vec<_> = status
        .points
        .iter()
        .filter(|it| is_down(&it.reach))
        .collect();
    assert_eq!(down.len(), 1);
    assert_eq!(down[0].point, there.0);

    let _back = Point::start(&key, own(1), there.1.clone()).await;
    let listed = eventually("registration", async || {
        let listed = listed_at(there.clone(), "ns").await?;
        (!listed.is_empty()).then_some(listed)
    });
    assert_eq!(listed.await, [node.peer]);
}

#[tokio::test]
async fn found_peers_come_from_the_cache_first_and_then_from_all_points() {
    let (one, two) = (own_point(120).await, own_point(120).await);
    let ats = [&one, &two].map(|point| (point.peer(), point.address.clone()));
    let mut nodes = Vec::new();
    for at in ats.clone() {
        let (node, client) = client_of([at]).await;
        let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
        granted.expect("granted");
        nodes.push(node);
    }
    let (_seeker, seeker) = client_of(ats).await;
    let discovery = Discovery::new(seeker.clone());
    let mut counts = Vec::new();
    let all = discovery.find_all_peers(namespace("ns"), |count| counts.push(count));
    let all = within("listing", all).await.expect("the points answer");
    assert_eq!(all.peers.len(), 2, "merged");
    assert_eq!(counts.last(), Some(&2));
    let dead = one.peer();
    one.node.kill().await;
    two.node.kill().await;

    let peers = |options| discovery.find_peers(namespace("ns"), options);
    let two_of = FindOptions {
        limit: Some(2),
        ..FindOptions::default()
    };
    let cached: Vec<_> = within("peers", peers(two_of).collect()).await;
    assert_eq!(cached.iter().filter(|it| it.is_ok()).count(), 2);

    let more: Vec<_> = within("peers", peers(FindOptions::default()).collect()).await;
    assert_eq!(more.len(), 3, "what is known, then why there is no more");
    assert!(more[0].is_ok() && more[1].is_ok() && more[2].is_err());

    let fresh = FindOptions {
        force_refresh: true,
        ..two_of
    };
    let fresh: Vec<_> = within("peers", peers(fresh).collect()).await;
    assert_eq!(fresh.len(), 1);
    assert!(fresh[0].is_err(), "{dead} is gone, and so is the other");

    discovery.clear_cache(None).await;
    assert_eq!(seeker.cached(scope("ns"), None).await, []);
}

#[derive(NetworkBehaviour)]
struct Both {
    client: Behaviour,
    server: rv_server::Behaviour,
}

#[tokio::test]
async fn a_point_may_be_a_client_in_the_same_swarm() {
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let key = Keypair::generate_ed25519();
        let client = Behaviour::new(key.clone(), quick()).expect("a good configuration");
        let handle = client.client();
        let server = own(120);
        let mut swarm = swarm(&key, Both { client, server });
        let address = listen(&mut swarm, loopback()).await;
        swarm.add_external_address(address.clone());
        nodes.push((Node::spawn(swarm), handle, address));
    }
    // Each registers at the other, so both are point and client on one connection.
    for (client, point) in [(0, 1), (1, 0)] {
        let (node, _, address) = &nodes[point];
        let handle = &nodes[client].1;
        let added = handle.add_point(node.peer, [address.clone()]).await;
        added.expect("there is room");
        let granted = within("grant", handle.register(namespace("ns"), ttl(600))).await;
        assert_eq!(granted.expect("granted")[0].point, node.peer);
    }
    for (point, registered) in [(0, 1), (1, 0)] {
        let (node, _, address) = &nodes[point];
        let listed = listed_at((node.peer, address.clone()), "ns").await;
        assert_eq!(listed, Some(vec![nodes[registered].0.peer]));
    }
}
