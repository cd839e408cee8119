//! What one connection may do with its streams, and for how long.

use std::time::{Duration, Instant};

use libp2p::swarm::StreamProtocol;
use rv_interop::wire::{self, Discover, Register, Reply, frame, hex, unregister};
use rv_interop::{End, Identity, ManualClock, Point, RawClient, Via, eventually, within};
use rv_server::rv_proto::INMEM_PROTOCOL;
use rv_server::{Config, StreamLimits};
use tokio::time::timeout;

const NAMESPACE: &str = "my-app";

/// Of the peer of 32 zero bytes, as rust, nim, go and py write them.
const LEGACY_REGISTER: &str = "d101080012cc010a066d792d61707012be010a24080112203b6a27bcceb6a42d62a3\
    a8d02a6f0d73653215771de243a63ac048a18b59da29121c2f6c69627032702f726f7574696e672d73746174652d72\
    65636f72641a360a260024080112203b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\
    10011a0a0a08047f000001060fa12a402b717d89dbcd3f1af8ae1e1b6870e7864bde78a9df20a42689da5f4d3a506b\
    f38fc0feb2a169f5cb658abf93485395974894e34d57dfe080b11b59e3458fa10018a038";
const STANDARD_REGISTER: &str = "b701080012b2010a066d792d61707012a4010a24080112203b6a27bcceb6a42d62\
    a3a8d02a6f0d73653215771de243a63ac048a18b59da29120203011a360a260024080112203b6a27bcceb6a42d62a3\
    a8d02a6f0d73653215771de243a63ac048a18b59da2910011a0a0a08047f000001060fa12a409544590e46d8fd59c7\
    fd95320ffbb6df874185f11a265660b337193d429136bcdcde5a83c63c74244db432a90968bd43b10d2e34049caa8b\
    89aaa348fb45620818a038";
const PLAIN_REGISTER: &str = "41123f0a066d792d61707012320a260024080112203b6a27bcceb6a42d62a3a8d02a6\
    f0d73653215771de243a63ac048a18b59da291208047f000001060fa118a038";
const PY_DISCOVER: &str = "0e08032a0a0a066d792d6170701064";
const PY_UNREGISTER: &str = "34080222300a066d792d61707012260024080112203b6a27bcceb6a42d62a3a8d02a6f\
    0d73653215771de243a63ac048a18b59da29";
const GO_SUBSCRIBE: &str = "140864a2060f0a05696e6d656d12066d792d617070";

async fn start(streams: StreamLimits) -> (Point, RawClient) {
    let config = Config {
        streams,
        ..Config::default()
    };
    let point = Point::with_clock(config, ManualClock::new()).await;
    let client = RawClient::connect(&point).await;
    (point, client)
}

