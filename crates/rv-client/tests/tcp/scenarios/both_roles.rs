//! A swarm that is a point and registers at another one.

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use rv_client::Behaviour;

use crate::support::*;

#[derive(NetworkBehaviour)]
struct Both {
    client: Behaviour,
    server: rv_server::Behaviour,
}

#[tokio::test]
async fn a_point_registers_at_another_point_while_it_serves() {
    let upper = own_point(120).await;
    let upper_at = (upper.peer(), upper.address.clone());
    let key = Keypair::generate_ed25519();
    let client = Behaviour::new(key.clone(), quick()).expect("a good configuration");
    let handle = client.client();
    let server = own(120);
    let mut swarm = swarm(&key, Both { client, server });
    let address = listen(&mut swarm, loopback()).await;
    swarm.add_external_address(address.clone());
    let both = Node::spawn(swarm);
    let both_at = (both.peer, address.clone());
    let added = handle.add_point(upper_at.0, [upper_at.1.clone()]).await;
    added.expect("there is room");

    // Many register at the point while it registers itself.
    let mut served = Vec::new();
    for _ in 0..8 {
        served.push(client_of([both_at.clone()]).await);
    }
    let others = served
        .iter()
        .map(|(_, client)| client.register(namespace("ns"), ttl(600)));
    let upward = (0..8).map(|index| handle.register(namespace(&format!("up-{index}")), ttl(600)));
    let (others, upward) = within("grants", async {
        let others = futures::future::join_all(others);
        futures::join!(others, futures::future::join_all(upward))
    })
    .await;
    assert!(
        others.iter().chain(&upward).all(Result::is_ok),
        "{others:?} {upward:?}"
    );
    for grants in upward {
        assert_eq!(grants.expect("granted")[0].point, upper_at.0);
    }

    let mut listed = listed_at(both_at, "ns").await.expect("it serves");
    listed.sort();
    let mut registered: Vec<_> = served.iter().map(|(node, _)| node.peer).collect();
    registered.sort();
    assert_eq!(listed, registered);
    let (_seeker, seeker) = client_of([upper_at]).await;
    let found = within("listing", seeker.discover(scope("up-7"), None)).await;
    let found = found.expect("answered");
    assert_eq!(found.peers[0].peer(), both.peer);
    assert_eq!(found.peers[0].addresses(), [address], "where it serves");
}
