//! The published rust client against a point, over every transport.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::rendezvous::ErrorCode;
use rv_interop::wire::Register;
use rv_interop::{Identity, ManualClock, Point, RawClient, Stock, Via, eventually};
use rv_server::Config;
use rv_server::rv_core::{Limits, Rules};
use rv_server::rv_proto::Ttl;

/// Everything that a stock client does in its life.
async fn live(via: Via) {
    let point = Point::in_memory(Config::default()).await;
    let connect = async || Stock::connect_as(&point, &Identity::new(), via).await;
    let (mut alice, mut bob, mut carol) = (connect().await, connect().await, connect().await);
    let mut dave = connect().await;

    assert_eq!(alice.register("my-app", None).await, Ok(7_200));
    assert_eq!(alice.register("other-app", Some(120)).await, Ok(120));
    assert_eq!(bob.register("my-app", Some(259_200)).await, Ok(259_200));

    // Carol never registers.
    let (found, news) = carol
        .discover(Some("my-app"), None, None)
        .await
        .expect("a page");
    let peers: Vec<_> = found.iter().map(|found| found.record.peer_id()).collect();
    assert_eq!(peers, [alice.peer(), bob.peer()]);
    assert!(
        found
            .iter()
            .all(|found| found.namespace.to_string() == "my-app")
    );
    assert!(
        found
            .iter()
            .all(|found| found.record.addresses() == [Identity::new().address()])
    );
    assert_eq!(
        news.namespace().map(ToString::to_string).as_deref(),
        Some("my-app")
    );
    assert_eq!(
        carol.peers(None).await,
        [alice.peer(), alice.peer(), bob.peer()]
    );
    assert_eq!(carol.peers(Some("nobody's")).await, []);

    page_one_by_one(&mut carol).await;

    // News.
    let (none, news) = carol
        .discover(Some("my-app"), Some(news), None)
        .await
        .expect("a page");
    assert!(none.is_empty());
    assert_eq!(dave.register("my-app", None).await, Ok(7_200));
    let (found, _) = carol
        .discover(Some("my-app"), Some(news), None)
        .await
        .expect("a page");
    assert_eq!(found.len(), 1, "only the new one");
    assert_eq!(found[0].record.peer_id(), dave.peer());

    // Unregistering has no answer, so it is done when it shows.
    alice.unregister("my-app");
    eventually("unregistered peer", async || {
        let peers = alice.peers(Some("my-app")).await;
        (peers == [bob.peer(), dave.peer()]).then_some(())
    })
    .await;
    assert_eq!(
        alice.peers(Some("other-app")).await,
        [alice.peer()],
        "the other one stays"
    );
}

