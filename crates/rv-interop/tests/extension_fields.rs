//! The fields of our extension in requests at stock points: each skips them.

use libp2p::Multiaddr;
use libp2p::swarm::StreamProtocol;
use rv_interop::wire::{Discover, Register};
use rv_interop::{Identity, Language, RawClient, RawStream, Runtime, serve_stock};

const NAMESPACE: &str = "my-app";
const TTL_SECS: u64 = 7_200;

type Sign = fn(&Identity) -> Vec<u8>;

/// Registers with the field and is listed, whether the listing is asked for with it or without.
async fn check(point: &Multiaddr, protocol: &'static str, record: Sign, counterpart: Sign) {
    let protocol = StreamProtocol::new(protocol);
    let client = RawClient::dial(point, Identity::new()).await;
    let own = client.identity();
    let mut request = Register::new(NAMESPACE, record(own)).with_ttl(TTL_SECS);
    request.counterpart = Some(counterpart(own));
    let open = async || client.open_as(protocol.clone()).await.expect("a stream");
    let registered = answer(open().await, &request.payload()).await;
    assert!(!registered.is_empty());

    let discover = Discover::new(NAMESPACE);
    for discover in [discover.clone(), discover.accepting(&[1, 2, 3])] {
        let listing = answer(open().await, &discover.payload()).await;
        let id = client.peer().to_bytes();
        let count = listing.windows(id.len()).filter(|it| *it == id).count();
        assert_eq!(count, 1, "one entry, in the form that was registered");
    }
}

async fn answer(mut stream: RawStream, payload: &[u8]) -> Vec<u8> {
    stream.send(payload).await;
    stream.receive().await.expect("an answer")
}

#[tokio::test]
async fn rust_skips_them() {
    let (point, _serving) = serve_stock().await;
    check(
        &point,
        "/rendezvous/1.0.0",
        Identity::legacy,
        Identity::standard,
    )
    .await;
}

#[tokio::test]
async fn go_and_py_skip_them() {
    for language in [Language::Go, Language::Py] {
        let Some(runtime) = Runtime::find(language) else {
            continue;
        };
        let point = runtime.serve().await;
        let address = point.address();
        check(
            address,
            "/rendezvous/1.0.0",
            Identity::plain,
            Identity::standard,
        )
        .await;
        point.end().await;
    }
}

#[tokio::test]
async fn js_skips_them() {
    let Some(runtime) = Runtime::find(Language::Js) else {
        return;
    };
    let point = runtime.serve().await;
    let address = point.address();
    check(
        address,
        "/canvas/rendezvous/1.0.0",
        Identity::standard,
        Identity::legacy,
    )
    .await;
    point.end().await;
}
