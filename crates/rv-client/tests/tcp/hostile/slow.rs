//! Points that stall: the time of a request ends it.

use std::time::Duration;

use bytes::Bytes;
use rv_client::Config;
use rv_client::rv_core::client::{ClientConfig, Reach};

use super::muxed::MuxedPoint;
use super::scene::{Scene, Told, impatient};
use super::wicked::{Reply, WickedPoint};
use super::wire::*;

use libp2p::{Multiaddr, PeerId};

fn short() -> Config {
    let impatient = impatient();
    Config {
        client: ClientConfig {
            request_timeout: Duration::from_secs(2),
            request_timeout_min: Duration::from_secs(2),
            ..impatient.client
        },
        ..impatient
    }
}

/// Meets a point that stalls, and sees that everybody else is served while it does.
async fn check(at: (PeerId, Multiaddr)) {
    let scene = Scene::start(short()).await;
    let peer = at.0;
    scene.meet(at).await;
    let (registered, discovered, ()) = futures::join!(
        scene.register_at(peer),
        scene.discover_at(peer),
        scene.healthy_goes_on("meanwhile"),
    );
    assert_eq!(registered, Err(Told::TimedOut));
    assert_eq!(discovered, Err(Told::TimedOut));
    let status = scene.client.status().await;
    let point = status.points.iter().find(|it| it.point == peer);
    let reach = &point.expect("it is known").reach;
    assert!(matches!(reach, Reach::Down { .. }), "{reach:?}");
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn silence_ends_with_the_time_of_a_request() {
    let point = WickedPoint::start(|_| Reply::Silence).await;
    check(point.at.clone()).await;
}

#[tokio::test]
async fn an_answer_that_drips_ends_with_the_time_of_a_request() {
    let entries = [good_entry("ns", &[1; 2_000])];
    let long = Bytes::from(page(&entries, b""));
    let point = WickedPoint::start(move |_| Reply::Drip(long.clone())).await;
    check(point.at.clone()).await;
}

#[tokio::test]
async fn a_stream_that_is_never_negotiated_ends_with_the_time_of_a_request() {
    let mut point = MuxedPoint::start().await;
    let at = point.at.clone();
    let hold = async {
        let mut held = Vec::new();
        loop {
            let mut connection = point.accept().await;
            held.push(connection.accept().await);
            held.push(connection.accept().await);
            std::mem::forget(connection);
        }
    };
    tokio::select! {
        () = check(at) => {}
        () = hold => {}
    }
}

#[tokio::test]
async fn a_connection_that_is_never_secured_ends_with_the_time_of_a_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}");
    let at = (PeerId::random(), address.parse().expect("a good address"));
    let hold = async {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    };
    tokio::select! {
        () = check(at) => {}
        () = hold => {}
    }
}
