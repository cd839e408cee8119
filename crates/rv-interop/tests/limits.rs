//! What a point holds at the most, and how fast it takes that in.

use std::time::Duration;

use rv_interop::wire::{Register, unregister};
use rv_interop::{Identity, ManualClock, Point, RawClient, Via};
use rv_server::Config;
use rv_server::rv_core::Limits;

const NAMESPACE: &str = "my-app";

fn long_address() -> Vec<u8> {
    let host = "h".repeat(100);
    let address: libp2p::Multiaddr = format!("/dns4/{host}/tcp/1").parse().expect("an address");
    address.to_vec()
}

#[tokio::test]
async fn at_every_limit_new_names_are_refused_and_refreshes_are_not() {
    let limits = Limits {
        registrations_per_peer: 2,
        registrations_total: 3,
        ..Limits::default()
    };
    let point = Point::in_memory(Config {
        limits,
        ..Config::default()
    })
    .await;
    let (alice, bob) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    let (mut of_alice, mut of_bob) = (alice.open().await, bob.open().await);
    let by = |client: &RawClient, namespace| Register::new(namespace, client.identity().legacy());

    of_alice.register_ok(&by(&alice, "a")).await;
    of_alice.register_ok(&by(&alice, "b")).await;
    let hints = ["holds 2 registrations", "unregister some"];
    of_alice.refuse(&by(&alice, "c"), 400, &hints).await;
    of_bob.register_ok(&by(&bob, "a")).await;
    of_bob
        .refuse(&by(&bob, "b"), 400, &["full", "try another"])
        .await;
    for namespace in ["a", "b", "a"] {
        of_alice.register_ok(&by(&alice, namespace)).await;
    }
    of_bob.register_ok(&by(&bob, "a")).await;
    assert_eq!(point.stats().await.registrations, 3);

    of_alice.send(&unregister(Some("a"), None)).await;
    of_alice.register_ok(&by(&alice, "c")).await;
    assert_eq!(of_alice.peers("a").await, [bob.peer()]);
}

#[tokio::test]
async fn records_take_only_as_many_bytes_as_there_are() {
    let (alice, bob) = (Identity::new(), Identity::new());
    let (small, large) = (alice.legacy(), bob.legacy_of(u64::MAX, &[long_address()]));
    let bytes = (small.len() + large.len() - 1) as u64;
    let limits = Limits {
        record_bytes_total: bytes,
        ..Limits::default()
    };
    let point = Point::in_memory(Config {
        limits,
        ..Config::default()
    })
    .await;
    let via = Via::Tcp;
    let alice = RawClient::connect_as(&point, alice, via).await;
    let bob = RawClient::connect_as(&point, bob, via).await;
    let (mut of_alice, mut of_bob) = (alice.open().await, bob.open().await);

    of_alice
        .register_ok(&Register::new(NAMESPACE, small.clone()))
        .await;
    of_bob
        .refuse(&Register::new(NAMESPACE, large.clone()), 400, &["full"])
        .await;
    of_bob
        .register_ok(&Register::new(NAMESPACE, bob.identity().legacy()))
        .await;
    of_bob
        .refuse(&Register::new(NAMESPACE, large.clone()), 400, &["full"])
        .await;
    assert_eq!(point.stats().await.record_bytes, 2 * small.len() as u64);
    of_alice.send(&unregister(None, None)).await;
    of_alice.peers(NAMESPACE).await; // so that the UNREGISTER was read
    of_bob.register_ok(&Register::new(NAMESPACE, large)).await;
}

#[tokio::test]
async fn registering_too_fast_is_refused_until_time_has_passed() {
    let limits = Limits {
        register_burst: 3,
        register_per_sec: 2,
        ..Limits::default()
    };
    let clock = ManualClock::new();
    let point = Point::with_clock(
        Config {
            limits,
            ..Config::default()
        },
        clock.clone(),
    )
    .await;
    let (alice, bob) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    let (mut stream, request) = (
        alice.open().await,
        Register::new(NAMESPACE, alice.identity().legacy()),
    );

    for _ in 0..3 {
        stream.register_ok(&request).await;
    }
    stream
        .refuse(&request, 400, &["too many", "try later"])
        .await;
    bob.register(NAMESPACE).await;
    clock.advance(Duration::from_millis(499));
    stream.refuse(&request, 400, &["too many"]).await;
    clock.advance(Duration::from_millis(1));
    stream.register_ok(&request).await;
    stream.refuse(&request, 400, &["too many"]).await;
}

#[tokio::test]
async fn a_draining_point_refuses_writes_and_goes_on_listing() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let mut stream = client.open().await;
    client.register(NAMESPACE).await;
    point.with(rv_server::Behaviour::drain).await;

    let request = Register::new("another", client.identity().legacy());
    stream
        .refuse(&request, 400, &["shutting down", "try another"])
        .await;
    stream.send(&unregister(Some(NAMESPACE), None)).await;
    assert_eq!(stream.peers(NAMESPACE).await, [client.peer()]);
    let stats = point.stats().await;
    assert_eq!(
        (
            stats.unregisters_lost,
            stats.unregisters,
            stats.registrations
        ),
        (1, 0, 1)
    );
}
