//! The listing by `rv-client`.

use anyhow::{Result, ensure};
use rv_client::{Config, Discovery};
use rv_proto::Namespace;

use super::{Reading, Start};
use crate::{
    client::{NAMESPACE, Server},
    node,
};

pub(super) async fn list(server: &Server, page_entries: u32) -> Result<Reading> {
    let mut config = Config::default();
    config.client.page_entries = usize::try_from(page_entries)?;
    let client = node::start(config)?;

    let start = Start::now()?;
    client
        .add_point(server.peer, [server.address.clone()])
        .await?;
    let namespace = Namespace::new(NAMESPACE)?;
    let found = Discovery::new(client)
        .find_all_peers(namespace, |_| {})
        .await?;
    let requests = found.points.iter().map(|it| it.pages).sum();
    let reading = start.reading(requests, found.peers.iter().map(|it| it.peer()))?;
    ensure!(found.points.iter().all(|it| it.cause.is_none()), "cut");
    ensure!(found.peers.iter().all(|it| it.is_verified()), "unverified");
    Ok(reading)
}
