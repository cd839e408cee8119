//! How the client uses streams, and what it makes of points that misuse them.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::identity::Keypair;
use rv_client::rv_core::client::{Breach, ClientConfig, Failure, RegisterOptions};
use rv_client::rv_proto::{
    DiscoverResponse, FrameError, RegisterResponse, Request, Response, Status, encode_frame,
};
use rv_client::{Behaviour, Client, Config, DiscoverError, Discovery, FindOptions, Found};

use crate::raw_point::RawPoint;
use crate::support::*;

fn page() -> Response {
    Response::Discover(DiscoverResponse {
        entries: Vec::new(),
        cookie: None,
        status: Status::OK,
        status_text: String::new(),
    })
}

fn granted(ttl_secs: u64) -> Response {
    Response::Register(RegisterResponse {
        status: Status::OK,
        status_text: String::new(),
        ttl_secs: Some(ttl_secs),
    })
}

async fn client_with(config: Config, point: &RawPoint) -> (Node<Behaviour>, Client) {
    let key = Keypair::generate_ed25519();
    let behaviour = Behaviour::new(key.clone(), config).expect("a good configuration");
    let client = behaviour.client();
    let node = Node::spawn(swarm(&key, behaviour));
    let (peer, address) = point.at.clone();
    client.add_point(peer, [address]).await.expect("room");
    (node, client)
}

type Answer = Result<Found, DiscoverError>;

fn broken(answer: Answer) -> Failure {
    match answer {
        Err(DiscoverError::Broken { failure, .. }) => failure,
        other => panic!("not broken: {other:?}"),
    }
}

#[tokio::test]
async fn one_stream_carries_many_requests_where_the_point_keeps_it() {
    let mut point = RawPoint::start().await;
    let (_node, client) = client_of([point.at.clone()]).await;
    let answers = async {
        let mut stream = point.accept().await;
        for _ in 0..3 {
            assert!(matches!(stream.request().await, Request::Discover(_)));
            stream.answer(&page()).await;
        }
        stream
    };
    let asks = async {
        for _ in 0..3 {
            let found = within("page", client.discover(scope("ns"), None)).await;
            assert!(found.is_ok());
        }
    };
    let (kept, ()) = futures::join!(answers, asks);

    // A point that ends the kept stream is asked on a new one.
    drop(kept);
    let answers = async {
        let mut stream = point.accept().await;
        stream.request().await;
        stream.answer(&page()).await;
    };
    let (found, ()) = futures::join!(client.discover(scope("ns"), None), answers);
    assert!(found.is_ok());
}

#[tokio::test]
async fn a_kept_stream_that_ends_under_a_request_costs_nothing_but_another_stream() {
    let mut point = RawPoint::start().await;
    let (_node, client) = client_of([point.at.clone()]).await;
    let answers = async {
        let mut stream = point.accept().await;
        stream.request().await;
        stream.answer(&page()).await;
        // The second request is read, and then the stream ends.
        stream.request().await;
        drop(stream);
        let mut stream = point.accept().await;
        stream.request().await;
        stream.answer(&page()).await;
    };
    let asks = async {
        for _ in 0..2 {
            let found = within("page", client.discover(scope("ns"), None)).await;
            assert!(found.is_ok());
        }
    };
    futures::join!(answers, asks);
}

#[tokio::test]
async fn an_unregister_has_its_own_stream_and_waits_until_the_point_ends_it() {
    let mut point = RawPoint::start().await;
    let config = Config {
        unregister_linger: Duration::from_secs(600),
        ..Config::default()
    };
    let (node, client) = client_with(config, &point).await;
    node.with(|swarm| swarm.add_external_address(external()))
        .await;
    let register = async {
        let mut stream = point.accept().await;
        let Request::Register(request) = stream.request().await else {
            panic!("not a REGISTER");
        };
        assert_eq!(request.ttl_secs, Some(600));
        stream.answer(&granted(600)).await;
        stream
    };
    let grant = within("grant", client.register(namespace("ns"), ttl(600)));
    let (grant, mut kept) = futures::join!(grant, register);
    grant.expect("granted");

    let leaving = client.clone();
    let left = tokio::spawn(async move { leaving.unregister(namespace("ns")).await });
    let mut own = point.accept().await;
    assert!(matches!(own.request().await, Request::Unregister(_)));
    own.ended().await;
    // What is asked later is answered before.
    let answer = async {
        kept.request().await;
        kept.answer(&page()).await;
    };
    let (found, ()) = futures::join!(client.discover(scope("ns"), None), answer);
    assert!(found.is_ok());
    client.status().await;
    assert!(!left.is_finished(), "the point has not ended the stream");
    drop(own);
    let left = within("end", left).await.expect("no panic");
    assert_eq!(left, Ok(()));
}