/// Reads the listing of three registrations in pages of one.
async fn page_one_by_one(reader: &mut Stock) {
    let (first, cookie) = reader.discover(None, None, Some(1)).await.expect("page 1");
    let (second, cookie) = reader
        .discover(None, Some(cookie), Some(1))
        .await
        .expect("page 2");
    let (third, cookie) = reader
        .discover(None, Some(cookie), Some(1))
        .await
        .expect("page 3");
    let (fourth, cookie) = reader
        .discover(None, Some(cookie), Some(1))
        .await
        .expect("page 4");
    let names = |page: &[libp2p::rendezvous::Registration]| {
        page.iter()
            .map(|found| found.namespace.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        [names(&first), names(&second), names(&third), names(&fourth)],
        [vec!["my-app"], vec!["other-app"], vec!["my-app"], vec![]]
    );
    assert_eq!(cookie.namespace(), None);
}

#[tokio::test]
async fn a_stock_client_lives_over_tcp() {
    live(Via::Tcp).await;
}

#[tokio::test]
async fn a_stock_client_lives_over_quic() {
    live(Via::Quic).await;
}

#[tokio::test]
async fn a_stock_client_lives_over_websocket() {
    live(Via::WebSocket).await;
}

#[tokio::test]
async fn a_stock_client_is_told_why_it_is_refused() {
    let limits = Limits {
        registrations_per_peer: 1,
        ..Limits::default()
    };
    let point = Point::in_memory(Config {
        limits,
        ..Config::default()
    })
    .await;

    let (eve, alice) = (Identity::new(), Identity::new());
    let mut foreign = Stock::dial(point.address(Via::Tcp), &eve, &alice).await;
    assert_eq!(
        foreign.register("my-app", None).await,
        Err(ErrorCode::NotAuthorized)
    );

    let mut client = Stock::connect(&point).await;
    for ttl in [0, 1, 119, 259_201, u64::MAX] {
        assert_eq!(
            client.register("my-app", Some(ttl)).await,
            Err(ErrorCode::InvalidTtl),
            "{ttl}"
        );
    }
    assert_eq!(client.peers(None).await, [], "no refusal left a trace");

    assert_eq!(client.register("my-app", None).await, Ok(7_200));
    assert_eq!(
        client.register("other-app", None).await,
        Err(ErrorCode::Unavailable)
    );
    assert_eq!(
        client.register("my-app", Some(120)).await,
        Ok(120),
        "a refresh takes no place"
    );
    assert_eq!(client.peers(None).await, [client.peer()]);
}

#[tokio::test]
async fn a_cookie_of_another_namespace_is_refused_and_one_of_another_point_is_not() {
    let point = Point::in_memory(Config::default()).await;
    let elsewhere = Point::with_clock(Config::default(), ManualClock::new()).await;
    let (mut client, mut abroad) = (
        Stock::connect(&point).await,
        Stock::connect(&elsewhere).await,
    );
    client.register("my-app", None).await.expect("granted");

    let (_, all) = client.discover(None, None, None).await.expect("a page");
    let refused = client
        .discover(Some("my-app"), Some(all), None)
        .await
        .map(drop);
    assert_eq!(refused, Err(ErrorCode::InvalidCookie));

    let (_, foreign) = abroad
        .discover(Some("my-app"), None, None)
        .await
        .expect("a page");
    let (listed, _) = client
        .discover(Some("my-app"), Some(foreign), None)
        .await
        .expect("a page");
    assert_eq!(listed.len(), 1, "the full listing");
}

#[tokio::test]
async fn a_refresh_keeps_one_entry_and_its_ttl_counts() {
    let clock = ManualClock::new();
    let point = Point::with_clock(Config::default(), clock.clone()).await;
    let (mut alice, mut bob) = (Stock::connect(&point).await, Stock::connect(&point).await);

    assert_eq!(alice.register("my-app", Some(7_200)).await, Ok(7_200));
    let (found, cookie) = bob
        .discover(Some("my-app"), None, None)
        .await
        .expect("a page");
    assert_eq!(found[0].ttl, 7_200);

    clock.advance(Duration::from_secs(1_000));
    let (found, _) = bob
        .discover(Some("my-app"), None, None)
        .await
        .expect("a page");
    assert_eq!(found[0].ttl, 6_200, "what is left of it");

    assert_eq!(alice.register("my-app", Some(3_600)).await, Ok(3_600));
    let (found, _) = bob
        .discover(Some("my-app"), None, None)
        .await
        .expect("a page");
    assert_eq!(
        found.iter().map(|found| found.ttl).collect::<Vec<_>>(),
        [3_600]
    );
    let (news, cookie) = bob
        .discover(Some("my-app"), Some(cookie), None)
        .await
        .expect("a page");
    assert_eq!(news.len(), 1, "pollers learn the new deadline");
    let (news, _) = bob
        .discover(Some("my-app"), Some(cookie), None)
        .await
        .expect("a page");
    assert!(news.is_empty(), "and learn it once");

    clock.advance(Duration::from_millis(3_599_999));
    let (found, _) = bob
        .discover(Some("my-app"), None, None)
        .await
        .expect("a page");
    assert_eq!(found[0].ttl, 1, "never 0");
    clock.advance(Duration::from_millis(1));
    assert_eq!(bob.peers(Some("my-app")).await, [], "expired");
    assert_eq!(bob.peers(None).await, []);

    assert_eq!(alice.register("my-app", None).await, Ok(7_200));
    assert_eq!(
        bob.peers(Some("my-app")).await,
        [alice.peer()],
        "and back again"
    );
}

#[tokio::test]
async fn a_registration_ends_by_the_systems_clock() {
    let rules = Rules {
        ttl_min: Ttl::MIN,
        ..Rules::default()
    };
    let point = Point::in_memory(Config {
        rules,
        ..Config::default()
    })
    .await;
    let mut client = Stock::connect(&point).await;

    assert_eq!(client.register("brief", Some(1)).await, Ok(1));
    assert_eq!(client.register("long", Some(7_200)).await, Ok(7_200));
    eventually("expiry", async || {
        client.peers(Some("brief")).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(client.peers(None).await, [client.peer()]);
    eventually("erasure", async || {
        let stats = point.stats().await;
        (stats.registrations == 1 && stats.namespaces == 1 && stats.erased == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hundred_requests_at_once_on_one_connection_are_all_answered() {
    const AT_ONCE: usize = 100; // as many as the client has open at the most
    for via in [Via::Tcp, Via::Quic] {
        let point = Point::in_memory(Config::default()).await;
        let mut client = Stock::connect_as(&point, &Identity::new(), via).await;
        client.register("my-app", None).await.expect("granted");

        for _ in 0..AT_ONCE {
            client.ask(Some("my-app"), None, None);
        }
        for _ in 0..AT_ONCE {
            let (found, _) = client.discovered().await.expect("a page");
            assert_eq!(found.len(), 1);
        }
        assert_eq!(point.stats().await.streams_refused, 0);
    }
}

/// 600 records are more than 1 MiB, which the stock client reads in no one answer.
#[tokio::test]
async fn a_listing_above_a_mebibyte_comes_complete_in_pages() {
    const PEERS: usize = 600;
    const ADDRESSES: usize = 16;
    const STOCK_BYTES_MAX: usize = 1 << 20;
    let point = Point::in_memory(Config::default()).await;
    let address = |index: usize| {
        let host = format!(
            "{index:02}-{}.example",
            "relay-with-a-rather-long-name".repeat(4)
        );
        let address: libp2p::Multiaddr = format!("/dns/{host}/tcp/4001").parse().expect("one");
        address.to_vec()
    };
    let addresses: Vec<_> = (0..ADDRESSES).map(address).collect();

    let mut registered = BTreeMap::new();
    for seq in 0..PEERS {
        let client = RawClient::connect(&point).await;
        let record = client.identity().legacy_of(seq as u64, &addresses);
        client
            .open()
            .await
            .register_ok(&Register::new("my-app", record.clone()))
            .await;
        registered.insert(client.peer(), (seq as u64, record.len()));
    }
    let record_bytes: usize = registered.values().map(|(_, bytes)| bytes).sum();
    assert!(
        record_bytes > STOCK_BYTES_MAX,
        "{record_bytes} bytes are no test"
    );

    for via in [Via::Tcp, Via::Quic] {
        let mut reader = Stock::connect_as(&point, &Identity::new(), via).await;
        let (mut cookie, mut pages, mut found) = (None, Vec::new(), BTreeMap::new());
        loop {
            let page = reader.discover(Some("my-app"), cookie, None).await;
            let (registrations, next) = page.expect("a page that the stock client can read");
            if registrations.is_empty() {
                break;
            }
            pages.push(registrations.len());
            for registration in registrations {
                let record = registration.record;
                assert_eq!(record.addresses().len(), ADDRESSES);
                assert_eq!(
                    found.insert(record.peer_id(), record.seq()),
                    None,
                    "listed twice"
                );
            }
            cookie = Some(next);
        }
        let expected: BTreeMap<_, _> = registered
            .iter()
            .map(|(peer, (seq, _))| (*peer, *seq))
            .collect();
        assert_eq!(found, expected);
        let fewest = record_bytes.div_ceil(1_000_000);
        assert_eq!(
            pages.len(),
            fewest,
            "{pages:?}: full pages, and no more than needed"
        );
    }
}
