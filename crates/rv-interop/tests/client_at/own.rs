//! At our own point: both signatures of a record are registered at once, and of these readers who
//! accept both are shown the legacy one.

use rv_client::rv_proto::{Dialect, Ttl};
use rv_interop::{Point, Via};
use rv_server::Config;

use crate::scenes::{self, SHORT_SECS};

#[tokio::test]
async fn our_point_is_registered_at_refreshed_and_left() {
    let point = serve().await;
    let address = point.address(Via::Tcp);
    scenes::registers_refreshes_and_leaves(address, Dialect::Standard, Dialect::Legacy).await;
    point.stop().await;
}

#[tokio::test]
async fn our_point_is_paged() {
    let point = serve().await;
    scenes::pages_one_by_one(point.address(Via::Tcp)).await;
    point.stop().await;
}

async fn serve() -> Point {
    let mut config = Config::default();
    config.rules.ttl_min = Ttl::from_secs(SHORT_SECS).expect("a good ttl");
    Point::in_memory(config).await
}
