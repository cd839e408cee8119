//! What our client can do alike at every point.

use std::collections::BTreeSet;

use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::Discovered;
use rv_client::rv_proto::Dialect;
use rv_interop::{Ours, eventually, scope, within};

pub(crate) const NAMESPACE: &str = "my-app";

/// A ttl that is refreshed while the test looks on.
pub(crate) const SHORT_SECS: u64 = 3;

/// Pages that a test asks for at the most.
const PAGES_MAX: usize = 10;

/// Registers, which tells it the `learnt` dialect, is found with its address in the `listed` one,
/// is refreshed past its first deadline, and leaves. Gives the one who is left, to ask for what
/// only this point does.
pub(crate) async fn registers_refreshes_and_leaves(
    point: &Multiaddr,
    learnt: Dialect,
    listed: Dialect,
) -> Ours {
    let mut first = Ours::new(point).await;
    assert_eq!(
        u64::from(first.register(NAMESPACE, SHORT_SECS).await),
        SHORT_SECS
    );
    let status = first.client().status().await;
    assert_eq!(status.points[0].dialect, learnt, "by trying");

    let second = Ours::new(point).await;
    assert_eq!(second.register(NAMESPACE, 600).await, 600);
    let seeker = Ours::new(point).await;
    let both = eventually("listing of both", async || {
        let found = seeker.discover(NAMESPACE).await.expect("a listing");
        (found.len() == 2).then_some(found)
    })
    .await;
    let assert_listed = |peer: &Ours| {
        let found = both.iter().find(|found| found.peer() == peer.peer());
        let found = found.expect("it is listed");
        assert_eq!(found.addresses(), [peer.address()]);
        assert_eq!(found.record.dialect(), listed);
    };
    assert_listed(&first);
    assert_listed(&second);

    // By the time of the third grant the first one has lapsed.
    first.granted(3).await;
    eventually("listing after its first deadline", async || {
        let found = peers(&seeker.discover(NAMESPACE).await.expect("a listing"));
        found.contains(&first.peer()).then_some(())
    })
    .await;

    first.unregister(NAMESPACE).await;
    eventually("listing without it", async || {
        let found = peers(&seeker.discover(NAMESPACE).await.expect("a listing"));
        (found == BTreeSet::from([second.peer()])).then_some(())
    })
    .await;
    second
}

/// A listing in pages of one entry brings everybody once.
pub(crate) async fn pages_one_by_one(point: &Multiaddr) {
    let registered = registered(point, 3).await;
    let seeker = Ours::new(point).await;
    let here = seeker.at_point();
    let mut found = BTreeSet::new();
    let mut cookie = None;
    for _ in 0..PAGES_MAX {
        let page = here.discover(scope(NAMESPACE), Some(1), cookie.take());
        let page = within("page", page).await.expect("a page");
        assert!(page.peers.len() <= 1, "the limit holds");
        let is_empty = page.peers.is_empty();
        for peer in page.peers {
            assert!(found.insert(peer.peer()), "nobody comes twice");
        }
        cookie = page.cookie;
        if is_empty || cookie.is_none() {
            break;
        }
    }
    let expected: BTreeSet<_> = registered.iter().map(Ours::peer).collect();
    assert_eq!(found, expected);
}

/// So many who are registered.
pub(crate) async fn registered(point: &Multiaddr, count: usize) -> Vec<Ours> {
    let mut registered = Vec::new();
    for _ in 0..count {
        let client = Ours::new(point).await;
        client.register(NAMESPACE, 600).await;
        registered.push(client);
    }
    registered
}

pub(crate) fn peers(found: &[Discovered]) -> BTreeSet<PeerId> {
    found.iter().map(Discovered::peer).collect()
}
