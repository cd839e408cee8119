//! Our client beside the published one, at a point of ours with its defaults.

use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p::rendezvous;
use libp2p::rendezvous::client::{Behaviour as StockClient, Event as StockEvent};
use rv_client::rv_proto::Request;

use crate::raw_point::RawPoint;
use crate::support::*;

fn sorted(peers: impl IntoIterator<Item = PeerId>) -> Vec<PeerId> {
    let mut peers: Vec<_> = peers.into_iter().collect();
    peers.sort();
    peers
}

/// The published client, registered in "ns".
async fn stock_client(point: &Point<rv_server::Behaviour>) -> Node<StockClient> {
    let key = Keypair::generate_ed25519();
    let node = Node::spawn(swarm(&key, StockClient::new(key.clone())));
    let (at, address) = (point.peer(), point.address.clone());
    node.with(move |swarm| {
        swarm.add_external_address(external());
        swarm.dial(address).expect("it is not dialled yet");
    })
    .await;
    eventually("connection", async || {
        let is_connected = node.with(move |swarm| swarm.is_connected(&at)).await;
        is_connected.then_some(())
    })
    .await;
    node.with(move |swarm| {
        let namespace = rendezvous::Namespace::from_static("ns");
        let registered = swarm.behaviour_mut().register(namespace, at, None);
        registered.expect("it has an address");
    })
    .await;
    eventually("grant", async || {
        let count = node.count(|event| matches!(event, StockEvent::Registered { .. }));
        (count == 1).then_some(())
    })
    .await;
    node
}

#[tokio::test]
async fn ours_and_the_stock_client_find_each_other_at_a_point_with_its_defaults() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (first, one) = client_of([at.clone()]).await;
    let (second, two) = client_of([at.clone()]).await;
    for client in [&one, &two] {
        let granted = within("grant", client.register(namespace("ns"), ttl(600))).await;
        assert_eq!(granted.expect("granted").len(), 1);
    }
    let stock = stock_client(&point).await;
    let all = sorted([first.peer, second.peer, stock.peer]);

    for (own, client) in [(first.peer, &one), (second.peer, &two)] {
        let found = within("listing", client.discover(scope("ns"), None)).await;
        let found = found.expect("the point answers");
        let found = sorted(found.peers.iter().map(|it| it.peer()));
        let others: Vec<_> = all.iter().copied().filter(|peer| *peer != own).collect();
        assert_eq!(found, others);
    }
    // Whose first request of all is a DISCOVER sees as much.
    let listed = listed_at(at.clone(), "ns").await.expect("an answer");
    assert_eq!(sorted(listed), all);

    let asked = at.0;
    stock
        .with(move |swarm| {
            let namespace = rendezvous::Namespace::from_static("ns");
            let stock = swarm.behaviour_mut();
            stock.discover(Some(namespace), None, None, asked);
        })
        .await;
    let sees = |event: &StockEvent| match event {
        StockEvent::Discovered { registrations, .. } => {
            let found = registrations.iter().map(|it| it.record.peer_id());
            sorted(found) == all
        }
        _ => false,
    };
    eventually("listing", async || (stock.count(sees) == 1).then_some(())).await;
}

#[tokio::test]
async fn the_extension_is_learnt_from_the_first_stream_where_nobody_runs_identify() {
    let point = own_point(120).await;
    let at = (point.peer(), point.address.clone());
    let (_node, client) = client_of([at]).await;
    assert!(!client.status().await.points[0].has_extension);
    let found = within("listing", client.discover(scope("ns"), None)).await;
    found.expect("the point answers");
    assert!(client.status().await.points[0].has_extension);
}

#[tokio::test]
async fn a_point_without_the_extension_is_spoken_to_plainly() {
    let mut point = RawPoint::start().await;
    let (_node, client) = client_of([point.at.clone()]).await;
    let asking = client.discover(scope("ns"), None);
    let answering = async {
        let mut stream = point.accept().await;
        let Request::Discover(request) = stream.request().await else {
            panic!("not a DISCOVER");
        };
        assert!(request.accepts.is_empty());
        drop(stream);
        assert!(!client.status().await.points[0].has_extension);

        let registering = client.register(namespace("ns"), ttl(600));
        let reading = async {
            let Request::Register(request) = point.accept().await.request().await else {
                panic!("not a REGISTER");
            };
            assert_eq!(request.counterpart, None);
        };
        tokio::select! {
            granted = registering => panic!("nobody answered: {granted:?}"),
            () = reading => {}
        }
    };
    let _ = within("end", async { futures::join!(asking, answering) }).await;
}