#[tokio::test]
async fn the_golden_frames_of_every_language_are_served_on_one_stream() {
    let (point, _) = start(StreamLimits::default()).await;
    let client = RawClient::connect_as(&point, Identity::golden(), Via::Tcp).await;
    let mut stream = client.open().await;
    let registers = [
        (LEGACY_REGISTER, "legacy"),
        (STANDARD_REGISTER, "standard"),
        (PLAIN_REGISTER, "plain"),
    ];
    for (register, dialect) in registers {
        stream
            .send_bytes(&hex(register))
            .await
            .expect("the stream is open");
        let reply = stream.reply().await.into_register();
        assert_eq!(
            (reply.status, reply.ttl),
            (0, 7_200),
            "{dialect}: {}",
            reply.text
        );

        stream
            .send_bytes(&hex(PY_DISCOVER))
            .await
            .expect("the stream is open");
        let listed = stream.reply().await.into_discover().entries;
        let sent = hex(register);
        assert_eq!(listed.len(), 1, "{dialect}");
        assert_eq!((listed[0].dialect(), listed[0].ttl), (dialect, 7_200));
        let kept = sent
            .windows(listed[0].record.len())
            .any(|part| part == listed[0].record);
        assert!(kept, "{dialect}: the record comes back as it was sent");
    }
    stream
        .send_bytes(&hex(GO_SUBSCRIBE))
        .await
        .expect("the stream is open");
    let Reply::Subscribe(reply) = stream.reply().await else {
        panic!("not to a subscription");
    };
    assert_eq!(
        (reply.status, reply.subscription_type.as_str()),
        (0, "inmem")
    );
    let details = format!(r#"{{"PeerID":"{}","ChannelName":"my-app"}}"#, point.peer());
    assert_eq!(reply.details, details);
    stream
        .send_bytes(&hex(PY_UNREGISTER))
        .await
        .expect("the stream is open");
    stream
        .send_bytes(&hex(PY_DISCOVER))
        .await
        .expect("the stream is open");
    assert_eq!(stream.reply().await.into_discover().entries, []);
}

#[tokio::test]
async fn a_stream_serves_as_many_requests_as_there_are() {
    for via in Via::ALL {
        let (point, _) = start(StreamLimits::default()).await;
        let client = RawClient::connect_as(&point, Identity::new(), via).await;
        let mut stream = client.open().await;
        let request = Register::new(NAMESPACE, client.identity().legacy());
        for _ in 0..300 {
            stream.register_ok(&request).await;
            assert_eq!(stream.peers(NAMESPACE).await, [client.peer()]);
        }
        let stats = point.stats().await;
        assert_eq!(
            (stats.registers, stats.discovers, stats.registrations),
            (300, 300, 1)
        );
    }
}

#[tokio::test]
async fn requests_sent_all_at_once_are_answered_in_their_order() {
    let (_point, client) = start(StreamLimits::default()).await;
    let register =
        |namespace| frame(&Register::new(namespace, client.identity().legacy()).payload());
    let discover = || frame(&Discover::new(NAMESPACE).payload());
    let remove = |namespace| frame(&unregister(namespace, None));
    let burst = [
        discover(),
        register(NAMESPACE),
        discover(),
        remove(Some(NAMESPACE)),
        discover(),
        register(NAMESPACE),
        register(""),
        discover(),
        remove(None),
        discover(),
    ];
    for half_closed in [false, true] {
        let mut stream = client.open().await;
        stream
            .send_bytes(&burst.concat())
            .await
            .expect("the stream is open");
        if half_closed {
            stream.close_write().await;
        }
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push(match stream.reply().await {
                Reply::Register(reply) => format!("register {}", reply.status),
                Reply::Discover(reply) => format!("discover {}", reply.entries.len()),
                Reply::Subscribe(reply) => format!("subscribe {}", reply.status),
            });
        }
        assert_eq!(
            seen,
            [
                "discover 0",
                "register 0",
                "discover 1",
                "discover 0",
                "register 0",
                "register 100",
                "discover 1",
                "discover 0"
            ]
        );
        if half_closed {
            assert_eq!(stream.end("its other half").await, End::Closed);
        }
    }
}

#[tokio::test]
async fn a_half_closed_stream_gets_its_answer_and_ends() {
    let (_point, client) = start(StreamLimits::default()).await;
    let requests = [
        Register::new(NAMESPACE, client.identity().legacy()).payload(),
        Discover::new(NAMESPACE).payload(),
    ];
    for request in requests {
        let mut stream = client.open().await;
        stream.send(&request).await;
        stream.close_write().await;
        stream.reply().await;
        assert_eq!(stream.end("its other half").await, End::Closed);
    }
    let mut stream = client.open().await;
    stream.send(&unregister(Some(NAMESPACE), None)).await;
    stream.close_write().await;
    assert_eq!(stream.end("an UNREGISTER").await, End::Closed);
    // It was acted on before its stream ended, so even an older stream sees it.
    assert_eq!(client.open().await.peers(NAMESPACE).await, []);
    let mut unused = client.open().await;
    unused.close_write().await;
    assert_eq!(unused.end("nothing at all").await, End::Closed);
}

#[tokio::test]
async fn a_peer_sees_at_once_on_another_stream_that_it_has_unregistered() {
    let (_point, client) = start(StreamLimits::default()).await;
    for round in 0..20 {
        client.register(NAMESPACE).await;
        let (mut first, mut second) = (client.open().await, client.open().await);
        first.send(&unregister(Some(NAMESPACE), None)).await;
        assert_eq!(second.peers(NAMESPACE).await, [], "round {round}");
    }
}

