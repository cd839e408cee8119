//! Stock nodes put us into their tables, ask us, and find us.

use libp2p::kad::Mode;
use rv_interop::{KadNode, KadRuntime};

use crate::stage::{Walker, runtimes, until_holds};

/// Our node and one of each kind, which all have each other.
async fn network(go: &KadRuntime, py: &KadRuntime) -> (Walker, [KadNode; 2]) {
    let mut of_go = go.join(Mode::Server, []).await;
    let mut of_py = py.join(Mode::Server, [of_go.address()]).await;
    let mut ours = Walker::start().await;
    ours.join(&of_go);
    ours.until_entries(&[&of_go, &of_py]).await;
    let peer = ours.peer();
    ours.beside(until_holds(&mut of_go, &[peer])).await;
    ours.beside(until_holds(&mut of_py, &[peer])).await;
    (ours, [of_go, of_py])
}

#[tokio::test]
async fn go_and_py_nodes_find_us_by_lookups_of_their_own() {
    let Some((go, py)) = runtimes() else { return };
    let (mut ours, nodes) = network(&go, &py).await;
    let peer = ours.peer();
    let address = ours.address.clone();
    for (runtime, node) in [(&go, &nodes[1]), (&py, &nodes[0])] {
        let mut newcomer = ours
            .beside(runtime.join(Mode::Client, [node.address()]))
            .await;
        ours.beside(until_holds(&mut newcomer, &[node.peer()]))
            .await;
        let found = ours.beside(newcomer.closest(&peer)).await;
        let found = found.expect("somebody answered");
        let is_found = found.get(&peer).is_some_and(|it| it.contains(&address));
        assert!(is_found, "{found:?}");
        ours.beside(newcomer.end()).await;
    }
}

#[tokio::test]
async fn go_and_py_nodes_join_by_us() {
    let Some((go, py)) = runtimes() else { return };
    let (mut ours, nodes) = network(&go, &py).await;
    let everybody = [ours.peer(), nodes[0].peer(), nodes[1].peer()];
    for runtime in [&go, &py] {
        let answered = ours.answered;
        let address = ours.full_address.clone();
        let mut newcomer = ours.beside(runtime.join(Mode::Server, [&address])).await;
        ours.beside(until_holds(&mut newcomer, &everybody)).await;
        assert!(ours.answered > answered, "nobody asked us");
        ours.until("entry", |it| it.was_admitted(&newcomer).then_some(()))
            .await;
        ours.beside(newcomer.end()).await;
    }
}