#[tokio::test]
async fn a_point_that_breaks_the_protocol_is_told_exactly() {
    let mut point = RawPoint::start().await;
    let (_node, client) = client_of([point.at.clone()]).await;
    let cases: [(&[u8], bool, Breach); 4] = [
        // 20 MB are announced: refused before they come.
        (
            &[0x80, 0xda, 0xc4, 0x09],
            false,
            Breach::Frame(FrameError::TooLong {
                bytes: 20_000_000,
                bytes_max: 4_194_304,
            }),
        ),
        (&[0x80, 0x00], false, Breach::Frame(FrameError::BadPrefix)),
        (&[9, 8, 1], true, Breach::Frame(FrameError::Truncated)),
        (&encode(&granted(600)), false, Breach::WrongResponse),
    ];
    for (bytes, ends, breach) in cases {
        let answers = async {
            let mut stream = point.accept().await;
            stream.request().await;
            stream.write(bytes).await;
            (!ends).then_some(stream)
        };
        let (found, _stream) = futures::join!(client.discover(scope("ns"), None), answers);
        assert_eq!(broken(found), Failure::Broken(breach));
    }
    let answers = async {
        let mut stream = point.accept().await;
        stream.request().await;
    };
    let (found, ()) = futures::join!(client.discover(scope("ns"), None), answers);
    assert_eq!(broken(found), Failure::EndOfStream);
}

fn encode(response: &Response) -> Vec<u8> {
    encode_frame(&response.encode())
}

#[tokio::test]
async fn a_silent_point_is_given_up_in_time_and_its_stream_too() {
    let mut point = RawPoint::start().await;
    let config = Config {
        client: ClientConfig {
            request_timeout: Duration::from_millis(500),
            request_timeout_min: Duration::from_millis(500),
            ..ClientConfig::default()
        },
        ..Config::default()
    };
    let (_node, client) = client_with(config, &point).await;
    let peer = point.at.0;
    let answers = async {
        let mut stream = point.accept().await;
        stream.request().await;
        // A byte of an answer is no answer.
        stream.write(&[100]).await;
        stream.ended().await;
    };
    let found = within("answer", client.discover(scope("ns"), None));
    let (found, ()) = futures::join!(found, answers);
    assert_eq!(found, Err(DiscoverError::TimedOut { point: peer }));
}

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(600);

/// Ends nothing by itself for want of time.
fn patient() -> Config {
    Config {
        client: ClientConfig {
            request_timeout: NEVER,
            ..ClientConfig::default()
        },
        stream_idle_timeout: NEVER,
        ..Config::default()
    }
}

#[tokio::test]
async fn who_stops_waiting_for_peers_ends_the_request() {
    let mut point = RawPoint::start().await;
    let (_node, client) = client_with(patient(), &point).await;
    let handle = client.clone();
    let listing = tokio::spawn(async move { handle.discover(scope("ns"), None).await });
    let mut stream = point.accept().await;
    stream.request().await;
    listing.abort();
    stream.ended().await;

    let options = FindOptions::default();
    let mut peers = Discovery::new(client).find_peers(namespace("ns"), options);
    let reading = tokio::spawn(async move { peers.next().await });
    let mut stream = point.accept().await;
    stream.request().await;
    reading.abort();
    stream.ended().await;
}

#[tokio::test]
async fn who_wants_a_few_peers_chooses_among_more_of_them() {
    let mut point = RawPoint::start().await;
    let (_node, client) = client_with(patient(), &point).await;
    let discovery = Discovery::new(client);
    let mut asked = Vec::new();
    let mut kept = None;
    for limit in [Some(1), Some(700), None] {
        let options = FindOptions {
            limit,
            force_refresh: true,
        };
        let peers = discovery.find_peers(namespace("ns"), options);
        let answers = async {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => point.accept().await,
            };
            let Request::Discover(request) = stream.request().await else {
                panic!("not a DISCOVER");
            };
            stream.answer(&page()).await;
            (request.limit, stream)
        };
        let (found, (limit, stream)) = futures::join!(peers.collect::<Vec<_>>(), answers);
        assert!(found.is_empty());
        asked.push(limit);
        kept = Some(stream);
    }
    assert_eq!(asked, [Some(100), Some(700), Some(1_000)]);
}

#[tokio::test]
async fn a_registration_goes_on_though_nobody_waits_for_it() {
    let mut point = RawPoint::start().await;
    let (node, client) = client_with(patient(), &point).await;
    node.with(|swarm| swarm.add_external_address(external()))
        .await;
    let handle = client.clone();
    let options = RegisterOptions::default();
    let registering = tokio::spawn(async move { handle.register(namespace("ns"), options).await });
    let mut stream = point.accept().await;
    stream.request().await;
    registering.abort();
    stream.answer(&granted(600)).await;
    eventually("registration", async || {
        let status = client.status().await;
        status.registrations.first()?.until
    })
    .await;
}

#[tokio::test]
async fn a_removed_point_and_a_closed_client_keep_no_stream() {
    for is_closed in [false, true] {
        let mut point = RawPoint::start().await;
        let (_node, client) = client_with(patient(), &point).await;
        let answers = async {
            let mut stream = point.accept().await;
            stream.request().await;
            stream.answer(&page()).await;
            stream
        };
        let (found, mut kept) = futures::join!(client.discover(scope("ns"), None), answers);
        assert!(found.is_ok());
        if is_closed {
            client.close().await;
        } else {
            client.point(point.at.0).close().await;
        }
        kept.ended().await;
    }
}
