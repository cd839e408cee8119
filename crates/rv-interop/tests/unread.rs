//! What a peer makes a point keep by not reading its answers.

use rv_interop::wire::{Discover, Register};
use rv_interop::{Point, RawClient, RawStream, eventually};
use rv_server::{Config, StreamLimits};

/// Larger than what flow control lets a stream carry unread, so that it waits in the point.
const PAGE_BYTES_MIN: usize = 500_000;
const UNREAD_BYTES_MAX: usize = 1_000_000;
const STREAMS: usize = 60;

/// A point with one page of a known size.
async fn start() -> (Point, RawClient) {
    let streams = StreamLimits {
        unread_bytes_per_connection: UNREAD_BYTES_MAX,
        ..StreamLimits::default()
    };
    let point = Point::in_memory(Config {
        streams,
        ..Config::default()
    })
    .await;
    let client = RawClient::connect(&point).await;
    let long = |index: usize| {
        let host = format!("{index}{}", "h".repeat(200));
        let address: libp2p::Multiaddr = format!("/dns4/{host}/tcp/1").parse().expect("one");
        address.to_vec()
    };
    let addresses: Vec<_> = (0..16).map(long).collect();
    let record = client.identity().legacy_of(1, &addresses);
    let mut stream = client.open().await;
    for index in 0..PAGE_BYTES_MIN / record.len() + 1 {
        let request = Register::new(&format!("name-{index}"), record.clone());
        stream.register_ok(&request).await;
    }
    (point, client)
}

/// Asks for everything on many streams at once, and reads no answer.
async fn ask_without_reading(client: &RawClient) -> Vec<RawStream> {
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = client.open().await;
        stream.send(&Discover::all().payload()).await;
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn who_does_not_read_is_not_answered_any_further_until_it_does() {
    let (point, client) = start().await;
    let mut streams = ask_without_reading(&client).await;
    // Another peer is served meanwhile, so the point has seen all there is to see.
    let other = RawClient::connect(&point).await;
    other.register("elsewhere").await;
    let full = eventually("the bound is reached", async || {
        let stats = point.stats().await;
        (stats.unread_bytes >= UNREAD_BYTES_MAX).then_some(stats)
    })
    .await;
    assert!(
        full.unread_bytes < UNREAD_BYTES_MAX + 2 * PAGE_BYTES_MIN,
        "{} bytes are kept",
        full.unread_bytes
    );

    for stream in &mut streams {
        let page = stream.reply().await.into_discover();
        assert!(page.entries.len() > 100, "whole pages, all of them");
    }
    eventually("everything is read", async || {
        (point.stats().await.unread_bytes == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_nothing_behind() {
    let (point, client) = start().await;
    let streams = ask_without_reading(&client).await;
    eventually("answers wait", async || {
        (point.stats().await.unread_bytes > 0).then_some(())
    })
    .await;
    drop((streams, client));
    eventually("nothing is kept", async || {
        let in_work = point.with(|behaviour| behaviour.requests_in_work()).await;
        (point.stats().await.unread_bytes == 0 && in_work == 0).then_some(())
    })
    .await;
}