#[tokio::test]
async fn a_peer_sees_at_once_on_another_stream_that_it_has_registered() {
    let (_point, client) = start(StreamLimits::default()).await;
    for round in 0..20 {
        let (mut first, mut second) = (client.open().await, client.open().await);
        first
            .send(&Register::new(NAMESPACE, client.identity().legacy()).payload())
            .await;
        assert_eq!(
            second.peers(NAMESPACE).await,
            [client.peer()],
            "round {round}"
        );
        assert_eq!(first.reply().await.into_register().status, 0);
        first.send(&unregister(Some(NAMESPACE), None)).await;
        assert_eq!(first.peers(NAMESPACE).await, []);
    }
}

#[tokio::test]
async fn of_a_register_and_an_unregister_on_two_streams_the_later_one_counts() {
    let (_point, client) = start(StreamLimits::default()).await;
    for round in 0..20 {
        let (mut first, mut second) = (client.open().await, client.open().await);
        first
            .send(&Register::new(NAMESPACE, client.identity().legacy()).payload())
            .await;
        second.send(&unregister(Some(NAMESPACE), None)).await;
        assert_eq!(first.reply().await.into_register().status, 0);
        assert_eq!(second.peers(NAMESPACE).await, [], "round {round}");
    }
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let (_point, client) = start(StreamLimits::default()).await;
    let mut stream = client.open().await;
    let requests = [
        Register::new(NAMESPACE, client.identity().legacy()).payload(),
        Discover::new(NAMESPACE).payload(),
    ];
    for byte in requests.iter().flat_map(|request| frame(request)) {
        stream
            .send_bytes(&[byte])
            .await
            .expect("the stream is open");
    }
    assert_eq!(stream.reply().await.into_register().status, 0);
    assert_eq!(
        stream.reply().await.into_discover().peers(),
        [client.peer()]
    );
}

#[tokio::test]
async fn a_frame_that_drips_in_too_slowly_ends_its_stream() {
    const FRAME_TIMEOUT: Duration = Duration::from_millis(200);
    const DRIP: Duration = Duration::from_millis(20);
    let limits = StreamLimits {
        frame_timeout: FRAME_TIMEOUT,
        ..StreamLimits::default()
    };
    let (point, client) = start(limits).await;
    let mut bystander = client.open().await;
    let mut stream = client.open().await;
    let (began, mut dripped) = (Instant::now(), 0);
    stream
        .send_bytes(&wire::varint(16_000))
        .await
        .expect("the stream is open");
    within("end of the slow stream", async {
        while timeout(DRIP, stream.receive()).await.is_err() {
            // It may end right now.
            let _ = stream.send_bytes(&[0]).await;
            dripped += 1;
        }
    })
    .await;
    assert!(
        began.elapsed() >= FRAME_TIMEOUT,
        "after {:?}",
        began.elapsed()
    );
    assert!(
        dripped > 0,
        "each drip came in time, and did not buy more of it"
    );
    assert_eq!(point.stats().await.streams_timed_out, 1);
    assert_eq!(
        bystander.peers(NAMESPACE).await,
        [],
        "an idle stream has more time"
    );
}

