//! Stock nodes answer, become entries, and leave when they are killed; clients never are entries.

use std::time::Duration;

use dht_walk::{EvictReason, RoundEnd};
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
    // Who asks a node of py is taken for a server there, and told of to others.
    let fifth = py.join(Mode::Server, [fourth.address()]);
    let py_client = py.join(Mode::Client, [fourth.address()]);
    let (fifth, py_client) = tokio::join!(fifth, py_client);
    let mut ours = Walker::start().await;
    ours.join(&first);
    ours.until_entries(&[&first, &second, &third, &fourth, &fifth])
        .await;

    let address = ours.full_address.clone();
    let go_client = ours.beside(go.join(Mode::Client, [&address])).await;
    ours.beside(until_holds(&mut fourth, &[py_client.peer()]))
        .await;
    let sweep = ours.walk().sweep(2, Duration::from_secs(25));
    let sweep = ours.report(sweep.expect("nothing waits")).await;
    assert_eq!(sweep.end, RoundEnd::Done);
    for node in [&first, &second, &third, &fourth, &fifth, &py_client] {
        let found = sweep.found.iter().find(|it| it.peer.id() == node.peer());
        let found = found.expect("somebody tells of it").addresses.as_slice();
        assert!(found.contains(&node.bare_address()), "{found:?}");
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
