//! At `libp2p::rendezvous::server`, as published.
//!
//! It takes legacy-signed records alone and closes each stream after its answer.

use rv_client::rv_proto::Dialect;
use rv_interop::serve_stock;

use crate::scenes;

#[tokio::test]
async fn a_rust_point_is_registered_at_refreshed_and_left() {
    let (point, _serving) = serve_stock().await;
    scenes::registers_refreshes_and_leaves(&point, Dialect::Legacy, Dialect::Legacy).await;
}

#[tokio::test]
async fn a_rust_point_is_paged() {
    let (point, _serving) = serve_stock().await;
    scenes::pages_one_by_one(&point).await;
}
