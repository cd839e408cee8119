//! Subscriptions that bring more than a point may push.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rv_client::rv_core::client::Event;
use rv_client::rv_proto::{Dialect, Entry, Request, SubscriptionUpdate};

use super::scene::{Scene, impatient, offer_push};
use super::wicked::{Reply, WickedPoint};
use super::wire::*;
use crate::support::*;

#[tokio::test]
async fn an_update_above_the_bound_ends_the_subscription_and_one_at_it_does_not() {
    let key = libp2p::identity::Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let update = SubscriptionUpdate {
        entries: vec![Entry {
            record: Some(sealed(&key, Dialect::Standard, 1, 1).into()),
            ttl_secs: Some(600),
            ..Entry::default()
        }],
        cookie: Some("a".into()),
        is_reset: true,
        is_complete: true,
        ..SubscriptionUpdate::default()
    };
    let longest = padded_update(&update, 32_768);
    let too_long = padded_update(&SubscriptionUpdate::default(), 32_769);
    let pushed = Bytes::from([begun(), longest, too_long].concat());
    let cookies = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&cookies);
    let point = WickedPoint::start(move |request| match request {
        Request::Discover(_) => Reply::Keep(page(&[], b"").into()),
        Request::Subscribe(request) => {
            told.lock().expect("not poisoned").push(request.cookie);
            Reply::Keep(pushed.clone())
        }
        Request::Register(_) | Request::Unregister(_) => Reply::Silence,
    })
    .await;
    let scene = Scene::start(impatient()).await;
    let _watch = scene.client.watch(scope("ns")).await.expect("room");
    scene.meet(point.at.clone()).await;
    offer_push(&scene.node, &point).await;
    let cookies = eventually("second subscription", async || {
        let cookies = cookies.lock().expect("not poisoned").clone();
        (cookies.len() > 1).then_some(cookies)
    })
    .await;
    // With a stream that merely ended, it would have gone on from its cookie.
    assert_eq!(cookies[..2], [None, None]);
    let joined = scene.node.count(|event| match event {
        Event::Joined(found) => found.peer() == peer,
        _ => false,
    });
    assert_eq!(joined, 1);
    scene.healthy_goes_on("after all").await;
}
