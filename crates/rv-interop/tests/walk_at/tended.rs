//! Stock nodes answer, become entries, and leave when they are killed; clients never are entries.

use std::time::Duration;

use dht_walk::{EvictReason, RoundEnd};
use libp2p::Multiaddr;
use libp2p::kad::Mode;

use crate::stage::{Walker, runtimes, until_holds};

#[tokio::test]
async fn go_and_py_nodes_are_found_admitted_and_leave_when_they_are_killed() {
    let Some((go, py)) = runtimes() else { return };
    let first = go.join(Mode::Server, []).await;
    let second = go.join(Mode::Server, [first.address()]).await;
    let third = go.join(Mode::Server, [second.address()]);
    let fourth = py.join(Mode::Server, [second.address()]);
    let (third, mut fourth) = tokio::join!(third, fourth);
    let mut ours = Walker::start().await;
    // Who asks a node of py is taken for a server there, and told of to others.
    let fifth = py.join(Mode::Server, [fourth.address()]);
    let py_client = py.join(Mode::Client, [fourth.address()]);
    let address = ours.full_address.clone();
    let go_client = go.join(Mode::Client, [&address]);
    let joined = async { tokio::join!(fifth, py_client, go_client) };
    let (fifth, py_client, go_client) = ours.beside(joined).await;

    ours.join(&first);
    ours.until_entries(&[&first, &second, &third, &fourth, &fifth])
        .await;
    ours.beside(until_holds(&mut fourth, &[py_client.peer()]))
        .await;
    let sweep = ours.walk().sweep(2, Duration::from_secs(25));
    let sweep = ours.report(sweep.expect("nothing waits")).await;
    assert_eq!(sweep.end, RoundEnd::Done);
    for node in [&first, &second, &third, &fourth, &fifth, &py_client] {
        let (peer, address) = (node.peer(), node.address());
        let found = sweep.found.iter().find(|it| it.peer.id() == peer);
        let found = found.expect("somebody tells of it").addresses.as_slice();
        let is_address = |it: &Multiaddr| it.clone().with_p2p(peer).as_ref() == Ok(address);
        assert!(found.iter().any(is_address), "{found:?} for {address}");
    }

    let mut dead = [third.peer(), fifth.peer()];
    dead.sort();
    third.kill();
    fifth.kill();
    ours.until_entries(&[&first, &second, &fourth]).await;
    assert_eq!(ours.evicted(), dead.map(|peer| (peer, EvictReason::Dead)));
    assert!(!ours.was_admitted(&py_client) && !ours.was_admitted(&go_client));
    for node in [first, second, fourth, py_client, go_client] {
        ours.beside(node.end()).await;
    }
}
