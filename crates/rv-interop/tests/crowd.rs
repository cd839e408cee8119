//! Many peers at the same time.

use std::collections::BTreeSet;

use futures::future::join_all;
use libp2p::PeerId;
use rv_interop::wire::{Discover, Register, unregister};
use rv_interop::{Identity, ManualClock, Point, RawClient, Via};
use rv_server::Config;
use rv_server::rv_core::Limits;

const PEERS: usize = 12;

async fn crowd(point: &Point) -> Vec<RawClient> {
    let connect = |index: usize| {
        let via = Via::ALL[index % Via::ALL.len()];
        RawClient::connect_as(point, Identity::new(), via)
    };
    join_all((0..PEERS).map(connect)).await
}

/// Everything that is listed, page by page.
async fn listing(point: &Point) -> BTreeSet<(String, PeerId)> {
    let reader = RawClient::connect(point).await;
    let mut stream = reader.open().await;
    let (mut all, mut cookie) = (BTreeSet::new(), Vec::new());
    loop {
        let request = Discover::all().with_limit(7).with_cookie(&cookie);
        let page = stream.discover(&request).await;
        if page.entries.is_empty() {
            return all;
        }
        for entry in &page.entries {
            let is_new = all.insert((entry.namespace.clone(), entry.peer()));
            assert!(is_new, "listed twice, and nobody has refreshed");
        }
        cookie = page.cookie().to_vec();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_peers_get_no_more_places_than_there_are() {
    const PLACES: usize = 50;
    const WANTED: usize = 10;
    let limits = Limits {
        registrations_total: PLACES,
        ..Limits::default()
    };
    let point = Point::with_clock(
        Config {
            limits,
            ..Config::default()
        },
        ManualClock::new(),
    )
    .await;
    let clients = crowd(&point).await;
    let register = async |client: &RawClient| {
        let mut stream = client.open().await;
        let mut granted = BTreeSet::new();
        for index in 0..WANTED {
            let request = Register::new(&index.to_string(), client.identity().legacy());
            stream.send(&request.payload()).await;
        }
        for index in 0..WANTED {
            let reply = stream.reply().await.into_register();
            assert!([0, 400].contains(&reply.status), "{}", reply.text);
            if reply.status == 0 {
                granted.insert((index.to_string(), client.peer()));
            }
        }
        granted
    };
    let granted: BTreeSet<_> = join_all(clients.iter().map(register))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(granted.len(), PLACES);
    assert_eq!(listing(&point).await, granted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_peer_did_last_is_what_is_listed() {
    const ROUNDS: usize = 40;
    let point = Point::with_clock(Config::default(), ManualClock::new()).await;
    let clients = crowd(&point).await;
    let live = async |(index, client): (usize, &RawClient)| {
        let mut stream = client.open().await;
        let mut held = BTreeSet::new();
        for round in 0..ROUNDS {
            let step = index * 7 + round * 5;
            let namespace = (step % 4).to_string();
            if step % 3 == 0 {
                stream.send(&unregister(Some(&namespace), None)).await;
                held.remove(&(namespace.clone(), client.peer()));
            } else {
                let request = Register::new(&namespace, client.identity().legacy());
                stream.register_ok(&request).await;
                held.insert((namespace.clone(), client.peer()));
            }
            let is_listed = stream.peers(&namespace).await.contains(&client.peer());
            assert_eq!(
                is_listed,
                held.contains(&(namespace, client.peer())),
                "its own write"
            );
        }
        held
    };
    let held = join_all(clients.iter().enumerate().map(live)).await;
    let held: BTreeSet<_> = held.into_iter().flatten().collect();
    assert!(
        held.len() > PEERS,
        "{} registrations are no test",
        held.len()
    );
    assert_eq!(listing(&point).await, held);
    assert_eq!(point.stats().await.registrations, held.len());
}
