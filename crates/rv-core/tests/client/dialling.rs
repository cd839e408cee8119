//! Whom a dialler dials, and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libp2p_identity::PeerId;
use rv_core::client::dialling::{
    Dial, DialEnd, DialEvent, Dialler, DiallingConfig, DiallingConfigError, Taken,
};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{Dialect, PeerRecord, Record, Time, UnverifiedRecord};

use crate::samples::{chat, keypair, local, name, peer, point, secs};

/// Any peer, without the price of a key.
pub(crate) fn numbered(number: u32) -> PeerId {
    let mut bytes = vec![0, 4];
    bytes.extend(number.to_be_bytes());
    PeerId::from_bytes(&bytes).expect("an identity hash")
}

pub(crate) fn at(address: &str) -> Multiaddr {
    address.parse().expect("an address")
}

pub(crate) fn unsigned(peer: PeerId, address: &str) -> Arc<Record> {
    Arc::new(Record::plain(&peer, &[at(address)]))
}

fn signed(number: u8, seq: u64, addresses: &[&str]) -> Arc<Record> {
    let record = PeerRecord {
        peer: peer(number),
        seq,
        addresses: addresses.iter().map(|address| at(address)).collect(),
    };
    let sealed = record.seal(Dialect::Standard, &keypair(number));
    let parsed = UnverifiedRecord::parse(sealed.expect("sealed")).expect("parsed");
    Arc::new(parsed.verify().expect("verified"))
}

/// A dialler at second 1,000, and points that list peers to it.
struct Scene {
    dialler: Dialler,
    now: Time,
}

impl Scene {
    fn with(config: DiallingConfig) -> Self {
        let dialler = Dialler::new(config, local(), 7).expect("valid");
        let now = secs(1_000);
        Self { dialler, now }
    }

    fn list(&mut self, by: u8, record: &Arc<Record>) -> Taken {
        let until = secs(20_000);
        self.dialler
            .handle_listed(self.now, point(by), &chat(), record, until)
    }

    /// Lists peers by number at a good address.
    fn list_all(&mut self, by: u8, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            let record = unsigned(numbered(number), "/ip4/198.0.2.1/tcp/1");
            self.list(by, &record);
        }
    }

    fn dial(&mut self) -> Option<PeerId> {
        self.dialler.poll_dial(self.now).map(|dial| dial.peer)
    }

    fn dial_all(&mut self) -> Vec<PeerId> {
        std::iter::from_fn(|| self.dial()).collect()
    }

    fn end(&mut self, peer: PeerId, end: DialEnd) -> Option<DialEvent> {
        self.dialler.handle_dial_ended(self.now, peer, end)
    }

    /// Fails a dial, and returns how many seconds the peer is left alone.
    fn fail(&mut self, peer: PeerId) -> u64 {
        let Some(DialEvent::Failed { retry_at, .. }) = self.end(peer, DialEnd::Failed) else {
            panic!("no failure is told");
        };
        retry_at.saturating_since(self.now).as_secs()
    }

    fn pass_secs(&mut self, secs: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(secs));
    }
}

/// So fast that only what a test is about holds it back.
fn unhurried() -> DiallingConfig {
    DiallingConfig {
        dials_in_flight_max: 1_000,
        dials_burst: 1_000,
        ..DiallingConfig::default()
    }
}

fn peers(numbers: impl IntoIterator<Item = u32>) -> Vec<PeerId> {
    numbers.into_iter().map(numbered).collect()
}

#[test]
fn a_found_peer_is_dialled_once_at_its_newest_record() {
    let mut scene = Scene::with(DiallingConfig::default());
    let (old, new) = ("/ip4/198.0.2.1/tcp/1", "/ip4/198.0.2.2/udp/2/quic-v1");
    assert_eq!(scene.list(1, &signed(2, 5, &[old])), Taken::Waiting);
    assert_eq!(scene.list(2, &signed(2, 6, &[new])), Taken::Waiting);
    assert_eq!(scene.list(1, &signed(2, 5, &[old])), Taken::Waiting);
    assert_eq!(scene.list(1, &unsigned(peer(2), old)), Taken::Waiting);
    let dial = Dial {
        peer: peer(2),
        addresses: vec![at(new)],
        is_verified: true,
    };
    assert_eq!(scene.dialler.poll_dial(scene.now), Some(dial));
    assert_eq!(scene.list(2, &signed(2, 7, &[new])), Taken::Busy);
    assert_eq!(scene.dial(), None);
    let told = scene.end(peer(2), DialEnd::Connected);
    assert_eq!(told, Some(DialEvent::Connected { peer: peer(2) }));
    assert_eq!(scene.list(2, &signed(2, 8, &[new])), Taken::Busy);
    assert_eq!(scene.dial(), None);
    assert_eq!(scene.end(peer(2), DialEnd::Failed), None, "it ended before");
}

