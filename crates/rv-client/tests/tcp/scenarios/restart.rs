//! A point that is killed and comes back with the same identity, and without its memory.

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use rv_client::rv_core::client::Discovered;
use rv_client::{Client, Discovery, Event, FindOptions};

use crate::support::*;

/// Everybody in `ns`, as both points list them now.
async fn find(client: &Client) -> Vec<libp2p::PeerId> {
    let fresh = FindOptions {
        force_refresh: true,
        ..FindOptions::default()
    };
    let discovery = Discovery::new(client.clone());
    let found = discovery.find_peers(namespace("ns"), fresh);
    let found: Vec<_> = within("peers", found.collect()).await;
    assert!(found.iter().all(Result::is_ok), "{found:?}");
    found.iter().flatten().map(Discovered::peer).collect()
}

#[tokio::test]
async fn registrations_are_back_at_a_point_that_lost_them_and_peers_are_found_all_the_while() {
    let key = Keypair::generate_ed25519();
    let mortal = Point::start(&key, own(120), loopback()).await;
    let steady = own_point(120).await;
    let there = (mortal.peer(), mortal.address.clone());
    let here = (steady.peer(), steady.address.clone());
    let (other, other_client) = client_of([here.clone()]).await;
    let granted = other_client.register(namespace("ns"), ttl(600));
    within("grant", granted).await.expect("granted");
    let (node, client) = client_of([there.clone(), here]).await;
    // Long ttls: no refresh comes before the end of the test.
    for name in ["ns", "second"] {
        let granted = within("grant", client.register(namespace(name), ttl(600))).await;
        granted.expect("granted");
    }
    let of = |event: &Event| matches!(event, Event::Registered(it) if it.point == there.0);
    eventually("both", async || (node.count(of) == 2).then_some(())).await;
    let _watch = client.watch(scope("ns")).await.expect("room");

    mortal.node.kill().await;
    let is_down =
        |event: &Event| matches!(event, Event::PointDown { point, .. } if *point == there.0);
    eventually("note of its death", async || {
        assert_eq!(find(&client).await, [other.peer]);
        (node.count(is_down) > 0).then_some(())
    })
    .await;

    let back = Point::start(&key, own(120), there.1.clone()).await;
    assert_eq!(back.peer(), there.0);
    for name in ["ns", "second"] {
        let listed = eventually("registration", async || {
            assert_eq!(find(&client).await, [other.peer]);
            let listed = listed_at(there.clone(), name).await?;
            (!listed.is_empty()).then_some(listed)
        });
        assert_eq!(listed.await, [node.peer]);
    }
    assert_eq!(node.count(of), 4, "each once");
}
