//! At `libp2p::rendezvous::server`, as published.
//!
//! It takes legacy-signed records alone and closes each stream after its answer.

use futures::StreamExt as _;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use libp2p::rendezvous::server::{Behaviour, Config};
use libp2p::swarm::SwarmEvent;
use rv_client::rv_proto::Dialect;
use rv_interop::{Identity, Task, Via, new_swarm, within};

use crate::scenes;

#[tokio::test]
async fn a_rust_point_is_registered_at_refreshed_and_left() {
    let (point, _serving) = serve().await;
    scenes::registers_refreshes_and_leaves(&point, Dialect::Legacy, Dialect::Legacy).await;
}

#[tokio::test]
async fn a_rust_point_is_paged() {
    let (point, _serving) = serve().await;
    scenes::pages_one_by_one(&point).await;
}

async fn serve() -> (Multiaddr, Task) {
    let config = Config::default().with_min_ttl(1);
    let behaviour = Behaviour::new(config);
    let identity = Identity::new();
    let mut swarm = new_swarm(identity.key(), behaviour);
    let listening = swarm.listen_on(Via::Tcp.listen_address());
    listening.expect("loopback can be listened on");
    let address = within("listen address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    })
    .await;
    let serving = Task::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (address.with(Protocol::P2p(identity.peer())), serving)
}
