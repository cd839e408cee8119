//! Subscriptions over real connections: ours, and go's type.

use std::time::Duration;

use rv_interop::wire::{Register, unregister};
use rv_interop::{End, Identity, ManualClock, Point, RawClient, RawStream, Via, eventually};
use rv_server::libp2p_swarm::StreamProtocol;
use rv_server::rv_core::{Limits, Rules};
use rv_server::rv_proto::{
    DialectSet, EXTENSION_PROTOCOL, INMEM_PROTOCOL, InmemRecord, Request, Response, Status,
    SubscribeRequest, SubscribeResponse, SubscriptionUpdate, UPDATE_BYTES_MAX, UPDATES_TYPE,
    UnverifiedRecord, libp2p_identity::PeerId,
};
use rv_server::{Config, StreamLimits};

const NAMESPACE: &str = "my-app";

/// A stream with a subscription.
struct Subscriber {
    stream: RawStream,
    cookie: Option<Vec<u8>>,
}

/// What one or more updates brought.
#[derive(Debug, Default, PartialEq)]
struct News {
    there: Vec<PeerId>,
    gone: Vec<PeerId>,
    is_reset: bool,
}

fn request(namespace: &str, cookie: Option<Vec<u8>>) -> Vec<u8> {
    Request::Subscribe(SubscribeRequest {
        supported_types: vec![UPDATES_TYPE.to_owned()],
        namespace: Some(namespace.as_bytes().to_vec().into()),
        accepts: DialectSet::ALL,
        cookie: cookie.map(Into::into),
    })
    .encode()
}

/// As go's client asks, first whether there is the type, then on a stream of the type's.
fn go_request(namespace: &str, supported_types: &[&str]) -> Vec<u8> {
    Request::Subscribe(SubscribeRequest {
        supported_types: supported_types.iter().map(|it| (*it).to_owned()).collect(),
        namespace: Some(namespace.as_bytes().to_vec().into()),
        ..SubscribeRequest::default()
    })
    .encode()
}

async fn go_record(stream: &mut RawStream) -> InmemRecord {
    let payload = stream.receive().await.expect("a record");
    InmemRecord::decode(payload.into()).expect("a record")
}

async fn ask(client: &RawClient, payload: &[u8]) -> (RawStream, SubscribeResponse) {
    let protocol = StreamProtocol::new(EXTENSION_PROTOCOL);
    let mut stream = client.open_as(protocol).await.expect("it is always there");
    stream.send(payload).await;
    let answer = stream.receive().await.expect("an answer");
    match Response::decode(answer.into()) {
        Ok(Response::Subscribe(response)) => (stream, response),
        other => panic!("{other:?}"),
    }
}

impl Subscriber {
    async fn new(client: &RawClient, namespace: &str, cookie: Option<Vec<u8>>) -> Self {
        let (stream, response) = ask(client, &request(namespace, cookie.clone())).await;
        let expected = SubscribeResponse {
            subscription_type: Some(UPDATES_TYPE.into()),
            heartbeat_secs: response.heartbeat_secs,
            ..SubscribeResponse::default()
        };
        assert_eq!(response, expected);
        assert!(response.heartbeat_secs.is_some_and(|secs| secs >= 1));
        Self { stream, cookie }
    }

    async fn update(&mut self) -> SubscriptionUpdate {
        let payload = self.stream.receive().await.expect("an update");
        SubscriptionUpdate::decode(payload.into()).expect("an update")
    }

    /// What is new up to the next update that is complete.
    async fn news(&mut self) -> News {
        let mut news = News::default();
        loop {
            let update = self.update().await;
            assert_eq!(update.end, None);
            news.is_reset |= update.is_reset;
            news.there.extend(update.entries.iter().map(|entry| {
                let record = entry.record.clone().expect("a record");
                let record = UnverifiedRecord::parse(record).expect("a record");
                *record.verify().expect("signed").peer()
            }));
            news.gone.extend(update.removals.iter().map(|removal| {
                PeerId::from_bytes(removal.peer.as_deref().expect("there")).expect("a peer")
            }));
            let told = update.cookie.map(Into::into);
            self.cookie = told.or_else(|| self.cookie.take());
            if update.is_complete {
                return news;
            }
        }
    }

    /// Reads until this many are told to be there.
    async fn until_there(&mut self, count: usize) -> Vec<PeerId> {
        let mut there = Vec::new();
        while there.len() < count {
            there.extend(self.news().await.there);
        }
        there
    }
}

