//! At the service of `github.com/berty/go-libp2p-rendezvous`, with its registry on disk.
//!
//! It takes unsigned records alone, so nothing that it lists is verified, and it leaves the
//! namespace of an entry empty where only one was asked for. It refuses a cookie that is not its
//! own.

use std::collections::BTreeSet;

use rv_client::DiscoverError;
use rv_client::rv_proto::{Dialect, Scope, Status};
use rv_interop::{Language, Ours, Runtime, scope, within};

use crate::scenes::{self, NAMESPACE};

#[tokio::test]
async fn a_go_point_is_registered_at_refreshed_and_left() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = runtime.serve().await;
    let client =
        scenes::registers_refreshes_and_leaves(point.address(), Dialect::Plain, Dialect::Plain)
            .await;

    let foreign = Some(b"ten bytes.".as_slice().into());
    let page = client
        .at_point()
        .discover(scope(NAMESPACE), None, foreign)
        .await;
    let Err(DiscoverError::Refused { status, text, .. }) = page else {
        panic!("not refused: {page:?}");
    };
    let refused = (Status::INVALID_COOKIE, "bad cookie");
    assert_eq!((status, text.as_str()), refused);
    point.end().await;
}

#[tokio::test]
async fn a_go_point_is_paged() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = runtime.serve().await;
    scenes::pages_one_by_one(point.address()).await;
    point.end().await;
}

#[tokio::test]
async fn a_go_point_tells_its_subscribers_of_our_registration() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = runtime.serve().await;
    let mut subscriber = runtime.connect(point.address()).await;
    assert_eq!(subscriber.subscribe(NAMESPACE).await, Ok(()));
    let client = Ours::new(point.address()).await;
    // Who is noted as a subscriber after this is told of the latest registration.
    client.register(NAMESPACE, 600).await;
    let joined = subscriber.next(NAMESPACE).await.expect("somebody").peers;
    let own = BTreeSet::from([client.address()]);
    assert_eq!(joined, [(client.peer(), own)].into());
    subscriber.end().await;
    point.end().await;
}

#[tokio::test]
async fn a_go_point_lists_all_namespaces() {
    let Some(runtime) = Runtime::find(Language::Go) else {
        return;
    };
    let point = runtime.serve().await;
    let registered = scenes::registered(point.address(), 2).await;
    registered[0].register("another", 600).await;
    let seeker = Ours::new(point.address()).await;
    let found = within("listing", seeker.client().discover(Scope::All, None)).await;
    let found = found.expect("a listing").peers;
    let mut names: Vec<_> = found
        .iter()
        .map(|it| (it.namespace.as_str(), it.peer()))
        .collect();
    names.sort_unstable();
    let [first, second] = [registered[0].peer(), registered[1].peer()];
    let mut expected = vec![(NAMESPACE, first), (NAMESPACE, second), ("another", first)];
    expected.sort_unstable();
    assert_eq!(names, expected);
    point.end().await;
}