#[test]
fn neither_ourselves_nor_who_is_connected_is_dialled() {
    let mut scene = Scene::with(DiallingConfig::default());
    let address = "/ip4/198.0.2.1/tcp/1";
    assert_eq!(scene.list(1, &unsigned(local(), address)), Taken::NotWanted);
    scene.dialler.handle_connected(scene.now, peer(2));
    assert_eq!(scene.list(1, &unsigned(peer(2), address)), Taken::Busy);
    assert_eq!(scene.list(1, &unsigned(peer(3), address)), Taken::Waiting);
    scene.dialler.handle_connected(scene.now, peer(3));
    assert_eq!(scene.dial(), None);
    assert_eq!(scene.dialler.connected(), 2);
}

#[test]
fn addresses_that_lead_into_our_own_network_or_to_others_are_left_out() {
    let mut scene = Scene::with(DiallingConfig::default());
    let good = "/ip4/198.0.2.1/tcp/1";
    let others = format!("/ip4/198.0.2.2/tcp/1/p2p/{}", peer(9));
    let own = format!("/ip4/198.0.2.2/tcp/1/p2p/{}", peer(2));
    let over_us = format!("/ip4/198.0.2.3/tcp/1/p2p/{}/p2p-circuit", local());
    let relayed = format!("/ip4/198.0.2.3/tcp/1/p2p/{}/p2p-circuit", peer(9));
    let inside = format!("/ip4/192.168.0.1/tcp/1/p2p/{}/p2p-circuit", peer(9));
    let record = signed(
        2,
        1,
        &[
            "/ip4/10.0.0.1/tcp/1",
            good,
            &others,
            &own,
            &over_us,
            &relayed,
            &inside,
            "/ip4/203.0.113.7/tcp/1",
        ],
    );
    assert_eq!(scene.list(1, &record), Taken::Waiting);
    let dial = scene.dialler.poll_dial(scene.now).expect("good ones");
    assert_eq!(dial.addresses, [at(good), at(&own), at(&relayed)]);
    let none = signed(3, 1, &["/ip4/127.0.0.1/tcp/1", "/dns4/router.local/tcp/1"]);
    assert_eq!(scene.list(1, &none), Taken::NoAddress);
    assert_eq!(scene.dial(), None);

    let mut scene = Scene::with(DiallingConfig {
        local_addresses: true,
        ..DiallingConfig::default()
    });
    assert_eq!(scene.list(1, &none), Taken::Waiting);
    let nowhere = signed(4, 1, &["/ip4/0.0.0.0/tcp/1", "/ip4/203.0.113.7/tcp/1"]);
    assert_eq!(scene.list(1, &nowhere), Taken::NoAddress);
}

#[test]
fn what_is_switched_off_is_not_dialled() {
    let mut scene = Scene::with(DiallingConfig {
        unverified_addresses: false,
        named_addresses: false,
        namespaces: Some(BTreeSet::from([name("chat")])),
        addresses_max: 1,
        ..DiallingConfig::default()
    });
    let address = "/ip4/198.0.2.1/tcp/1";
    let named = signed(2, 1, &["/dns/peer.net/tcp/1"]);
    assert_eq!(scene.list(1, &unsigned(peer(2), address)), Taken::NotWanted);
    assert_eq!(scene.list(1, &named), Taken::NoAddress);
    let record = signed(2, 1, &[address, "/ip4/198.0.2.2/tcp/1"]);
    let (until, other) = (secs(2_000), name("other"));
    let foreign = scene
        .dialler
        .handle_listed(scene.now, point(1), &other, &record, until);
    assert_eq!(foreign, Taken::NotWanted);
    assert_eq!(scene.list(1, &record), Taken::Waiting);
    let dial = scene.dialler.poll_dial(scene.now).expect("it is listed");
    assert_eq!((dial.addresses.len(), dial.is_verified), (1, true));
}

