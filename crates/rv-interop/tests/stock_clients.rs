//! Stock clients of go, py and js, with that of rust, at one point of ours.
//!
//! Who sees whom, once it is registered itself: readers of py see everybody, since a signed record
//! loses its signature for them. Readers of js see js alone and readers of rust see rust alone:
//! nobody but the peer itself can sign its record the other way.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::{Multiaddr, PeerId};
use rv_interop::{
    ForeignClient, ForeignPage, Identity, Language, RunningDaemon, Runtime, Stock, eventually,
};

const NAMESPACE: &str = "my-app";
const TTL_SECS: u64 = 7_200;

async fn connected(runtime: &Runtime, point: &Multiaddr) -> ForeignClient {
    let mut client = runtime.connect(point).await;
    let granted = client.register(NAMESPACE, TTL_SECS).await;
    assert_eq!(granted, Ok(TTL_SECS));
    client
}

fn who(clients: &[&ForeignClient]) -> BTreeMap<PeerId, BTreeSet<Multiaddr>> {
    let entry = |client: &&ForeignClient| (client.peer(), client.addresses().clone());
    clients.iter().map(entry).collect()
}

/// An UNREGISTER has no answer, so the listing shows when it was read.
async fn sees_only(reader: &mut ForeignClient, expected: BTreeMap<PeerId, BTreeSet<Multiaddr>>) {
    let what = "listing without who left";
    eventually(what, async || {
        let page = reader.discover(NAMESPACE).await.expect("a page");
        (page.peers == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn py_clients_find_each_other_page_and_leave() {
    let Some(runtime) = Runtime::find(Language::Py) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let mut first = connected(&runtime, address).await;
    let mut second = connected(&runtime, address).await;

    let page = first.discover(NAMESPACE).await.expect("a page");
    assert_eq!(page.peers, who(&[&first, &second]));

    let one = first.discover_from(NAMESPACE, 1, "").await.expect("a page");
    assert_eq!(one.peers.len(), 1, "the limit holds");
    let rest = first.discover_from(NAMESPACE, 1, &one.cookie).await;
    let rest = rest.expect("a page");
    let both: BTreeMap<_, _> = one.peers.into_iter().chain(rest.peers).collect();
    assert_eq!(both, who(&[&first, &second]));

    assert_eq!(second.unregister(NAMESPACE).await, Ok(()));
    let left = who(&[&first]);
    sees_only(&mut first, left).await;

    let refused = first.register("", TTL_SECS).await.expect_err("refused");
    assert!(refused.starts_with("InvalidNamespaceError"), "{refused}");
    first.end().await;
    second.end().await;
    point.stop().await;
}

#[tokio::test]
async fn go_clients_find_each_other_refresh_page_and_leave() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let mut first = connected(&runtime, address).await;
    let second = connected(&runtime, address).await;
    let mut third = connected(&runtime, address).await;
    let everybody = who(&[&first, &second, &third]);

    let mut pages = Vec::new();
    let mut cookie = String::new();
    for _ in 0..=everybody.len() {
        let page = first.discover_from(NAMESPACE, 1, &cookie).await;
        let page = page.expect("a page");
        cookie.clone_from(&page.cookie);
        pages.push(page.peers);
    }
    assert_eq!(pages.pop(), Some(BTreeMap::new()), "the last one is empty");
    assert!(pages.iter().all(|page| page.len() == 1), "{pages:?}");
    let paged: BTreeMap<_, _> = pages.into_iter().flatten().collect();
    assert_eq!(paged, everybody, "each of them once");

    // A refresh is news behind that cookie, and no second entry.
    assert_eq!(third.register(NAMESPACE, 600).await, Ok(600));
    let news = first.discover_from(NAMESPACE, 0, &cookie).await;
    let news = news.expect("a page");
    assert_eq!(news.peers, who(&[&third]));
    let page = first.discover(NAMESPACE).await.expect("a page");
    assert_eq!(page.peers, everybody);

    assert_eq!(third.unregister(NAMESPACE).await, Ok(()));
    let left = who(&[&first, &second]);
    sees_only(&mut first, left).await;
    let refused = first.register("", TTL_SECS).await.expect_err("refused");
    assert!(refused.contains("E_INVALID_NAMESPACE"), "{refused}");
    for client in [first, second, third] {
        client.end().await;
    }
    point.stop().await;
}

#[tokio::test]
async fn a_go_discovery_adds_newcomers_to_those_whom_it_knows() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let first = connected(&runtime, address).await;
    let mut reader = runtime.connect(address).await;
    let found = reader.find_peers(NAMESPACE, 10).await.expect("a listing");
    assert_eq!(found.peers, who(&[&first]));
    // It asks for news alone, by the cookie that it keeps.
    let second = connected(&runtime, address).await;
    for _ in 0..2 {
        let found = reader.find_peers(NAMESPACE, 10).await.expect("a listing");
        assert_eq!(found.peers, who(&[&first, &second]));
    }
    for client in [first, second, reader] {
        client.end().await;
    }
    point.stop().await;
}

#[tokio::test]
async fn a_go_subscriber_is_told_of_a_rust_client() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let mut subscriber = runtime.connect(address).await;
    assert_eq!(subscriber.subscribe(NAMESPACE).await, Ok(()));
    let identity = Identity::new();
    let mut client = Stock::dial(address, &identity, &identity).await;
    let granted = client.register(NAMESPACE, Some(TTL_SECS)).await;
    assert_eq!(granted, Ok(TTL_SECS));
    let joined = subscriber.next(NAMESPACE).await.expect("somebody").peers;
    let own = BTreeSet::from([identity.address()]);
    assert_eq!(joined, [(identity.peer(), own)].into());
    subscriber.end().await;
    point.stop().await;
}

#[tokio::test]
async fn js_clients_find_each_other_and_leave() {
    let Some(runtime) = Runtime::find(Language::Js) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let mut first = connected(&runtime, address).await;
    let mut second = connected(&runtime, address).await;

    let refused = first.register("short", 60).await;
    assert_eq!(refused, Err("Error: E_INVALID_TTL".to_owned()));
    // js leaves itself out of what it finds.
    let seen = |page: Result<ForeignPage, String>| page.expect("a page").peers;
    assert_eq!(seen(first.discover(NAMESPACE).await), who(&[&second]));
    assert_eq!(seen(second.discover(NAMESPACE).await), who(&[&first]));

    assert_eq!(second.unregister(NAMESPACE).await, Ok(()));
    sees_only(&mut first, BTreeMap::new()).await;
    first.end().await;
    second.end().await;
    point.stop().await;
}

#[tokio::test]
async fn py_sees_everybody_and_js_and_rust_see_their_own() {
    let (Some(py), Some(js)) = (Runtime::find(Language::Py), Runtime::find(Language::Js)) else {
        return;
    };
    let point = RunningDaemon::for_every_language().await;
    let address = &point.addresses()[0];
    let mut py_client = connected(&py, address).await;
    let mut js_client = connected(&js, address).await;
    let js_other = connected(&js, address).await;
    let identity = Identity::new();
    let mut rust_client = Stock::dial(address, &identity, &identity).await;
    let granted = rust_client.register(NAMESPACE, Some(TTL_SECS)).await;
    assert_eq!(granted, Ok(TTL_SECS));

    let page = py_client.discover(NAMESPACE).await.expect("a page");
    let mut everybody = who(&[&py_client, &js_client, &js_other]);
    everybody.insert(identity.peer(), BTreeSet::from([identity.address()]));
    assert_eq!(page.peers, everybody);

    let page = js_client.discover(NAMESPACE).await.expect("a page");
    assert_eq!(page.peers, who(&[&js_other]));
    assert_eq!(rust_client.peers(Some(NAMESPACE)).await, [identity.peer()]);
    for client in [py_client, js_client, js_other] {
        client.end().await;
    }
    point.stop().await;
}
