//! Bytes that are no request end their stream, and nothing else.

use rv_interop::wire::{Discover, Register, bytes, frame, number, unregister, varint};
use rv_interop::{Identity, Point, RawClient, Via, plain_record};
use rv_server::Config;

const NAMESPACE: &str = "my-app";
const FRAME_BYTES_MAX: usize = 16_384;

/// What no point can read, as it stands on the stream.
fn bad_frames() -> Vec<(&'static str, Vec<u8>)> {
    let peer = Identity::new().peer();
    let discover = Discover::new(NAMESPACE).payload();
    let of_type = |number_of_type: u64| frame(&number(1, number_of_type));
    let addresses = vec![Identity::new().address().to_vec(); 10_000];
    let crowd = Register::new(NAMESPACE, plain_record(peer, &addresses)).payload();
    let long_name = Discover {
        namespace: Some(vec![b'n'; 100_000]),
        ..Discover::all()
    }
    .payload();
    let long_register = Register {
        namespace: Some(vec![b'n'; 100_000]),
        ..Register::default()
    };
    vec![
        ("no protobuf", frame(&[0xff; 16])),
        (
            "a field that ends early",
            frame(&discover[..discover.len() - 1]),
        ),
        ("a wire type that there is not", frame(&[0x0f, 0x01])),
        ("a field of number 0", frame(&[0x00, 0x01])),
        ("a request of type 5", of_type(5)),
        ("a request of type 99", of_type(99)),
        ("a request of type 102", of_type(102)),
        ("a request of type -1", of_type(u64::MAX)),
        (
            "a REGISTER_RESPONSE",
            frame(&[number(1, 1), bytes(3, &number(1, 0))].concat()),
        ),
        (
            "a DISCOVER_RESPONSE",
            frame(&[number(1, 4), bytes(6, &number(3, 0))].concat()),
        ),
        (
            "a subscription's response",
            frame(&[number(1, 101), bytes(101, b"")].concat()),
        ),
        ("a byte too many", frame(&padded(FRAME_BYTES_MAX + 1))),
        (
            "the length of a byte too many",
            varint(FRAME_BYTES_MAX as u64 + 1),
        ),
        ("a namespace of 100,000 bytes to list", frame(&long_name)),
        (
            "a namespace of 100,000 bytes to register in",
            frame(&long_register.payload()),
        ),
        ("10,000 addresses", frame(&crowd)),
        ("the longest length", varint(u64::MAX)),
        ("a length of 2^63", varint(1 << 63)),
        ("a varint bomb", vec![0xff; 10]),
        ("a longer varint bomb", vec![0xff; 1_000]),
        ("a varint bomb of zeros", vec![0x80; 11]),
        (
            "a length that is not in its shortest form",
            vec![0x80, 0x00],
        ),
    ]
}

/// A DISCOVER of exactly so many bytes, most of them in a field that nobody knows.
fn padded(payload_bytes: usize) -> Vec<u8> {
    let discover = Discover::new(NAMESPACE).payload();
    let mut padding = payload_bytes - discover.len();
    loop {
        let payload = [&discover[..], &bytes(1_500, &vec![0; padding])].concat();
        if payload.len() == payload_bytes {
            return payload;
        }
        padding -= 1;
    }
}

async fn survive(via: Via) {
    let point = Point::in_memory(Config::default()).await;
    let bystander = RawClient::connect_as(&point, Identity::new(), via).await;
    bystander.register(NAMESPACE).await;
    let client = RawClient::connect_as(&point, Identity::new(), via).await;
    let (mut other_peer, mut other_stream) = (bystander.open().await, client.open().await);
    let frames = bad_frames();
    let count = frames.len() as u64;
    for (what, bad) in frames {
        let mut stream = client.open().await;
        assert_eq!(
            stream.peers(NAMESPACE).await,
            [bystander.peer()],
            "before {what}"
        );
        // It may end while we still write.
        let _ = stream.send_bytes(&bad).await;
        stream.reset(what).await;
        assert_eq!(
            other_stream.peers(NAMESPACE).await,
            [bystander.peer()],
            "after {what}"
        );
        assert_eq!(
            other_peer.peers(NAMESPACE).await,
            [bystander.peer()],
            "after {what}"
        );
    }
    let stats = point.stats().await;
    assert_eq!(stats.undecodable, count);
    assert_eq!(
        (
            stats.registers,
            stats.registers_refused,
            stats.discovers_refused
        ),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn bad_bytes_end_their_stream_and_nothing_else_over_tcp() {
    survive(Via::Tcp).await;
}

#[tokio::test]
async fn bad_bytes_end_their_stream_and_nothing_else_over_quic() {
    survive(Via::Quic).await;
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_ended() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let whole = frame(&Register::new(NAMESPACE, client.identity().legacy()).payload());
    let mut bystander = client.open().await;
    for cut in [1, 2, 3, whole.len() / 2, whole.len() - 1] {
        let mut stream = client.open().await;
        stream
            .send_bytes(&whole[..cut])
            .await
            .expect("the stream is open");
        stream.close_write().await;
        stream.end("a part of a frame").await;
    }
    assert_eq!(bystander.peers(NAMESPACE).await, []);
    assert_eq!(point.stats().await.undecodable, 5);
}

#[tokio::test]
async fn the_longest_frame_is_read() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    client.register(NAMESPACE).await;
    let mut stream = client.open().await;
    for length in [FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX] {
        let payload = padded(length);
        assert_eq!(payload.len(), length);
        let reply = stream.ask(&payload).await.into_discover();
        assert_eq!(reply.peers(), [client.peer()]);
    }
    stream.send(&padded(FRAME_BYTES_MAX + 1)).await;
    stream.reset("a byte too many").await;
}

#[tokio::test]
async fn what_decodes_is_answered_however_little_it_says() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let mut stream = client.open().await;
    let discover = bytes(5, &bytes(1, NAMESPACE.as_bytes()));
    // Peers of proto3 leave out a type of 0, which is REGISTER.
    for nothing in [vec![], number(1, 0), bytes(2, b""), discover] {
        let reply = stream.ask(&nothing).await.into_register();
        assert_eq!(reply.status, 100, "{nothing:?}: {}", reply.text);
    }
    let reply = stream.ask(&number(1, 3)).await.into_discover();
    assert_eq!((reply.status, reply.entries.len()), (0, 0));
    // UNREGISTER of nothing is of everything, and has no answer.
    client.register(NAMESPACE).await;
    stream.send(&number(1, 2)).await;
    assert_eq!(stream.peers(NAMESPACE).await, []);
    stream.send(&unregister(Some(NAMESPACE), None)).await;
    assert_eq!(stream.peers(NAMESPACE).await, []);
    assert_eq!(point.stats().await.undecodable, 0);
}

#[tokio::test]
async fn what_stands_behind_bad_bytes_is_not_read() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let register = frame(&Register::new("behind", client.identity().legacy()).payload());
    for (what, bad) in bad_frames().into_iter().filter(|(_, bad)| bad.len() < 64) {
        let mut stream = client.open().await;
        let _ = stream.send_bytes(&[bad, register.clone()].concat()).await;
        stream.end(what).await;
    }
    assert_eq!(point.stats().await.registers, 0);
    client.register("before").await;
}