#[test]
fn dials_in_flight_and_a_minute_are_bounded() {
    let mut scene = Scene::with(DiallingConfig {
        dials_in_flight_max: 3,
        dials_per_minute: 6,
        dials_burst: 4,
        ..DiallingConfig::default()
    });
    scene.list_all(1, 0..100);
    let first = scene.dial_all();
    assert_eq!(first, peers(0..3));
    assert_eq!(scene.dialler.poll_timeout(), None, "one has to end first");
    for peer in first {
        scene.end(peer, DialEnd::Connected);
    }
    assert_eq!(scene.dial_all(), peers([3]), "the rest of the burst");
    assert_eq!(scene.dialler.poll_timeout(), Some(secs(1_010)));
    scene.pass_secs(9);
    assert_eq!(scene.dial_all(), []);
    scene.pass_secs(1);
    assert_eq!(scene.dial_all(), peers([4]));
    scene.pass_secs(1_000);
    for peer in peers(3..5) {
        scene.end(peer, DialEnd::Connected);
    }
    assert_eq!(scene.dial_all(), peers(5..8));
}

#[test]
fn nobody_is_dialled_once_enough_are_connected() {
    let mut scene = Scene::with(DiallingConfig {
        connected_target: Some(2),
        ..DiallingConfig::default()
    });
    // Who was not found does not count.
    scene.dialler.handle_connected(scene.now, peer(9));
    scene.list_all(1, 0..5);
    assert_eq!(scene.dial_all(), peers(0..2), "as many as are missing");
    scene.fail(numbered(0));
    assert_eq!(scene.dial_all(), peers([2]));
    scene.end(numbered(1), DialEnd::Connected);
    scene.end(numbered(2), DialEnd::Connected);
    assert_eq!(scene.dial_all(), []);
    assert_eq!(scene.dialler.poll_timeout(), None);
    scene.dialler.handle_disconnected(scene.now, numbered(1));
    assert_eq!(scene.dial_all(), peers([3]), "another takes its place");
}

#[test]
fn who_fails_is_left_alone_for_twice_as_long_each_time() {
    let mut scene = Scene::with(DiallingConfig {
        backoff_min: Duration::from_secs(10),
        backoff_max: Duration::from_secs(60),
        ..unhurried()
    });
    scene.list_all(1, [1]);
    for (failures, longest) in [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60)] {
        assert_eq!(scene.dial(), Some(numbered(1)), "{failures}");
        let pause = scene.fail(numbered(1));
        assert!((longest / 2..=longest).contains(&pause), "{pause}");
        assert_eq!(scene.dial(), None);
        let at = scene.dialler.poll_timeout().expect("it is tried again");
        // To be listed again makes it no sooner.
        scene.list_all(2, [1]);
        assert_eq!(scene.dialler.poll_timeout(), Some(at));
        scene.now = at;
    }
    // A connection that lasts ends it; one that does not is a failure like the others.
    assert_eq!(scene.dial(), Some(numbered(1)));
    scene.end(numbered(1), DialEnd::Connected);
    scene.pass_secs(59);
    scene.dialler.handle_disconnected(scene.now, numbered(1));
    let at = scene.dialler.poll_timeout().expect("it is tried again");
    assert!(at.saturating_since(scene.now) >= Duration::from_secs(30));
    scene.now = at;
    assert_eq!(scene.dial(), Some(numbered(1)));
    scene.end(numbered(1), DialEnd::Connected);
    scene.pass_secs(60);
    scene.dialler.handle_disconnected(scene.now, numbered(1));
    let at = scene.dialler.poll_timeout().expect("it is tried again");
    assert!(at.saturating_since(scene.now) <= Duration::from_secs(10));
}