fn news(there: &[&RawClient], gone: &[&RawClient]) -> News {
    let peers = |clients: &[&RawClient]| clients.iter().map(|it| it.peer()).collect();
    News {
        there: peers(there),
        gone: peers(gone),
        is_reset: false,
    }
}

/// UNREGISTER has no answer; a peer reads its own writes.
async fn leave(client: &RawClient, namespace: &str) {
    let mut stream = client.open().await;
    stream.send(&unregister(Some(namespace), None)).await;
    assert!(!stream.peers(namespace).await.contains(&client.peer()));
}

#[tokio::test]
async fn a_subscriber_is_told_who_is_there_who_comes_and_who_leaves() {
    // No heartbeat tells what should have been told at once.
    let rules = Rules {
        heartbeat: Rules::HEARTBEAT_MAX,
        ..Rules::default()
    };
    let point = Point::in_memory(Config {
        rules,
        ..Config::default()
    })
    .await;
    let (first, second) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    first.register(NAMESPACE).await;
    let reader = RawClient::connect(&point).await;
    let mut it = Subscriber::new(&reader, NAMESPACE, None).await;
    let snapshot = News {
        is_reset: true,
        ..news(&[&first], &[])
    };
    assert_eq!(it.news().await, snapshot);

    second.register("elsewhere").await;
    second.register(NAMESPACE).await;
    assert_eq!(it.news().await, news(&[&second], &[]));
    first.register(NAMESPACE).await;
    assert_eq!(it.news().await, news(&[&first], &[]));
    leave(&second, NAMESPACE).await;
    assert_eq!(it.news().await, news(&[], &[&second]));
    let stats = point.stats().await;
    assert_eq!(
        (stats.subscriptions, stats.subscribes, stats.updates),
        (1, 1, 4)
    );
}

#[tokio::test]
async fn everything_that_a_peer_leaves_at_once_is_told_one_by_one() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    client.register("one").await;
    client.register("two").await;
    let reader = RawClient::connect(&point).await;
    let mut it = Subscriber::new(&reader, "", None).await;
    assert_eq!(it.news().await.there.len(), 2);
    let mut stream = client.open().await;
    stream.send(&unregister(Some(""), None)).await;
    assert_eq!(it.news().await, news(&[], &[&client, &client]));
}

#[tokio::test]
async fn a_registration_that_has_expired_is_in_no_snapshot() {
    let clock = ManualClock::new();
    let point = Point::with_clock(Config::default(), clock.clone()).await;
    let client = RawClient::connect(&point).await;
    let request = Register {
        ttl: Some(120),
        ..Register::new(NAMESPACE, client.identity().legacy())
    };
    client.open().await.register_ok(&request).await;
    let mut it = Subscriber::new(&client, NAMESPACE, None).await;
    let update = it.update().await;
    assert_eq!(update.entries[0].ttl_secs, Some(120));
    clock.advance(Duration::from_secs(120));
    let mut late = Subscriber::new(&client, NAMESPACE, None).await;
    assert_eq!(late.news().await.there, []);
}

#[tokio::test]
async fn whoever_comes_back_goes_on_without_a_snapshot_while_removals_are_remembered() {
    let limits = Limits {
        removals_max: 1,
        ..Limits::default()
    };
    let point = Point::in_memory(Config {
        limits,
        ..Config::default()
    })
    .await;
    let (first, second) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    first.register(NAMESPACE).await;
    let reader = RawClient::connect(&point).await;
    let mut it = Subscriber::new(&reader, NAMESPACE, None).await;
    assert!(it.news().await.is_reset);
    let cookie = it.cookie.clone();
    drop((it, reader));

    second.register(NAMESPACE).await;
    leave(&first, NAMESPACE).await;
    let reader = RawClient::connect(&point).await;
    let mut it = Subscriber::new(&reader, NAMESPACE, cookie.clone()).await;
    assert_eq!(it.news().await, news(&[&second], &[&first]));

    first.register("elsewhere").await;
    leave(&first, "elsewhere").await;
    let mut it = Subscriber::new(&reader, NAMESPACE, cookie).await;
    let anew = News {
        is_reset: true,
        ..news(&[&second], &[])
    };
    assert_eq!(it.news().await, anew, "the one before is forgotten");
}

