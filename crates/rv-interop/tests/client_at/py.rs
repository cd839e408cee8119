//! At py-libp2p's own `RendezvousService`.
//!
//! It takes unsigned records alone, so nothing that it lists is verified. It lists no other scope
//! than one namespace. It tells what remains of a ttl in whole seconds, rounded down: in its last
//! second an entry counts as expired. A cookie is an offset: who leaves moves others past it.

use rv_client::DiscoverError;
use rv_client::rv_proto::{Dialect, Scope, Status};
use rv_interop::{Language, Runtime, within};

use crate::scenes;

#[tokio::test]
async fn a_py_point_is_registered_at_refreshed_and_left() {
    let Some(runtime) = Runtime::find(Language::Py) else {
        return;
    };
    let point = runtime.serve().await;
    let client =
        scenes::registers_refreshes_and_leaves(point.address(), Dialect::Plain, Dialect::Plain)
            .await;

    let all = within("answer", client.client().discover(Scope::All, None)).await;
    let Err(DiscoverError::Refused { status, text, .. }) = all else {
        panic!("not refused: {all:?}");
    };
    assert_eq!(
        (status, text.as_str()),
        (Status::INVALID_NAMESPACE, "Invalid namespace")
    );
    point.end().await;
}

#[tokio::test]
async fn a_py_point_is_paged() {
    let Some(runtime) = Runtime::find(Language::Py) else {
        return;
    };
    let point = runtime.serve().await;
    scenes::pages_one_by_one(point.address()).await;
    point.end().await;
}