#[tokio::test]
async fn a_stream_without_requests_ends_after_its_time() {
    const IDLE_TIMEOUT: Duration = Duration::from_millis(800);
    let limits = StreamLimits {
        idle_timeout: IDLE_TIMEOUT,
        ..StreamLimits::default()
    };
    let (point, client) = start(limits).await;
    let began = Instant::now();
    let (mut unused, mut used) = (client.open().await, client.open().await);
    unused.end("idleness").await;
    assert!(
        began.elapsed() >= IDLE_TIMEOUT,
        "after {:?}",
        began.elapsed()
    );
    used.end("idleness").await;

    let mut used = client.open().await;
    for _ in 0..3 {
        // Each answer starts the time anew.
        assert_eq!(used.peers(NAMESPACE).await, []);
        let quiet = timeout(IDLE_TIMEOUT / 2, used.receive()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
    used.end("idleness").await;
    assert_eq!(point.stats().await.streams_timed_out, 3);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_its_stream() {
    const REQUESTS: usize = 400;
    let limits = StreamLimits {
        write_timeout: Duration::from_millis(200),
        ..StreamLimits::default()
    };
    let (point, client) = start(limits).await;
    let addresses = vec![client.identity().address().to_vec(); 64];
    let mut bystander = client.open().await;
    for index in 0..100 {
        let record = client.identity().legacy_of(1, &addresses);
        bystander
            .register_ok(&Register::new(&format!("{index}"), record))
            .await;
    }
    let page_bytes = bystander.discover(&Discover::all()).await.len;
    assert!(
        page_bytes * REQUESTS > 32 << 20,
        "more than any flow control lets through"
    );

    let mut stream = client.open().await;
    let requests = frame(&Discover::all().payload()).repeat(REQUESTS);
    let _ = stream.send_bytes(&requests).await;
    eventually("end of the stream", async || {
        (point.stats().await.streams_timed_out == 1).then_some(())
    })
    .await;
    assert_eq!(
        bystander.discover(&Discover::all()).await.entries.len(),
        100
    );
    assert!(
        point.stats().await.discovers < REQUESTS as u64,
        "not all were worked on"
    );
}

#[tokio::test]
async fn streams_above_the_limit_end_and_the_others_go_on() {
    for via in [Via::Tcp, Via::Quic] {
        let limits = StreamLimits {
            streams_per_connection: 4,
            ..StreamLimits::default()
        };
        let (point, _) = start(limits).await;
        let client = RawClient::connect_as(&point, Identity::new(), via).await;
        let mut streams = Vec::new();
        for _ in 0..4 {
            let mut stream = client.open().await;
            assert_eq!(stream.peers(NAMESPACE).await, []);
            streams.push(stream);
        }
        for _ in 0..3 {
            client.open().await.reset("the limit").await;
        }
        for stream in &mut streams {
            assert_eq!(stream.peers(NAMESPACE).await, []);
        }
        assert_eq!(point.stats().await.streams_refused, 3);

        let elsewhere = RawClient::connect_as(&point, client.identity().clone(), via).await;
        assert_eq!(
            elsewhere.open().await.peers(NAMESPACE).await,
            [],
            "each connection counts"
        );
        let mut closing = streams.remove(0);
        closing.close_write().await;
        closing.end("its other half").await;
        assert_eq!(
            client.open().await.peers(NAMESPACE).await,
            [],
            "there is room again"
        );
    }
}

#[tokio::test]
async fn a_write_goes_on_when_its_peer_is_gone() {
    let (point, client) = start(StreamLimits::default()).await;
    let mut stream = client.open().await;
    stream
        .send(&Register::new(NAMESPACE, client.identity().legacy()).payload())
        .await;
    stream.close_write().await;
    drop(stream);
    eventually("registration", async || {
        (point.stats().await.registrations == 1).then_some(())
    })
    .await;
    let idle = point.with(|behaviour| behaviour.requests_in_work()).await;
    assert_eq!(idle, 0);
}

#[tokio::test]
async fn the_protocol_has_the_names_that_are_configured() {
    let canvas = StreamProtocol::new("/canvas/rendezvous/1.0.0");
    let usual = StreamProtocol::new("/rendezvous/1.0.0");
    let config = Config {
        protocols: vec![canvas.clone()],
        ..Config::default()
    };
    let point = Point::in_memory(config).await;
    let client = RawClient::connect(&point).await;
    let mut stream = client
        .open_as(canvas.clone())
        .await
        .expect("the name is configured");
    assert_eq!(stream.peers(NAMESPACE).await, []);
    client
        .open_as(usual.clone())
        .await
        .expect_err("no other is");
    let extension = StreamProtocol::new("/rendezvous/ext/1.0.0");
    let refused = client.open_as(extension.clone()).await;
    refused.expect_err("nor the extension's, without the specification's");
    let inmem = StreamProtocol::new(INMEM_PROTOCOL);
    let refused = client.open_as(inmem.clone()).await;
    refused.expect_err("nor go's for its subscriptions");

    let config = Config {
        protocols: vec![canvas, usual],
        ..Config::default()
    };
    let point = Point::in_memory(config).await;
    let client = RawClient::connect(&point).await;
    let stream = client.open_as(extension).await;
    let mut stream = stream.expect("it is there beside the specification's");
    assert_eq!(stream.peers(NAMESPACE).await, []);
    let stream = client.open_as(inmem).await;
    stream.expect("and so is go's");
}