#[tokio::test]
async fn without_news_there_are_empty_updates() {
    let rules = Rules {
        heartbeat: Rules::HEARTBEAT_MIN,
        ..Rules::default()
    };
    let point = Point::in_memory(Config {
        rules,
        ..Config::default()
    })
    .await;
    let reader = RawClient::connect(&point).await;
    let mut it = Subscriber::new(&reader, NAMESPACE, None).await;
    it.news().await;
    assert_eq!(it.news().await, News::default());
    assert_eq!(it.news().await, News::default());
}

#[tokio::test]
async fn a_point_that_stops_ends_every_subscription_with_its_reason() {
    let point = Point::in_memory(Config::default()).await;
    let reader = RawClient::connect(&point).await;
    let mut all = Vec::new();
    for namespace in [NAMESPACE, "elsewhere", ""] {
        let mut it = Subscriber::new(&reader, namespace, None).await;
        it.news().await;
        all.push(it);
    }
    let go = StreamProtocol::new(INMEM_PROTOCOL);
    let mut inmem = reader.open_as(go).await.expect("offered");
    inmem.send(&request(NAMESPACE, None)).await;
    eventually("all are open", async || {
        (point.stats().await.subscriptions == 4).then_some(())
    })
    .await;
    point.with(|behaviour| behaviour.drain()).await;
    assert_eq!(inmem.end("the stop").await, End::Closed);
    let reason = "this point is shutting down: try another";
    for mut it in all {
        let end = it.update().await.end;
        assert_eq!(end, Some((Status::UNAVAILABLE, reason.to_owned())));
        assert_eq!(it.stream.end("the last update").await, End::Closed);
    }
    let (_, refused) = ask(&reader, &request(NAMESPACE, None)).await;
    assert_eq!(
        (refused.status, refused.status_text.as_str()),
        (Status::UNAVAILABLE, reason)
    );
}

#[tokio::test]
async fn subscriptions_are_bounded_and_their_places_given_back() {
    let point = Point::in_memory(Config {
        limits: Limits {
            subscriptions_per_peer: 2,
            subscriptions_total: 3,
            ..Limits::default()
        },
        streams: StreamLimits {
            subscriptions_per_connection: 1,
            ..StreamLimits::default()
        },
        ..Config::default()
    })
    .await;
    let identity = || Identity::golden();
    let connect = async || RawClient::connect_as(&point, identity(), Via::Tcp).await;
    let refused = async |client: &RawClient, limit: usize| {
        let (mut stream, response) = ask(client, &request(NAMESPACE, None)).await;
        assert_eq!(response.status, Status::UNAVAILABLE);
        let text =
            format!("{limit} subscriptions are open, no more are allowed: end some, or poll");
        assert_eq!(response.status_text, text);
        assert_eq!(stream.peers(NAMESPACE).await, [], "the stream goes on");
    };
    let (one, two, three) = (connect().await, connect().await, connect().await);
    let first = Subscriber::new(&one, NAMESPACE, None).await;
    refused(&one, 1).await;
    let _second = Subscriber::new(&two, NAMESPACE, None).await;
    refused(&three, 2).await;
    let (other, last) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    let _third = Subscriber::new(&other, NAMESPACE, None).await;
    refused(&last, 3).await;

    drop((first, one));
    eventually("the place is given back", async || {
        (point.stats().await.subscriptions == 2).then_some(())
    })
    .await;
    let _fourth = Subscriber::new(&last, NAMESPACE, None).await;
    let stats = point.stats().await;
    assert_eq!((stats.subscribes, stats.subscribes_refused), (4, 3));
    assert_eq!(stats.refusals.get("subscriptions_full"), Some(&3));
}

