//! Addresses that change, and points that are added and removed at run time.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::Multiaddr;
use rv_client::rv_core::client::{ClientConfig, GoneReason};
use rv_client::{Config, Event, WatchEvent};

use crate::support::*;

fn address(port: u16) -> Multiaddr {
    format!("/ip4/203.0.113.8/tcp/{port}")
        .parse()
        .expect("a good address")
}

#[tokio::test]
async fn an_address_change_is_registered_once_in_each_namespace_at_each_point() {
    let points = [own_point(120).await, own_point(120).await];
    let ats = points.each_ref().map(|it| (it.peer(), it.address.clone()));
    let names = ["one", "two", "three"];
    let config = Config {
        client: ClientConfig {
            address_debounce: Duration::from_millis(300),
            ..quick().client
        },
        ..quick()
    };
    let (node, client) = client_of_with(config, ats.clone()).await;
    for name in names {
        let granted = within("grant", client.register(namespace(name), ttl(600))).await;
        granted.expect("granted");
    }
    eventually("grants everywhere", async || {
        (node.count(is_registered) == 6).then_some(())
    })
    .await;

    // One move is several changes: old ones go, new ones come one by one.
    node.with(|swarm| {
        swarm.add_external_address(address(1));
        swarm.remove_external_address(&external());
        swarm.add_external_address(address(2));
        swarm.remove_external_address(&address(1));
    })
    .await;
    for at in ats.clone() {
        let (_seeker, seeker) = client_of([at.clone()]).await;
        for name in names {
            eventually("new address", async || {
                let found = seeker.discover(scope(name), None).await.ok()?;
                (found.peers.first()?.addresses() == [address(2)]).then_some(())
            })
            .await;
        }
    }
    for (point, _) in ats {
        for name in names {
            let of = |event: &Event| match event {
                Event::Registered(it) => it.point == point && it.namespace == namespace(name),
                _ => false,
            };
            assert_eq!(node.count(of), 2, "{name} at {point}");
        }
    }
    let status = client.status().await;
    assert_eq!(status.registrations.len(), 6);
    for it in status.registrations {
        let (until, next_at) = (it.until.expect("it stands"), it.next_at.expect("refreshed"));
        // At 13/16 of the ttl at the earliest, which are not whole seconds.
        assert!(until.saturating_since(next_at) <= Duration::from_secs(600) * 3 / 16);
    }
}

#[tokio::test]
async fn a_point_that_is_added_later_is_used_and_one_that_is_removed_is_not() {
    let (first, second) = (own_point(120).await, own_point(120).await);
    let first_at = (first.peer(), first.address.clone());
    let second_at = (second.peer(), second.address.clone());
    let (other, other_client) = client_of([second_at.clone()]).await;
    let granted = other_client.register(namespace("ns"), ttl(600));
    within("grant", granted).await.expect("granted");

    let (node, client) = client_of([first_at.clone()]).await;
    let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");
    let mut watch = client.watch(scope("ns")).await.expect("room");
    let listed = listed_at(first_at.clone(), "ns").await;
    assert_eq!(listed, Some(vec![node.peer]));

    let added = client.add_point(second_at.0, [second_at.1.clone()]).await;
    added.expect("there is room");
    let event = within("event", watch.next()).await;
    assert!(matches!(event, Some(WatchEvent::Joined(it)) if it.peer() == other.peer));
    let of = |event: &Event| matches!(event, Event::Registered(it) if it.point == second_at.0);
    eventually("grant at the new point", async || {
        (node.count(of) == 1).then_some(())
    })
    .await;

    client.point(second_at.0).close().await;
    let gone = WatchEvent::Gone {
        namespace: namespace("ns"),
        peer: other.peer,
        reason: GoneReason::PointRemoved,
    };
    assert_eq!(within("event", watch.next()).await, Some(gone));
    let status = client.status().await;
    let left: Vec<_> = status.points.iter().map(|it| it.point).collect();
    assert_eq!(left, [first_at.0]);
    assert_eq!(status.registrations.len(), 1);
    assert_eq!(status.registrations[0].point, first_at.0);
    assert_eq!(status.watches.len(), 1);
    let found = within("listing", client.discover(scope("ns"), None)).await;
    assert_eq!(found.expect("answered").peers, [], "nobody but itself");
    // Nothing was unregistered.
    let listed = listed_at(second_at, "ns").await.expect("it answers");
    assert!(listed.contains(&node.peer));
}
