//! At the server of `@canvas-js/libp2p-rendezvous`.
//!
//! It takes standard-signed records alone, shortens a ttl instead of refusing it, and breaks the
//! stream where others refuse. It lists no other scope than one namespace. It does not page: it
//! lists the newest entries first, 64 at the most, and its cookie stands at the oldest of them, so
//! what is older never comes and what is newer comes again.

use rv_client::DiscoverError;
use rv_client::rv_core::client::Failure;
use rv_client::rv_proto::Dialect;
use rv_interop::{Language, Ours, Runtime, scope, within};

use crate::scenes::{self, NAMESPACE};

#[tokio::test]
async fn a_js_point_is_registered_at_refreshed_and_left() {
    let Some(runtime) = Runtime::find(Language::Js) else {
        return;
    };
    let point = runtime.serve().await;
    let client = scenes::registers_refreshes_and_leaves(
        point.address(),
        Dialect::Standard,
        Dialect::Standard,
    )
    .await;

    let longer = client.register("longer", 36_000).await;
    assert_eq!(longer, 7_200, "what was granted counts");

    let foreign = Some(b"ten bytes.".as_slice().into());
    let here = client.at_point();
    let page = here.discover(scope(NAMESPACE), None, foreign);
    let page = within("answer", page).await;
    let Err(DiscoverError::Broken { failure, .. }) = page else {
        panic!("not broken: {page:?}");
    };
    assert_eq!(failure, Failure::EndOfStream, "it resets the stream");
    point.end().await;
}

#[tokio::test]
async fn a_js_point_that_does_not_page_is_listed_to_its_end() {
    let Some(runtime) = Runtime::find(Language::Js) else {
        return;
    };
    let point = runtime.serve().await;
    let registered = scenes::registered(point.address(), 6).await;
    let seeker = Ours::new(point.address()).await;
    let found = seeker.discover(NAMESPACE).await.expect("a listing");
    let expected = registered.iter().map(Ours::peer).collect();
    assert_eq!(scenes::peers(&found), expected);

    let here = seeker.at_point();
    let newest = within("page", here.discover(scope(NAMESPACE), Some(2), None)).await;
    let newest = newest.expect("a page");
    assert_eq!(newest.peers.len(), 2, "the limit holds");
    let latest = [registered[4].peer(), registered[5].peer()].into();
    assert_eq!(scenes::peers(&newest.peers), latest);
    point.end().await;
}