#[tokio::test]
async fn what_is_no_request_ends_a_stream_that_is_pushed_to_and_nothing_else() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let mut kept = Subscriber::new(&client, NAMESPACE, None).await;
    kept.news().await;

    let mut it = Subscriber::new(&client, NAMESPACE, None).await;
    it.news().await;
    it.stream.send(&request(NAMESPACE, None)).await;
    it.stream.reset("a request where none is read").await;

    let go = StreamProtocol::new(INMEM_PROTOCOL);
    let too_long = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let garbage = [2, 0x07, 0x07];
    let not_subscribed = [&[4][..], &[0x08, 3, 0x2a, 0]].concat();
    let nameless = [&[6][..], &[0x08, 100, 0xa2, 0x06, 1, 0x12]].concat();
    for bad in [&too_long[..], &garbage, &not_subscribed, &nameless] {
        let mut stream = client.open_as(go.clone()).await.expect("offered");
        stream.send_bytes(bad).await.expect("open");
        stream.reset("what is no request").await;
    }
    assert_eq!(point.stats().await.undecodable, 5);

    client.register(NAMESPACE).await;
    assert_eq!(kept.news().await, news(&[&client], &[]));
    eventually("one is left", async || {
        (point.stats().await.subscriptions == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_go_on_which_nothing_is_asked_is_given_up() {
    let point = Point::in_memory(Config {
        streams: StreamLimits {
            idle_timeout: Duration::from_secs(1),
            ..StreamLimits::default()
        },
        ..Config::default()
    })
    .await;
    let client = RawClient::connect(&point).await;
    let go = StreamProtocol::new(INMEM_PROTOCOL);
    let mut stream = client.open_as(go).await.expect("offered");
    stream.end("the time to ask").await;
    assert_eq!(point.stats().await.streams_timed_out, 1);
}

#[tokio::test]
async fn whoever_closes_its_side_ends_its_subscription() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let mut it = Subscriber::new(&client, NAMESPACE, None).await;
    it.news().await;
    it.stream.close_write().await;
    assert_eq!(it.stream.end("its own end").await, End::Closed);
    assert_eq!(point.stats().await.subscriptions, 0);
}

/// Registers half a megabyte, under names that begin with `name`.
async fn register_much(client: &RawClient, name: &str) {
    let long = |index: usize| {
        let host = format!("{index}{}", "h".repeat(200));
        let address: libp2p::Multiaddr = format!("/dns4/{host}/tcp/1").parse().expect("one");
        address.to_vec()
    };
    let addresses: Vec<_> = (0..16).map(long).collect();
    let record = client.identity().legacy_of(1, &addresses);
    let mut stream = client.open().await;
    for index in 0..500_000 / record.len() {
        let request = Register::new(&format!("{name}-{index}"), record.clone());
        stream.register_ok(&request).await;
    }
}

/// Registers so much that a subscriber to everything who does not read is stuck: more than flow
/// control lets a stream carry.
async fn stick(point: &Point, client: &RawClient) -> RawStream {
    let reader = RawClient::connect(point).await;
    let (stuck, response) = ask(&reader, &request("", None)).await;
    assert_eq!(response.status, Status::OK);
    register_much(client, "name").await;
    eventually("it is stuck", async || {
        (point.stats().await.unread_bytes > 0).then_some(())
    })
    .await;
    stuck
}

#[tokio::test]
async fn of_a_thousand_subscribers_one_who_never_reads_delays_nobody() {
    const CONNECTIONS: usize = 32;
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let stuck = stick(&point, &client).await;

    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        let reader = RawClient::connect(&point).await;
        for _ in 0..StreamLimits::default().subscriptions_per_connection {
            let mut it = Subscriber::new(&reader, NAMESPACE, None).await;
            assert!(it.news().await.is_reset);
            all.push(it);
        }
    }
    assert_eq!(point.stats().await.subscriptions, 1 + all.len());
    assert!(all.len() > 1_000);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let client = RawClient::connect(&point).await;
        client.register(NAMESPACE).await;
        peers.push(client.peer());
    }
    for it in &mut all {
        assert_eq!(it.until_there(3).await, peers);
    }
    register_much(&client, "more").await;
    let stats = point.stats().await;
    let kept = stats.unread_bytes;
    assert!(
        (1..=UPDATE_BYTES_MAX).contains(&kept),
        "one update is kept for the one who does not read, not {kept} bytes"
    );
    assert_eq!(stats.subscriptions, 1 + all.len());

    let mut it = Subscriber {
        stream: stuck,
        cookie: None,
    };
    let mut told = Vec::new();
    while peers.iter().any(|peer| !told.contains(peer)) {
        told.extend(it.news().await.there);
    }
}

#[tokio::test]
async fn whoever_reads_nothing_is_given_up_and_keeps_nothing() {
    let point = Point::in_memory(Config {
        streams: StreamLimits {
            write_timeout: Duration::from_secs(1),
            ..StreamLimits::default()
        },
        ..Config::default()
    })
    .await;
    let client = RawClient::connect(&point).await;
    let stuck = stick(&point, &client).await;
    eventually("it is given up", async || {
        let stats = point.stats().await;
        let is_over = stats.subscriptions == 0 && stats.unread_bytes == 0;
        (is_over && stats.streams_timed_out == 1).then_some(())
    })
    .await;
    drop(stuck);
}

