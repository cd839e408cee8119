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
    start_with(StreamLimits {
        unread_bytes_per_connection: UNREAD_BYTES_MAX,
        ..StreamLimits::default()
    })
    .await
}

async fn start_with(streams: StreamLimits) -> (Point, RawClient) {
    let point = Point::in_memory(Config {
        streams,
        ..Config::default()
    })
    .await;
    let client = RawClient::connect(&point).await;
    let long = |index: usize| {
        // As long as readers of every dialect take it.
        let host = format!("{index}.{}", ["h".repeat(60).as_str(); 3].join("."));
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

#[tokio::test]
async fn while_much_is_unread_pages_are_short_for_those_alone_who_go_on_from_their_cookies() {
    let (point, client) = start_with(StreamLimits {
        unread_bytes_total: PAGE_BYTES_MIN,
        ..StreamLimits::default()
    })
    .await;
    let py = RawClient::connect(&point).await;
    let mut asked = py.open().await;
    asked.ask(&Discover::new("nobody").payload()).await;
    let (peer, agent) = (py.peer(), "py-libp2p/0.8.1");
    point
        .with(move |behaviour| behaviour.on_identified(peer, agent, None))
        .await;
    let whole = eventually("py is known", async || {
        let listed = asked.ask(&Discover::all().payload()).await.into_discover();
        let is_whole = listed.cookie.as_deref().is_none_or(<[u8]>::is_empty);
        is_whole.then_some(listed.entries.len())
    })
    .await;
    assert!(whole > 100);
    let other = RawClient::connect(&point).await;
    let mut reading = other.open().await;

    let mut stuck = client.open().await;
    stuck.send(&Discover::all().payload()).await;
    eventually("the point is pressed", async || {
        (point.stats().await.unread_bytes >= PAGE_BYTES_MIN).then_some(())
    })
    .await;
    let refused = asked.ask(&Discover::all().payload()).await.into_discover();
    let told = (refused.status, refused.text.as_str(), refused.entries.len());
    assert_eq!(told, (400, "this point is busy: try later", 0));
    let short = reading
        .ask(&Discover::all().payload())
        .await
        .into_discover();
    assert!((1..whole).contains(&short.entries.len()), "cut");
    let one = Discover {
        limit: Some(1),
        ..Discover::all()
    };
    let one = asked.ask(&one.payload()).await.into_discover();
    assert_eq!(one.entries.len(), 1, "as many as it asked for");

    stuck.reply().await.into_discover();
    eventually("everything is read", async || {
        (point.stats().await.unread_bytes == 0).then_some(())
    })
    .await;
    let again = asked.ask(&Discover::all().payload()).await.into_discover();
    assert_eq!(again.entries.len(), whole);
}
