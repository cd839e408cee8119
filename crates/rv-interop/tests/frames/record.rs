//! Lets each client do what its users do, at a point that keeps what it sends.

use libp2p::swarm::StreamProtocol;
use rv_interop::wire::{Discover, Register, unregister};
use rv_interop::{
    ForeignClient, Identity, Language, Ours, RawClient, Recorder, Recording, Runtime, Stock,
};

use crate::NAMESPACE;

const TTL_SECS: u64 = 7_200;

/// The recordings of all clients.
pub(crate) async fn all() -> Vec<Recording> {
    vec![
        foreign(
            Language::Go,
            "go: github.com/berty/go-libp2p-rendezvous v0.5.1, its RendezvousPoint",
        )
        .await,
        foreign(
            Language::Js,
            "js: @canvas-js/libp2p-rendezvous 0.5.2, its RendezvousClient",
        )
        .await,
        foreign(Language::Py, "py: libp2p 0.8.1, its RendezvousClient").await,
        rust().await,
        ours().await,
        nim().await,
    ]
}

/// The listing, itself included where the client does not leave that out.
async fn foreign(language: Language, origin: &str) -> Recording {
    let recorder = Recorder::start(origin, NAMESPACE, true, false).await;
    let runtime = Runtime::find(language).expect("it is made");
    let mut client: ForeignClient = runtime.connect(recorder.address()).await;
    for ttl in [600, TTL_SECS] {
        assert_eq!(client.register(NAMESPACE, ttl).await, Ok(ttl));
    }
    let page = client.discover(NAMESPACE).await.expect("a page");
    assert!(page.peers.contains_key(&Identity::golden().peer()));
    if language != Language::Js {
        let first = client.discover_from(NAMESPACE, 1, "").await;
        let cookie = first.expect("a page").cookie;
        let second = client.discover_from(NAMESPACE, 1, &cookie).await;
        assert_eq!(second.expect("a page").peers.len(), 1);
    }
    // js asks for a listing behind it, where the others are silent.
    client.unregister(NAMESPACE).await.expect("it is written");
    recorded(recorder, client).await
}

async fn recorded(recorder: Recorder, client: ForeignClient) -> Recording {
    let recording = recorder.recorded().await;
    client.end().await;
    recording
}

async fn rust() -> Recording {
    let origin = "rust: libp2p-rendezvous 0.18, its client::Behaviour";
    let recorder = Recorder::start(origin, NAMESPACE, false, true).await;
    let identity = Identity::new();
    let mut client = Stock::dial(recorder.address(), &identity, &identity).await;
    for ttl in [None, Some(TTL_SECS)] {
        assert_eq!(client.register(NAMESPACE, ttl).await, Ok(TTL_SECS));
    }
    assert_eq!(client.peers(Some(NAMESPACE)).await.len(), 2);
    assert_eq!(client.peers(None).await.len(), 2);
    let first = client.discover(Some(NAMESPACE), None, Some(1)).await;
    let (_, cookie) = first.expect("a page");
    let second = client
        .discover(Some(NAMESPACE), Some(cookie), Some(1))
        .await;
    assert_eq!(second.expect("a page").0.len(), 1);
    client.unregister(NAMESPACE);
    let events = client.discovered();
    tokio::select! {
        recording = recorder.recorded() => recording,
        event = events => panic!("nobody asked for {event:?}"),
    }
}

async fn ours() -> Recording {
    let origin = "rv: this project's client, its extension included";
    let recorder = Recorder::start(origin, NAMESPACE, false, false).await;
    let client = Ours::new(recorder.address()).await;
    assert_eq!(
        u64::from(client.register(NAMESPACE, TTL_SECS).await),
        TTL_SECS
    );
    assert_eq!(
        client.discover(NAMESPACE).await.expect("a listing").len(),
        1
    );
    client.unregister(NAMESPACE).await;
    recorder.recorded().await
}

/// As its schema has them, since there is no nim here.
async fn nim() -> Recording {
    let origin = "nim: constructed from the published schema of nim-libp2p, not recorded";
    let recorder = Recorder::start(origin, NAMESPACE, true, false).await;
    let agent = "nim-libp2p";
    let client = RawClient::dial_named(recorder.address(), Identity::new(), agent).await;
    let protocol = StreamProtocol::new("/rendezvous/1.0.0");
    let open = async || client.open_as(protocol.clone()).await.expect("a stream");
    let addresses = [client.identity().address().to_vec()];
    let record = client.identity().standard_of(1, &addresses);
    let register = Register::new(NAMESPACE, record).with_ttl(TTL_SECS);
    open().await.register_ok(&register).await;
    let discover = Discover::new(NAMESPACE).with_limit(1_000);
    let page = open().await.discover(&discover).await;
    assert_eq!(page.entries.len(), 2);
    let discover = discover.with_cookie(page.cookie());
    let news = open().await.discover(&discover).await;
    assert_eq!(news.entries.len(), 0);
    open().await.send(&unregister(Some(NAMESPACE), None)).await;
    recorder.recorded().await
}