#[tokio::test]
async fn a_slow_subscriber_finds_the_newest_of_each_peer_alone() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let stuck = stick(&point, &client).await;
    let mut it = Subscriber {
        stream: stuck,
        cookie: None,
    };
    let late = RawClient::connect(&point).await;
    for seq in 1..=50 {
        let address = late.identity().address().to_vec();
        let record = late.identity().legacy_of(seq, &[address]);
        let request = Register::new(NAMESPACE, record);
        late.open().await.register_ok(&request).await;
    }
    let mut told = 0;
    while told == 0 {
        let there = it.news().await.there;
        told += there.iter().filter(|peer| **peer == late.peer()).count();
    }
    assert_eq!(told, 1);
}

#[tokio::test]
async fn gos_client_is_sent_what_a_rust_client_registers() {
    let point = Point::in_memory(Config::default()).await;
    let (first, second) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    first.register(NAMESPACE).await;
    let go = RawClient::connect(&point).await;
    let (_, response) = ask(&go, &go_request(NAMESPACE, &["inmem"])).await;
    assert_eq!(response.status, Status::OK);
    assert_eq!(response.subscription_type.as_deref(), Some(&b"inmem"[..]));
    let details = format!(
        r#"{{"PeerID":"{}","ChannelName":"{NAMESPACE}"}}"#,
        point.peer()
    );
    assert_eq!(
        response.subscription_details.as_deref(),
        Some(details.as_bytes())
    );

    let mut stream = go
        .open_as(StreamProtocol::new(INMEM_PROTOCOL))
        .await
        .expect("offered");
    stream.send(&go_request(NAMESPACE, &[])).await;
    for client in [&first, &second, &first] {
        if client.peer() == second.peer() {
            second.register(NAMESPACE).await;
        }
        let record = go_record(&mut stream).await;
        assert_eq!(record.peer, client.peer().to_string());
        assert_eq!(record.namespace, NAMESPACE);
        assert_eq!(record.addresses, [client.identity().address().to_vec()]);
        if client.peer() == second.peer() {
            first.register(NAMESPACE).await;
        }
    }
    stream.close_write().await;
    assert_eq!(stream.end("its own end").await, End::Closed);
    let stats = point.stats().await;
    assert_eq!((stats.subscriptions, stats.subscribes), (0, 1));
}

#[tokio::test]
async fn gos_streams_in_one_namespace_share_one_subscription_and_a_full_point_says_so_at_once() {
    let point = Point::in_memory(Config {
        streams: StreamLimits {
            subscriptions_per_connection: 1,
            ..StreamLimits::default()
        },
        ..Config::default()
    })
    .await;
    let (first, second) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    let go = RawClient::connect(&point).await;
    let asked = async |namespace: &str| {
        let (_, response) = ask(&go, &go_request(namespace, &["inmem"])).await;
        (response.status, response.status_text)
    };
    let subscribed = async || {
        let stream = go.open_as(StreamProtocol::new(INMEM_PROTOCOL)).await;
        let mut stream = stream.expect("offered");
        stream.send(&go_request(NAMESPACE, &[])).await;
        stream
    };
    assert_eq!(asked(NAMESPACE).await, (Status::OK, String::new()));
    let mut one = subscribed().await;
    eventually("it is open", async || {
        (point.stats().await.subscriptions == 1).then_some(())
    })
    .await;
    let full = "1 subscriptions are open, no more are allowed: end some, or poll";
    let refused = (Status::UNAVAILABLE, full.to_owned());
    assert_eq!(asked("elsewhere").await, refused);
    let mut two = subscribed().await;
    // Both answers come behind what was sent before.
    assert_eq!(asked("elsewhere").await, refused);
    assert_eq!(asked(NAMESPACE).await, (Status::OK, String::new()));

    first.register(NAMESPACE).await;
    let told = go_record(&mut one).await;
    assert_eq!(told.peer, first.peer().to_string());
    one.close_write().await;
    assert_eq!(one.end("its own end").await, End::Closed);
    second.register(NAMESPACE).await;
    let told = go_record(&mut two).await;
    assert_eq!(told.peer, second.peer().to_string(), "it goes on there");
    let stats = point.stats().await;
    assert_eq!((stats.subscriptions, stats.subscribes), (1, 1));
    assert_eq!(stats.subscribes_refused, 2);

    two.close_write().await;
    assert_eq!(two.end("its own end").await, End::Closed);
    assert_eq!(point.stats().await.subscriptions, 0);
    point.with(|behaviour| behaviour.drain()).await;
    let reason = "this point is shutting down: try another".to_owned();
    assert_eq!(asked(NAMESPACE).await, (Status::UNAVAILABLE, reason));
}
