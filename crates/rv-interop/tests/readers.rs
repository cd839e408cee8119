//! How a point finds out what a reader reads that never registered.

use libp2p::PeerId;
use rv_interop::wire::{Discover, Register, bytes, number};
use rv_interop::{Point, RawClient, RawStream, Stock, eventually};
use rv_server::Config;
use rv_server::rv_core::{Agents, Rules};
use rv_server::rv_proto::Dialect;

const NAMESPACE: &str = "my-app";

/// A point whose readers wait for identify, and get `dialect_default` if nothing is known.
async fn point(dialect_default: Dialect) -> Point {
    let mut agents = Agents::default();
    agents.insert("my-nim-app".to_owned(), Dialect::Standard);
    let rules = Rules {
        dialect_default,
        agents,
        identify_wait: Rules::IDENTIFY_WAIT_MAX,
        ..Rules::default()
    };
    Point::in_memory(Config {
        rules,
        ..Config::default()
    })
    .await
}

/// Registers a legacy and a standard record, and says whose they are.
async fn register_both(point: &Point) -> [PeerId; 2] {
    let (legacy, standard) = (
        RawClient::connect(point).await,
        RawClient::connect(point).await,
    );
    for (client, record) in [
        (&legacy, legacy.identity().legacy()),
        (&standard, standard.identity().standard()),
    ] {
        let request = Register::new(NAMESPACE, record);
        client.open().await.register_ok(&request).await;
    }
    [legacy.peer(), standard.peer()]
}

async fn listed(stream: &mut RawStream) -> Vec<(PeerId, &'static str)> {
    let reply = stream.discover(&Discover::new(NAMESPACE)).await;
    let entries = reply.entries.iter();
    entries.map(|it| (it.peer(), it.dialect())).collect()
}

/// What a reader of `dialect` is shown of those two.
fn shown([legacy, standard]: [PeerId; 2], dialect: &str) -> Vec<(PeerId, &'static str)> {
    match dialect {
        "legacy" => vec![(legacy, "legacy")],
        "standard" => vec![(standard, "standard")],
        _ => vec![(legacy, "plain"), (standard, "plain")],
    }
}

#[tokio::test]
async fn a_stock_client_that_never_registered_is_known_by_how_it_closes_its_stream() {
    // Where the default would break all that it asks for.
    let point = point(Dialect::Plain).await;
    let [legacy, _] = register_both(&point).await;
    let mut stock = Stock::connect(&point).await;
    for _ in 0..3 {
        assert_eq!(stock.peers(Some(NAMESPACE)).await, [legacy]);
    }
    let (registrations, cookie) = stock
        .discover(Some(NAMESPACE), None, None)
        .await
        .expect("read");
    assert_eq!(registrations.len(), 1);
    let (news, _) = stock
        .discover(Some(NAMESPACE), Some(cookie), None)
        .await
        .expect("read");
    assert_eq!(news.len(), 0, "its cookie goes on");
    let decided = point.stats().await.dialects_decided;
    assert_eq!(decided.get("closed"), Some(&5));
    assert_eq!(decided.len(), 1);
}

#[tokio::test]
async fn the_first_answer_is_as_identify_says() {
    let point = point(Dialect::Legacy).await;
    let peers = register_both(&point).await;
    for (agent, record, dialect) in [
        ("py-libp2p/0.8.1", None, "plain"),
        (
            "github.com/libp2p/go-libp2p",
            Some(Dialect::Standard),
            "plain",
        ),
        ("nim-libp2p", None, "standard"),
        ("my-nim-app/2", None, "standard"),
        ("my-app/2", Some(Dialect::Standard), "standard"),
        ("nim-libp2p", Some(Dialect::Legacy), "legacy"),
        ("my-app/2", None, "legacy"),
    ] {
        let client = RawClient::connect(&point).await;
        let mut stream = client.open().await;
        let peer = client.peer();
        let identified = point.with(move |behaviour| behaviour.on_identified(peer, agent, record));
        let (entries, ()) = futures::join!(listed(&mut stream), identified);
        assert_eq!(entries, shown(peers, dialect), "{agent} {record:?}");

        // Nor is another connection of the same peer asked who it is.
        let own = client.identity().clone();
        let again = RawClient::connect_as(&point, own, rv_interop::Via::Quic).await;
        let entries = listed(&mut again.open().await).await;
        assert_eq!(entries, shown(peers, dialect), "{agent} {record:?}");
    }
}

#[tokio::test]
async fn what_identify_says_later_corrects_a_guess_and_nothing_is_lost() {
    let point = Point::in_memory(Config::default()).await;
    let peers = register_both(&point).await;
    let client = RawClient::connect(&point).await;
    let mut stream = client.open().await;
    let request = Discover::new(NAMESPACE);
    let guessed = stream.discover(&request).await;
    assert_eq!(guessed.peers(), [peers[0]], "the default is legacy");

    let peer = client.peer();
    point
        .with(move |behaviour| behaviour.on_identified(peer, "go-libp2p", None))
        .await;
    let go_on = request.with_cookie(guessed.cookie());
    let corrected = eventually("news of identify", async || {
        let reply = stream.discover(&go_on).await;
        (!reply.entries.is_empty()).then_some(reply)
    })
    .await;
    assert_eq!(corrected.peers(), peers, "all of them, as plain records");
    let rest = Discover::new(NAMESPACE).with_cookie(corrected.cookie());
    assert_eq!(stream.discover(&rest).await.peers(), []);

    // Its cookie tells as much to a connection on which nothing is known.
    let unknown = RawClient::connect(&point).await;
    let reply = unknown.open().await.discover(&rest).await;
    assert_eq!(reply.peers(), []);
    let decided = point.stats().await.dialects_decided;
    assert_eq!(decided.get("cookie"), Some(&1));
    assert!(decided.contains_key("agent") && decided.contains_key("default"));
}

#[tokio::test]
async fn a_reader_is_known_by_requests_that_only_go_and_py_make() {
    let point = Point::in_memory(Config::default()).await;
    let peers = register_both(&point).await;
    let client = RawClient::connect(&point).await;
    let mut stream = client.open().await;
    assert_eq!(listed(&mut stream).await, shown(peers, "legacy"));
    // With the peer's own id, which all others leave out.
    let id = [bytes(1, b"elsewhere"), bytes(2, &client.peer().to_bytes())].concat();
    stream.send(&[number(1, 2), bytes(4, &id)].concat()).await;
    assert_eq!(listed(&mut stream).await, shown(peers, "plain"));
}

#[tokio::test]
async fn nobody_who_is_unknown_for_good_waits_for_good() {
    let point = point(Dialect::Standard).await;
    let peers = register_both(&point).await;
    let client = RawClient::connect(&point).await;
    let mut stream = client.open().await;
    for _ in 0..2 {
        assert_eq!(listed(&mut stream).await, shown(peers, "standard"));
    }
    let stats = point.stats().await;
    assert_eq!(stats.discovers_held, 1, "only the first one waits");
    assert_eq!(stats.dialects_decided.get("default"), Some(&2));
}
