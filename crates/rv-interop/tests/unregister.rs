//! UNREGISTER, which has no answer: what it removes shows in the next listing.

use libp2p::PeerId;
use rv_interop::wire::{Discover, Register, hex, unregister};
use rv_interop::{Identity, ManualClock, Point, RawClient, Via};
use rv_server::Config;

const NAMESPACES: [&str; 3] = ["a", "b", "c"];

async fn start() -> (Point, RawClient, RawClient) {
    // With a journal writes take a while, so reading one's own writes is not a matter of course.
    let point = Point::with_clock(Config::default(), ManualClock::new()).await;
    let (alice, bob) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    for namespace in NAMESPACES {
        alice.register(namespace).await;
        bob.register(namespace).await;
    }
    (point, alice, bob)
}

/// Sends UNREGISTER and at once DISCOVER, and counts what is left of the sender's.
async fn left_after(client: &RawClient, payload: &[u8]) -> Vec<String> {
    let mut stream = client.open().await;
    stream.send(payload).await;
    let reply = stream.discover(&Discover::all()).await;
    let own = reply
        .entries
        .iter()
        .filter(|entry| entry.peer() == client.peer());
    own.map(|entry| entry.namespace.clone()).collect()
}

#[tokio::test]
async fn one_name_is_removed_with_the_own_id_or_without() {
    let (point, alice, bob) = start().await;
    let own = alice.peer().to_bytes();
    assert_eq!(
        left_after(&alice, &unregister(Some("a"), None)).await,
        ["b", "c"]
    );
    assert_eq!(
        left_after(&alice, &unregister(Some("b"), Some(&own))).await,
        ["c"]
    );
    assert_eq!(
        left_after(&alice, &unregister(Some("c"), Some(b""))).await,
        [""; 0]
    );
    assert_eq!(
        left_after(&bob, &unregister(Some("nobody's"), None)).await,
        NAMESPACES
    );
    assert_eq!(point.stats().await.registrations, 3);
}

#[tokio::test]
async fn an_id_of_somebody_else_removes_nothing() {
    let (point, alice, bob) = start().await;
    for id in [
        bob.peer().to_bytes(),
        PeerId::random().to_bytes(),
        b"no id".to_vec(),
    ] {
        for namespace in [Some("a"), Some(""), None] {
            let left = left_after(&alice, &unregister(namespace, Some(&id))).await;
            assert_eq!(left, NAMESPACES);
        }
    }
    let text = alice.peer().to_base58();
    let left = left_after(&alice, &unregister(Some("a"), Some(text.as_bytes()))).await;
    assert_eq!(left, NAMESPACES, "an id is bytes");
    assert_eq!(point.stats().await.registrations, 6);
}

#[tokio::test]
async fn no_name_means_all_of_the_peers_own() {
    for namespace in [Some(""), None] {
        let (point, alice, bob) = start().await;
        assert_eq!(
            left_after(&alice, &unregister(namespace, None)).await,
            [""; 0]
        );
        assert_eq!(
            left_after(&bob, &unregister(Some("nobody's"), None)).await,
            NAMESPACES
        );
        let stats = point.stats().await;
        assert_eq!((stats.registrations, stats.namespaces), (3, 3));
        let id = bob.peer().to_bytes();
        assert_eq!(
            left_after(&bob, &unregister(namespace, Some(&id))).await,
            [""; 0]
        );
        let stats = point.stats().await;
        assert_eq!(
            (stats.registrations, stats.namespaces, stats.record_bytes),
            (0, 0, 0)
        );
    }
}

/// As many as a peer may hold, which are more than the point applies in one go.
#[tokio::test]
async fn a_thousand_names_are_removed_as_one() {
    for point in [
        Point::in_memory(Config::default()).await,
        Point::with_clock(Config::default(), ManualClock::new()).await,
    ] {
        let client = RawClient::connect(&point).await;
        let mut stream = client.open().await;
        for index in 0..1_000 {
            let request = Register::new(&index.to_string(), client.identity().plain());
            stream.register_ok(&request).await;
        }
        assert_eq!(stream.discover(&Discover::all()).await.entries.len(), 1_000);
        assert_eq!(left_after(&client, &unregister(None, None)).await, [""; 0]);
        let stats = point.stats().await;
        assert_eq!(
            (stats.registrations, stats.namespaces, stats.unregisters),
            (0, 0, 1)
        );
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_removed_twice() {
    let (point, alice, _bob) = start().await;
    for bad in ["a", "a", &"n".repeat(256)] {
        assert_eq!(
            left_after(&alice, &unregister(Some(bad), None)).await,
            ["b", "c"]
        );
    }
    // A registration after it counts again.
    alice.register("a").await;
    assert_eq!(
        left_after(&alice, &unregister(Some("nobody's"), None)).await,
        ["b", "c", "a"]
    );
    assert_eq!(point.stats().await.unregisters_lost, 0);
}

#[tokio::test]
async fn the_frame_of_py_removes() {
    const PY_UNREGISTER: &str = "34080222300a066d792d61707012260024080112203b6a27bcceb6a42d62a3a8d0\
                                 2a6f0d73653215771de243a63ac048a18b59da29";
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect_as(&point, Identity::golden(), Via::Tcp).await;
    let mut stream = client.open().await;
    stream
        .register_ok(&Register::new("my-app", client.identity().legacy()))
        .await;
    stream
        .send_bytes(&hex(PY_UNREGISTER))
        .await
        .expect("the stream is open");
    assert_eq!(stream.peers("my-app").await, []);

    // From anybody else it is no business of theirs.
    client.register("my-app").await;
    let eve = RawClient::connect(&point).await;
    let mut of_eve = eve.open().await;
    of_eve
        .send_bytes(&hex(PY_UNREGISTER))
        .await
        .expect("the stream is open");
    assert_eq!(of_eve.peers("my-app").await, [client.peer()]);
}