#[test]
fn a_dial_that_others_make_is_no_failure() {
    let mut scene = Scene::with(unhurried());
    scene.list_all(1, [1, 2]);
    assert_eq!(scene.dial_all(), peers([1, 2]));
    assert_eq!(scene.end(numbered(1), DialEnd::NotMade), None);
    scene.dialler.handle_connected(scene.now, numbered(2));
    assert_eq!(scene.end(numbered(2), DialEnd::Failed), None);
    assert_eq!(scene.dialler.failed(), 1);
    scene.pass_secs(30);
    assert_eq!(scene.dial_all(), peers([1]));
    let told = scene.end(numbered(1), DialEnd::Failed);
    assert!(matches!(told, Some(DialEvent::Failed { failures: 1, .. })));
}

#[test]
fn who_is_not_listed_any_more_is_not_dialled() {
    let mut scene = Scene::with(unhurried());
    scene.list_all(1, [1, 2]);
    scene.list_all(2, [2, 3]);
    scene.dialler.forget_source(point(1));
    assert_eq!(scene.dialler.waiting(), 2);
    scene.now = secs(20_000);
    assert_eq!(scene.dial_all(), []);
    assert_eq!(scene.dialler.waiting(), 0);
    let gone = unsigned(numbered(4), "/ip4/198.0.2.1/tcp/1");
    assert_eq!(scene.list(1, &gone), Taken::NotWanted);
}

#[test]
fn who_lists_a_hundred_thousand_does_not_delay_those_of_others() {
    for (flooding, other) in [(1, 2), (2, 1)] {
        let mut scene = Scene::with(unhurried());
        scene.list_all(flooding, 1_000..51_000);
        scene.list_all(other, 0..3);
        scene.list_all(flooding, 51_000..101_000);
        assert_eq!(scene.dialler.waiting(), 2_000);
        let first: BTreeSet<_> = (0..6).filter_map(|_| scene.dial()).collect();
        assert!(first.is_superset(&peers(0..3).into_iter().collect()));
    }

    // Nor by listing the same ones before.
    let mut scene = Scene::with(unhurried());
    scene.list_all(1, (1_000..2_999).chain(0..3));
    scene.list_all(2, 0..3);
    let first: BTreeSet<_> = (0..6).filter_map(|_| scene.dial()).collect();
    assert!(first.contains(&numbered(0)), "taken in before it was full");

    // A full queue prefers who was not tried to who failed.
    let mut scene = Scene::with(DiallingConfig {
        waiting_max: 2,
        ..unhurried()
    });
    scene.list_all(1, [1, 2]);
    assert_eq!(scene.dial_all(), peers([1, 2]));
    scene.fail(numbered(1));
    scene.fail(numbered(2));
    scene.list_all(1, [3, 4, 5]);
    assert_eq!(scene.dial_all(), peers([3, 4]));
}

#[test]
fn a_flood_of_failures_pushes_out_nobody_who_failed_often() {
    let mut scene = Scene::with(DiallingConfig {
        failures_max: 5,
        ..unhurried()
    });
    scene.list_all(1, [1]);
    for _ in 0..6 {
        assert_eq!(scene.dial(), Some(numbered(1)));
        scene.fail(numbered(1));
        scene.now = scene.dialler.poll_timeout().expect("tried again");
    }
    assert_eq!(scene.dial(), Some(numbered(1)));
    let pause = scene.fail(numbered(1));
    scene.list_all(1, 100..200);
    for peer in scene.dial_all() {
        scene.fail(peer);
    }
    assert_eq!(scene.dialler.failed(), 5);
    scene.dialler.clear();
    scene.list_all(1, [1]);
    let at = scene.dialler.poll_timeout().expect("it is listed");
    assert!(pause > 900 && at.saturating_since(scene.now).as_secs() >= pause);
}

#[test]
fn bounds_that_allow_nothing_are_refused() {
    let refused = |config| Dialler::new(config, local(), 1).err();
    let config = DiallingConfig::default;
    let zero = DiallingConfig {
        dials_in_flight_max: 0,
        ..config()
    };
    let what = "dials_in_flight_max";
    assert_eq!(refused(zero), Some(DiallingConfigError::Zero { what }));
    let order = DiallingConfig {
        backoff_max: Duration::from_secs(1),
        ..config()
    };
    assert_eq!(refused(order), Some(DiallingConfigError::Order));
    let fast = DiallingConfig {
        dials_per_minute: 6_001,
        ..config()
    };
    assert_eq!(refused(fast), Some(DiallingConfigError::TooFast));
}
