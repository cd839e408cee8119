//! What py's discovery makes of our listings: it takes a cookie for the sign that more follows, and
//! keeps it beside what it found, so only an empty one lets it ask for everybody again.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use libp2p::{Multiaddr, PeerId};
use rv_interop::wire::Register;
use rv_interop::{
    ForeignClient, Identity, Language, RawClient, RunningDaemon, Runtime, plain_record,
};

const NAMESPACE: &str = "my-app";
const TTL_SECS: u64 = 7_200;

type Peers = BTreeMap<PeerId, BTreeSet<Multiaddr>>;

/// Registers somebody with these addresses.
async fn register(point: &Multiaddr, addresses: &[Multiaddr]) -> PeerId {
    let client = RawClient::dial(point, Identity::new()).await;
    let encoded: Vec<_> = addresses.iter().map(Multiaddr::to_vec).collect();
    let record = plain_record(client.peer(), &encoded);
    let request = Register::new(NAMESPACE, record);
    client.open().await.register_ok(&request).await;
    client.peer()
}

async fn register_some(point: &Multiaddr, count: usize, addresses: &[Multiaddr]) -> Peers {
    // A point takes only so many new connections at a time.
    const AT_ONCE: usize = 8;
    let all = (0..count).map(|_| register(point, addresses));
    let peers: Vec<_> = stream::iter(all).buffer_unordered(AT_ONCE).collect().await;
    let addresses: BTreeSet<_> = addresses.iter().cloned().collect();
    let entry = |peer| (peer, addresses.clone());
    peers.into_iter().map(entry).collect()
}

async fn found(client: &mut ForeignClient, limit: usize) -> Peers {
    let found = client.find_peers(NAMESPACE, limit).await;
    found.expect("a listing").peers
}

#[tokio::test]
async fn everybody_is_found_again_when_what_was_found_has_expired() {
    let Some(runtime) = Runtime::find(Language::Py) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let own = ["/ip4/127.0.0.1/tcp/4001".parse().expect("an address")];
    let mut everybody = register_some(address, 3, &own).await;

    for is_registered in [false, true] {
        let mut client = runtime.connect(address).await;
        if is_registered {
            let granted = client.register(NAMESPACE, TTL_SECS).await;
            assert_eq!(granted, Ok(TTL_SECS));
            everybody.insert(client.peer(), client.addresses().clone());
        }
        for _ in 0..3 {
            assert_eq!(found(&mut client, 10).await, everybody);
            client.expire(NAMESPACE).await.expect("it was found");
        }
        client.end().await;
    }
    point.stop().await;
}

#[tokio::test]
async fn a_listing_in_pages_goes_round_and_round() {
    let Some(runtime) = Runtime::find(Language::Py) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let own = ["/ip4/127.0.0.1/tcp/4001".parse().expect("an address")];
    let everybody = register_some(address, 3, &own).await;
    let mut client = runtime.connect(address).await;
    for _ in 0..2 {
        let first = found(&mut client, 2).await;
        assert_eq!(first.len(), 2);
        client.expire(NAMESPACE).await.expect("it was found");
        let second = found(&mut client, 2).await;
        assert_eq!(second.len(), 1);
        client.expire(NAMESPACE).await.expect("it was found");
        let both: Peers = first.into_iter().chain(second).collect();
        assert_eq!(both, everybody);
    }
    client.end().await;
    point.stop().await;
}

#[tokio::test]
async fn a_page_of_large_records_is_not_taken_for_the_last_one() {
    // Above the bytes of a page for other readers, and below the count of one.
    const RECORDS: usize = 300;
    let Some(runtime) = Runtime::find(Language::Py) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let domain = ["a".repeat(60).as_str(); 4].join(".");
    let long = |port| format!("/dns4/{domain}/tcp/{port}").parse::<Multiaddr>();
    let long: Vec<_> = (1..=15)
        .map(|port| long(port).expect("an address"))
        .collect();
    let everybody = register_some(address, RECORDS, &long).await;
    let mut client = runtime.connect(address).await;
    let listed = client.find_all_peers(NAMESPACE).await;
    assert_eq!(listed.expect("a listing").peers, everybody);
    client.end().await;
    point.stop().await;
}
